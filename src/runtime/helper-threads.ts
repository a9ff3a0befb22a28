import { randomFill } from 'node:crypto'
import { maskOfNumbers } from '../base/index.ts'
import type { Kernel } from '../kernel/index.ts'
import type { CpuSet } from '../topology/index.ts'

/** What Node calls the threads of V8 and libuv, from its version 22 on; before it all have one name. */
const HELPER = /^(?:node-V8Worker|V8Worker|libuv-worker|DelayedTask|SignalInspector)/

/** What {@link moveHelpers} asks for. */
export type HelperPort = Pick<Kernel, 'threadIds' | 'readTextFile' | 'setAffinity'>

/** Keeps the threads that Node has beside those of JavaScript on `cpus`; returns how many it moved. */
export function moveHelpers(kernel: HelperPort, cpus: CpuSet): number {
  const mask = maskOfNumbers(cpus.ids)
  let movedCount = 0
  for (const id of kernel.threadIds()) {
    const name = kernel.readTextFile(`/proc/self/task/${id}/comm`)
    if (typeof name !== 'string' || !HELPER.test(name)) continue
    if (kernel.setAffinity(id, mask) === 0) movedCount++
  }
  return movedCount
}

/**
 * Has libuv make its threads, if there are none yet: else the first shard that needs them would, and they would share its
 * processor with it.
 */
export function makeHelpers(): Promise<void> {
  return new Promise((resolve) => randomFill(new Uint8Array(1), () => resolve()))
}
