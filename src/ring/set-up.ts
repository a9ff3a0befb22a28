import {
  EINVAL,
  ENOMEM,
  IORING_ENTER_NO_IOWAIT,
  IORING_ENTER_REGISTERED_RING,
  IORING_FEAT_NO_IOWAIT,
  IORING_REGISTER_RING_FDS,
  IORING_SETUP_CLAMP,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SUBMIT_ALL,
  IORING_SETUP_TASKRUN_FLAG,
  IORING_UNREGISTER_RING_FDS,
  type Kernel,
  type LoopHost,
  type RingEntry,
  type RingMemory,
} from '../kernel/index.ts'
import { refusedRing } from './refusal.ts'

/** How completions reach this thread. */
export type RingKind =
  /** When asked for: cheapest, for everything that may wait for the end of a turn. */
  | 'deferred'
  /** By themselves, even while JavaScript is busy: the word that {@link needPreempt} looks at. */
  | 'immediate'

/** Completions may come faster than turns; four times the submissions before overflow. */
const COMPLETIONS_PER_ENTRY = 4
/** Below this a ring is not tried. */
const ENTRY_COUNT_MIN = 128

/** Asks for the best flags first, and drops those that this kernel does not know. */
export function setUpRing(host: LoopHost, kind: RingKind, entryCount: number): RingMemory {
  const common = IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_TASKRUN_FLAG
  const single = IORING_SETUP_SINGLE_ISSUER
  const deferred = kind === 'deferred' ? IORING_SETUP_DEFER_TASKRUN : 0
  const immediate = IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | single
  const attempts =
    kind === 'deferred'
      ? [
          common | single | deferred | IORING_SETUP_NO_SQARRAY, // Linux 6.6
          common | single | deferred, // Linux 6.1
          IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | single, // Linux 6.0
          IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL, // Linux 5.19
        ]
      : [
          immediate | IORING_SETUP_NO_SQARRAY,
          immediate,
          IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL,
        ]
  // A ring that locked memory is too short for may do with fewer entries.
  for (let count = entryCount; ; count /= 2) {
    const result = trySetUp(host, attempts, count)
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
