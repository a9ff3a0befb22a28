/** Memory of a kernel of its own, garbage that is collected when a test says so. */

import { setImmediate as nextRound } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { UringKernel } from '../../src/kernel/index.ts'
import { IoMemory, type MemoryCheckOptions, MemoryChecks } from '../../src/memory/index.ts'

export const KIB = 1024
export const MIB: number = 1024 * KIB

export const kernel: UringKernel = new UringKernel()

/** I/O memory of which `sizeBytesMax` bytes can be lent, checked as `options` say. */
export function createMemory(
  sizeBytes: number = 64 * KIB,
  sizeBytesMax: number = sizeBytes,
  options: Partial<MemoryCheckOptions> = {},
): IoMemory {
  const off = { poisons: false, empties: false, tracks: false, nowNs: () => 0 }
  const checks = new MemoryChecks({ ...off, ...options })
  const home = { counters: new Float64Array(64) }
  return new IoMemory({ kernel, sizeBytes, sizeBytesMax, checks, home })
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Collects garbage, and runs what is to run then, until `condition` holds. */
export async function collectUntil(condition: () => boolean): Promise<void> {
  while (!condition()) {
    collect()
    await nextRound()
  }
}

/** Takes the memory of a view away, as byte streams do: on every version of Node. */
export async function steal(view: Uint8Array): Promise<Uint8Array> {
  const stream = new ReadableStream({
    type: 'bytes',
    start(controller) {
      controller.enqueue(view)
      controller.close()
    },
  })
  const { value } = await stream.getReader().read()
  return value as Uint8Array
}
