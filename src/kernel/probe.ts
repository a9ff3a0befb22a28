import { readFileSync } from 'node:fs'
import {
  AF_INET,
  CQE_WORDS,
  IO_URING_OP_SUPPORTED,
  IORING_OP_POLL_ADD,
  IORING_OP_RECV,
  IORING_OP_SEND,
  IORING_RECV_MULTISHOT,
  IORING_REGISTER_FILES_UPDATE,
  IORING_REGISTER_FILES2,
  IORING_REGISTER_PBUF_RING,
  IORING_REGISTER_PROBE,
  IORING_REGISTER_RING_FDS,
  IORING_UNREGISTER_PBUF_RING,
  IORING_UNREGISTER_RING_FDS,
  IOSQE_BUFFER_SELECT,
  IOSQE_FIXED_FILE,
  POLLIN,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SQE_WORDS,
} from './abi.ts'
import {
  CAPABILITY_WORDS,
  type Capabilities,
  decodeCapabilities,
  OPCODES_MAX,
  type Refusal,
  type RefusalCause,
  SETUPS,
  TRAIT_ADDRESSED_SEND,
  TRAIT_BUFFER_RINGS,
  TRAIT_KNOWN,
  TRAIT_LETS_FILES_GO,
  TRAIT_MULTISHOT_RECEIVE,
  TRAIT_RING_FD,
  WORD_FEATURES,
  WORD_OPCODES,
  WORD_SETUPS,
  WORD_TRAITS,
  withoutCapabilities,
} from './capabilities.ts'
import { describeErrno, EINVAL, ENOMEM, ENOSYS, EPERM } from './errno.ts'
import type { Kernel, LoopHost, RingMemory, RingSetup } from './kernel.ts'

const ENTRY_COUNT = 4
const SMALL: RingSetup = { entryCount: ENTRY_COUNT, completionCount: 2 * ENTRY_COUNT, flags: 0 }
// ABI: struct io_uring_probe: last_op, ops_len, reserved (16 bytes); per operation op, reserved, flags.
const PROBE_HEADER_BYTES = 16
const PROBE_ENTRY_BYTES = 8
const PROBE_ENTRIES = 256
const SYSCTL_PATH = '/proc/sys/kernel/io_uring_disabled'
const STATUS_PATH = '/proc/self/status'
const SECCOMP_FILTER = 2

/**
 * Finds out what `kernel` offers, on rings that are closed again; on a thread with a loop that is to open them, since the thread may
 * be terminated between any two calls.
 *
 * Some dozens of system calls, on the calling thread; attaches no executor. Never throws for what is
 * refused: that is the answer.
 */
export function probeKernel(kernel: Kernel, host?: LoopHost): Capabilities {
  const found = probeWords(kernel, host)
  return typeof found === 'number'
    ? withoutCapabilities(explain(kernel, found))
    : decodeCapabilities(found)
}

/** The same by words that the threads of a process share: the first that asks finds out, for all. */
export function shareCapabilities(
  kernel: Kernel,
  shared: Int32Array,
  host: LoopHost | undefined,
): Capabilities {
  // ORDER: pairs with the store below: what is known is all there.
  if ((Atomics.load(shared, WORD_TRAITS) & TRAIT_KNOWN) !== 0) return decodeCapabilities(shared)
  const found = probeWords(kernel, host)
  // Not for ever: what refuses now may be a limit.
  if (typeof found === 'number') return withoutCapabilities(explain(kernel, found))
  shared.set(found.subarray(1), 1)
  Atomics.store(shared, WORD_TRAITS, found[WORD_TRAITS]!)
  return decodeCapabilities(found)
}

/** {@link decodeCapabilities} reads them; or `-errno` where there is no ring. */
function probeWords(kernel: Kernel, host: LoopHost | undefined): Int32Array | number {
  const opener = { kernel, host: host ?? null }
  const ring = setUp(opener, 0)
  if (typeof ring === 'number') return ring
  try {
    const words = new Int32Array(CAPABILITY_WORDS)
    words[WORD_FEATURES] = ring.features
    words[WORD_SETUPS] = probeSetups(opener)
    probeOpcodes(kernel, ring, words)
    words[WORD_TRAITS] =
      TRAIT_KNOWN |
      (probeBufferRings(kernel, ring) ? TRAIT_BUFFER_RINGS : 0) |
      (probeRingFd(kernel, ring) ? TRAIT_RING_FD : 0) |
      probeSocket(opener, ring)
    return words
  } finally {
    close(opener, ring)
  }
}

/** Who opens what is closed again. */
interface Opener {
  readonly kernel: Kernel
  readonly host: LoopHost | null
}

function setUp({ kernel, host }: Opener, flags: number): RingMemory | number {
  return (host ?? kernel).setupRing({ ...SMALL, flags })
}

function close({ kernel, host }: Opener, ring: RingMemory): void {
  if (host === null) kernel.closeRing(ring)
  else host.closeFd(ring.fd)
}

/** All flags at once, or each: rings that are closed count as locked memory for a while, of which there may be little. */
function probeSetups(opener: Opener): number {
  const all = SETUPS.reduce((sum, [, flags]) => sum | flags, 0)
  if (works(opener, all)) return 2 ** SETUPS.length - 1
  let known = 0
  for (const [index, [, flags]] of SETUPS.entries()) if (works(opener, flags)) known |= 1 << index
  return known
}

function works(opener: Opener, flags: number): boolean {
  const ring = setUp(opener, flags)
  // Only EINVAL is said of the flags; ENOMEM, say, comes of a closed ring that is still counted.
  if (typeof ring === 'number') return ring !== -EINVAL
  close(opener, ring)
  return true
}

function probeOpcodes(kernel: Kernel, ring: RingMemory, words: Int32Array): void {
  const probe = new Uint8Array(PROBE_HEADER_BYTES + PROBE_ENTRIES * PROBE_ENTRY_BYTES)
  const result = kernel.register(ring.fd, IORING_REGISTER_PROBE, probe, PROBE_ENTRIES)
  if (result < 0) return
  const opcodeCount = Math.min(probe[1]!, OPCODES_MAX)
  for (let opcode = 0; opcode < opcodeCount; opcode++) {
    const flags = probe[PROBE_HEADER_BYTES + opcode * PROBE_ENTRY_BYTES + 2]!
    if (flags & IO_URING_OP_SUPPORTED) words[WORD_OPCODES + (opcode >> 5)]! |= 1 << (opcode & 31)
  }
}

function probeBufferRings(kernel: Kernel, ring: RingMemory): boolean {
  const address = kernel.allocate(4096).address
  // ABI: struct io_uring_buf_reg: address (two words), entries, group and flags, reserved.
  const argument = Uint32Array.of(address, address / 2 ** 32, ENTRY_COUNT, 0, 0, 0, 0, 0, 0, 0)
  const result = kernel.register(ring.fd, IORING_REGISTER_PBUF_RING, argument, 1)
  // Without lockable memory it is refused, but known.
  if (result < 0) return result === -ENOMEM
  kernel.register(ring.fd, IORING_UNREGISTER_PBUF_RING, argument, 1)
  return true
}

function probeRingFd(kernel: Kernel, ring: RingMemory): boolean {
  // ABI: struct io_uring_rsrc_update: offset (-1: any), reserved, data.
  const update = Int32Array.of(-1, 0, ring.fd, 0)
  if (kernel.register(ring.fd, IORING_REGISTER_RING_FDS, update, 1) !== 1) return false
  kernel.register(ring.fd, IORING_UNREGISTER_RING_FDS, update, 1)
  return true
}

const TAG = 77

/** What a ring and a socket tell: traits. */
function probeSocket({ kernel, host }: Opener, ring: RingMemory): number {
  const socket = (host ?? kernel).openSocket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  try {
    if (socket < 0) return 0
    return (
      (isMultishotTaken(kernel, ring, socket) ? TRAIT_MULTISHOT_RECEIVE : 0) |
      (isToldOfRemoval(kernel, ring, socket) ? TRAIT_LETS_FILES_GO : 0) |
      (isAddressTaken(kernel, ring, socket) ? TRAIT_ADDRESSED_SEND : 0)
    )
  } finally {
    if (socket >= 0) (host ?? kernel).closeFd(socket)
  }
}

/** A receive from a group of buffers that is not there: what the kernel does not know it refuses before it looks. */
function isMultishotTaken(kernel: Kernel, ring: RingMemory, socket: number): boolean {
  const { sqes, words, layout } = ring
  sqes[0] = IORING_OP_RECV | (IOSQE_BUFFER_SELECT << 8) | (IORING_RECV_MULTISHOT << 16)
  sqes[1] = socket
  words[layout.sqTail] = 1
  if (kernel.enter(ring.fd, 1, 0, 0, -1) !== 1) return false
  const hasEnded = words[layout.cqTail] === 1
  const isRefused = hasEnded && (words[layout.cqes + 2]! | 0) === -EINVAL
  words[layout.cqHead] = words[layout.cqTail]!
  return !isRefused
}

/** Takes a tagged file out while a poll waits on another: the kernel posts the tag with the last reference. */
function isToldOfRemoval(kernel: Kernel, ring: RingMemory, socket: number): boolean {
  // Two descriptors, two tags of 64 bits, and the descriptor that empties a slot.
  const words = Int32Array.of(socket, socket, 0, 0, TAG, 0, -1)
  const address = kernel.addressOf(words)
  const high = Math.floor(address / 2 ** 32)
  // ABI: struct io_uring_rsrc_register: nr, flags, resv2, data, tags; its size is the count.
  const table = Uint32Array.of(2, 0, 0, 0, address, high, address + 8, high)
  if (kernel.register(ring.fd, IORING_REGISTER_FILES2, table, table.byteLength) < 0) return false
  const { words: queue, layout } = ring
  const opcode = IORING_OP_POLL_ADD | (IOSQE_FIXED_FILE << 8)
  if (!submit(kernel, ring, [opcode, 0, 0, 0, 0, 0, 0, POLLIN])) return false
  const seenCount = queue[layout.cqTail]!
  // ABI: struct io_uring_files_update: offset, resv, fds.
  const update = Uint32Array.of(1, 0, address + 24, high)
  if (kernel.register(ring.fd, IORING_REGISTER_FILES_UPDATE, update, 1) !== 1) return false
  // Read from the words, so that they live until the kernel has read them, too.
  const cqe = layout.cqes + (seenCount & (layout.cqEntryCount - 1)) * CQE_WORDS
  return queue[layout.cqTail] === seenCount + 1 && queue[cqe] === words[4]
}

/** A send to where no memory is: a kernel that does not know of addresses refuses it before it looks. */
function isAddressTaken(kernel: Kernel, ring: RingMemory, socket: number): boolean {
  const { words, layout } = ring
  const seenCount = words[layout.cqTail]!
  // The address at 8, of 16 bytes.
  const entry = [IORING_OP_SEND, socket, 8, 0, 0, 0, 0, 0, 0, 0, 0, 16]
  if (!submit(kernel, ring, entry)) return false
  const cqe = layout.cqes + (seenCount & (layout.cqEntryCount - 1)) * CQE_WORDS
  const hasEnded = words[layout.cqTail] === seenCount + 1
  return !(hasEnded && (words[cqe + 2]! | 0) === -EINVAL)
}

function submit(kernel: Kernel, ring: RingMemory, entry: readonly number[]): boolean {
  const { sqes, words, layout } = ring
  const tail = words[layout.sqTail]!
  const index = tail & (layout.sqEntryCount - 1)
  sqes.fill(0, index * SQE_WORDS, (index + 1) * SQE_WORDS)
  sqes.set(entry, index * SQE_WORDS)
  if (layout.sqArray !== -1) words[layout.sqArray + index] = index
  words[layout.sqTail] = tail + 1
  return kernel.enter(ring.fd, 1, 0, 0, -1) === 1
}

function explain(kernel: Kernel, result: number): Refusal {
  const isReal = kernel.name === 'uring'
  const sysctlValue = isReal ? readNumber(SYSCTL_PATH, /^(\d+)/) : undefined
  const isFiltered = isReal && readNumber(STATUS_PATH, /^Seccomp:\s+(\d+)/m) === SECCOMP_FILTER
  const { code } = describeErrno(-result)
  return { code, cause: findCause(-result, sysctlValue, isFiltered), sysctlValue }
}

function findCause(
  errno: number,
  sysctlValue: number | undefined,
  isFiltered: boolean,
): RefusalCause {
  switch (errno) {
    case EPERM:
      // A filter would be asked first, but where both refuse, both need changing.
      if (sysctlValue === 1 || sysctlValue === 2) return 'sysctl'
      return isFiltered ? 'seccomp' : 'policy'
    case ENOSYS:
      // Some filters answer so for what they do not know; the sysctl tells that the kernel knows it.
      return isFiltered && sysctlValue !== undefined ? 'seccomp' : 'absent'
    case ENOMEM:
      return 'memlock'
    default:
      return 'other'
  }
}

function readNumber(path: string, pattern: RegExp): number | undefined {
  try {
    const match = pattern.exec(readFileSync(path, 'utf8'))
    return match === null ? undefined : Number(match[1])
  } catch {
    return undefined
  }
}
