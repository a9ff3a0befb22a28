/** A ring by TypeScript alone: what the bare sides have in common. */

import {
  IORING_ENTER_GETEVENTS,
  IORING_ENTER_REGISTERED_RING,
  IORING_REGISTER_RING_FDS,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SUBMIT_ALL,
  type RingMemory,
  UringKernel,
} from '../../src/kernel/index.ts'

const ENTER_FLAGS = IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING

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

/** Registers the descriptor of a ring; returns its index, for {@link enterRing}. */
export function registerRing(memory: RingMemory): number {
  const update = Int32Array.of(-1, 0, memory.fd, 0)
  const result = kernel.register(memory.fd, IORING_REGISTER_RING_FDS, update, 1)
  if (result !== 1) throw new Error(`Cannot register a ring: ${result}`)
  return update[0]!
}

/** Submits so many entries and waits for as many completions, by the port's own call. */
export function enterRing(enterFd: number, count: number): void {
  const result = kernel.enter(enterFd, count, count, ENTER_FLAGS, -1)
  if (result < count) throw new Error(`Cannot go on: entering the ring gave ${result}`)
}
