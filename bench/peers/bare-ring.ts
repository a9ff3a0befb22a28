/** A ring by TypeScript alone: what the bare sides have in common. */

import {
  IORING_ENTER_REGISTERED_RING,
  IORING_REGISTER_RING_FDS,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SUBMIT_ALL,
  type RingMemory,
  UringKernel,
} from '../../src/kernel/index.ts'

export const kernel: UringKernel = new UringKernel()

/** Sets a ring up as percore and the programs in C do. */
export function setUpRing(entryCount: number): RingMemory {
  const flags =
    IORING_SETUP_SUBMIT_ALL |
    IORING_SETUP_SINGLE_ISSUER |
    IORING_SETUP_DEFER_TASKRUN |
    IORING_SETUP_NO_SQARRAY
  const result = kernel.setupRing({ entryCount, completionCount: entryCount * 2, flags })
  if (typeof result === 'number') throw new Error(`Cannot set up a ring: ${result}`)
  return result
}

/** Returns what submits all entries written, and brings what they complete at once: the port's leanest call. */
export function submitterOf(memory: RingMemory): () => void {
  const update = Int32Array.of(-1, 0, memory.fd, 0)
  const result = kernel.register(memory.fd, IORING_REGISTER_RING_FDS, update, 1)
  if (result !== 1) throw new Error(`Cannot register a ring: ${result}`)
  const entry = {
    enterFd: update[0]!,
    enterFlags: IORING_ENTER_REGISTERED_RING,
    waitFlags: 0,
  }
  const host = kernel.attachLoop(() => {})
  if (typeof host === 'number') throw new Error(`Cannot attach a loop: ${host}`)
  const submit = host.addRing(memory, entry, 'park')
  if (typeof submit === 'number') throw new Error(`Cannot add a ring: ${submit}`)
  return () => {
    const error = submit()
    if (error !== undefined) throw new Error(`Cannot go on: entering the ring gave ${error}`)
  }
}
