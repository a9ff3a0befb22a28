import {
  EINVAL,
  ENOMEM,
  IORING_ENTER_NO_IOWAIT,
  IORING_ENTER_REGISTERED_RING,
  IORING_FEAT_NO_IOWAIT,
  IORING_REGISTER_RING_FDS,
  IORING_SETUP_CLAMP,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_IOPOLL,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SUBMIT_ALL,
  IORING_SETUP_TASKRUN_FLAG,
  IORING_UNREGISTER_RING_FDS,
  type Kernel,
  type LoopHost,
  type RingEntry,
  type RingMemory,
  type RingRole,
} from '../kernel/index.ts'
import { refusedRing } from './refusal.ts'

/** Completions may come faster than turns; four times the submissions before overflow. */
const COMPLETIONS_PER_ENTRY = 4
/** Below this a ring is not tried. */
const ENTRY_COUNT_MIN = 128

const COMMON: number = IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL
const SINGLE: number = COMMON | IORING_SETUP_SINGLE_ISSUER
const DEFERRED: number = SINGLE | IORING_SETUP_DEFER_TASKRUN

/** Flags to try for each role, the best first. */
const ATTEMPTS: Readonly<Record<RingRole, readonly number[]>> = {
  // Completions come when asked for, which is cheapest.
  park: [
    DEFERRED | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_NO_SQARRAY, // Linux 6.6
    DEFERRED | IORING_SETUP_TASKRUN_FLAG, // Linux 6.1
    SINGLE, // Linux 6.0
    COMMON, // Linux 5.19
  ],
  notify: [SINGLE | IORING_SETUP_NO_SQARRAY, SINGLE, COMMON],
  busyPoll: [
    DEFERRED | IORING_SETUP_IOPOLL | IORING_SETUP_NO_SQARRAY,
    DEFERRED | IORING_SETUP_IOPOLL,
    SINGLE | IORING_SETUP_IOPOLL,
    COMMON | IORING_SETUP_IOPOLL,
  ],
}

/** Asks for the best flags first, and drops those that this kernel does not know. */
export function setUpRing(host: LoopHost, role: RingRole, entryCount: number): RingMemory {
  // A ring that locked memory is too short for may do with fewer entries.
  for (let count = entryCount; ; count /= 2) {
    const result = trySetUp(host, ATTEMPTS[role], count)
    if (typeof result !== 'number') return result
    if (result !== -ENOMEM || count <= ENTRY_COUNT_MIN) throw refusedRing(result)
  }
}

function trySetUp(
  host: LoopHost,
  attempts: readonly number[],
  entryCount: number,
): RingMemory | number {
  let result: RingMemory | number = -EINVAL
  for (const flags of attempts) {
    const completionCount = entryCount * COMPLETIONS_PER_ENTRY
    result = host.setupRing({ entryCount, completionCount, flags })
    if (result !== -EINVAL) break
  }
  return result
}

/** Entering by a registered index spares the kernel a look-up per call (Linux 5.18). */
export function registerRingFd(kernel: Kernel, memory: RingMemory): RingEntry {
  const waitFlags = memory.features & IORING_FEAT_NO_IOWAIT ? IORING_ENTER_NO_IOWAIT : 0
  // ABI: struct io_uring_rsrc_update: offset (-1: any), reserved, data.
  const update = Int32Array.of(-1, 0, memory.fd, 0)
  const registered = kernel.register(memory.fd, IORING_REGISTER_RING_FDS, update, 1)
  if (registered !== 1) return { enterFd: memory.fd, enterFlags: 0, waitFlags }
  return { enterFd: update[0]!, enterFlags: IORING_ENTER_REGISTERED_RING, waitFlags }
}

/** Gives a ring up that was set up; its place among the registered ones is one of sixteen. */
export function dropRing(
  kernel: Kernel,
  host: LoopHost,
  memory: RingMemory,
  entry: RingEntry,
): void {
  if (entry.enterFlags !== 0) {
    const update = Int32Array.of(entry.enterFd, 0, 0, 0)
    kernel.register(memory.fd, IORING_UNREGISTER_RING_FDS, update, 1)
  }
  host.closeFd(memory.fd)
}
