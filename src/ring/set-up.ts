import {
  type Capabilities,
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
  type LoopControl,
  type LoopHost,
  type RingEntry,
  type RingMemory,
  type RingRole,
} from '../kernel/index.ts'
import { refusedRing } from './refusal.ts'

export interface RingOptions {
  readonly kernel: Kernel
  readonly control: LoopControl
  /** Kept alive while an operation that asks for it is in flight. */
  readonly host: LoopHost
  /** Its word of the control block, below {@link RING_COUNT_MAX}. */
  readonly index: number
  readonly role: RingRole
  /** Submission entries: a power of two. */
  readonly entryCount: number
}

/** Completions may come faster than turns; four times the submissions before overflow. */
const COMPLETIONS_PER_ENTRY = 4
/** Below this a ring is not tried. */
const ENTRY_COUNT_MIN = 128

/** The best flags for a role that a kernel knows. */
function flagsOf(role: RingRole, { setupFlags }: Capabilities): number {
  const common = IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL // Linux 5.19
  const single = setupFlags.includes('SINGLE_ISSUER') ? IORING_SETUP_SINGLE_ISSUER : 0 // Linux 6.0
  const bare = setupFlags.includes('NO_SQARRAY') ? IORING_SETUP_NO_SQARRAY : 0 // Linux 6.6
  // Its completions are to come by themselves.
  if (role === 'notify') return common | single | bare
  const polled = role === 'busyPoll' ? IORING_SETUP_IOPOLL : 0
  if (!setupFlags.includes('DEFER_TASKRUN')) return common | single | polled
  // Completions come when asked for, which is cheapest: Linux 6.1. Of those of a device that is polled no flag tells.
  const told = role === 'park' ? IORING_SETUP_TASKRUN_FLAG : 0
  return common | single | bare | IORING_SETUP_DEFER_TASKRUN | told | polled
}

/** Sets a ring up with the best flags for its role. */
export function setUpRing(
  host: LoopHost,
  role: RingRole,
  entryCount: number,
  capabilities: Capabilities,
): RingMemory {
  const flags = flagsOf(role, capabilities)
  // A ring that locked memory is too short for may do with fewer entries.
  for (let count = entryCount; ; count /= 2) {
    const completionCount = count * COMPLETIONS_PER_ENTRY
    const result = host.setupRing({ entryCount: count, completionCount, flags })
    if (typeof result !== 'number') return result
    if (result !== -ENOMEM || count <= ENTRY_COUNT_MIN) throw refusedRing(result)
  }
}

/** Entering by a registered index spares the kernel a look-up per call (Linux 5.18). */
export function registerRingFd(
  kernel: Kernel,
  memory: RingMemory,
  { hasRegisteredRingFd }: Capabilities,
): RingEntry {
  const waitFlags = memory.features & IORING_FEAT_NO_IOWAIT ? IORING_ENTER_NO_IOWAIT : 0
  const plain = { enterFd: memory.fd, enterFlags: 0, waitFlags }
  if (!hasRegisteredRingFd) return plain
  // ABI: struct io_uring_rsrc_update: offset (-1: any), reserved, data.
  const update = Int32Array.of(-1, 0, memory.fd, 0)
  const registered = kernel.register(memory.fd, IORING_REGISTER_RING_FDS, update, 1)
  // A thread may have sixteen.
  if (registered !== 1) return plain
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
