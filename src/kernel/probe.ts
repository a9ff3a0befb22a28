import { readFileSync } from 'node:fs'
import {
  AF_INET,
  IO_URING_OP_SUPPORTED,
  IORING_OP_POLL_ADD,
  IORING_REGISTER_FILES_UPDATE,
  IORING_REGISTER_FILES2,
  IORING_REGISTER_PBUF_RING,
  IORING_REGISTER_PROBE,
  IORING_REGISTER_RING_FDS,
  IORING_SETUP_CLAMP,
  IORING_SETUP_COOP_TASKRUN,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_IOPOLL,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SUBMIT_ALL,
  IORING_SETUP_TASKRUN_FLAG,
  IORING_UNREGISTER_PBUF_RING,
  IORING_UNREGISTER_RING_FDS,
  IOSQE_FIXED_FILE,
  POLLIN,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
} from './abi.ts'
import { describeErrno, EINVAL, ENOMEM, ENOSYS, EPERM } from './errno.ts'
import type { Kernel, LoopHost, RingMemory, RingSetup } from './kernel.ts'

/**
 * Why io_uring is refused: `sysctl` and `seccomp` are found out, not guessed; `policy` is what is left
 * of EPERM, a security module say; `memlock` is ENOMEM; `absent` a kernel without io_uring.
 */
export type RefusalCause = 'sysctl' | 'seccomp' | 'policy' | 'memlock' | 'absent' | 'other'

/** What io_uring_setup said, and what it comes from. */
export interface Refusal {
  /** The kernel's name of the error: `EPERM`. */
  readonly code: string
  readonly cause: RefusalCause
  /** `kernel.io_uring_disabled`: 0 for all, 1 for the privileged, 2 for nobody; undefined if unreadable. */
  readonly sysctlValue: number | undefined
}

/** What a kernel offers, found out by trying; nothing is concluded from its version. */
export interface Capabilities {
  /** Whether a ring can be set up at all; if not, everything else is empty or false. */
  readonly isAvailable: boolean
  /** Null if it is available. */
  readonly refusal: Refusal | null
  /** Names of the operations without `IORING_OP_`, in the kernel's order. */
  readonly opcodes: readonly string[]
  /** Names of `IORING_FEAT_…`. */
  readonly features: readonly string[]
  /** Names of `IORING_SETUP_…` that the kernel takes, each tried with what it requires. */
  readonly setupFlags: readonly string[]
  /** Whether receives can pick their buffers from a ring. */
  readonly hasBufferRings: boolean
  /** Whether rings can be entered by a registered index. */
  readonly hasRegisteredRingFd: boolean
  /** What {@link letsFilesGo} says: whether percore registers files. */
  readonly letsFilesGo: boolean
}

// ABI: enum io_uring_op, in order.
const OPCODES =
  `NOP READV WRITEV FSYNC READ_FIXED WRITE_FIXED POLL_ADD POLL_REMOVE SYNC_FILE_RANGE SENDMSG RECVMSG
TIMEOUT TIMEOUT_REMOVE ACCEPT ASYNC_CANCEL LINK_TIMEOUT CONNECT FALLOCATE OPENAT CLOSE FILES_UPDATE
STATX READ WRITE FADVISE MADVISE SEND RECV OPENAT2 EPOLL_CTL SPLICE PROVIDE_BUFFERS REMOVE_BUFFERS TEE
SHUTDOWN RENAMEAT UNLINKAT MKDIRAT SYMLINKAT LINKAT MSG_RING FSETXATTR SETXATTR FGETXATTR GETXATTR
SOCKET URING_CMD SEND_ZC SENDMSG_ZC READ_MULTISHOT WAITID FUTEX_WAIT FUTEX_WAKE FUTEX_WAITV
FIXED_FD_INSTALL FTRUNCATE BIND LISTEN RECV_ZC EPOLL_WAIT READV_FIXED WRITEV_FIXED PIPE`.split(
    /\s+/,
  )

// ABI: IORING_FEAT_… by bit.
const FEATURES =
  `SINGLE_MMAP NODROP SUBMIT_STABLE RW_CUR_POS CUR_PERSONALITY FAST_POLL POLL_32BITS SQPOLL_NONFIXED
EXT_ARG NATIVE_WORKERS RSRC_TAGS CQE_SKIP LINKED_FILE REG_REG_RING RECVSEND_BUNDLE MIN_TIMEOUT RW_ATTR
NO_IOWAIT`.split(/\s+/)

/** SQPOLL is not tried: it starts a kernel thread, and percore does not use it. */
const SETUPS: readonly (readonly [name: string, flags: number])[] = [
  ['CLAMP', IORING_SETUP_CLAMP],
  ['IOPOLL', IORING_SETUP_IOPOLL],
  ['SUBMIT_ALL', IORING_SETUP_SUBMIT_ALL],
  ['COOP_TASKRUN', IORING_SETUP_COOP_TASKRUN],
  ['TASKRUN_FLAG', IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN],
  ['SINGLE_ISSUER', IORING_SETUP_SINGLE_ISSUER],
  ['DEFER_TASKRUN', IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER],
  ['NO_SQARRAY', IORING_SETUP_NO_SQARRAY],
]

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
 * Finds out what `kernel` offers, on rings that are closed again.
 *
 * A dozen system calls, on the calling thread; attaches no executor. Never throws for what is
 * refused: that is the answer.
 */
export function probeKernel(kernel: Kernel): Capabilities {
  const ring = setUp(kernel, 0)
  if (typeof ring === 'number') return freeze(NOTHING, { refusal: explain(kernel, ring) })
  try {
    return freeze(NOTHING, {
      isAvailable: true,
      opcodes: probeOpcodes(kernel, ring),
      features: nameBits(ring.features, FEATURES),
      setupFlags: SETUPS.filter(([, flags]) => works(kernel, flags)).map(([name]) => name),
      hasBufferRings: probeBufferRings(kernel, ring),
      hasRegisteredRingFd: probeRingFd(kernel, ring),
      letsFilesGo: letsFilesGo(kernel),
    })
  } finally {
    kernel.closeRing(ring)
  }
}

const NOTHING: Capabilities = {
  isAvailable: false,
  refusal: null,
  opcodes: [],
  features: [],
  setupFlags: [],
  hasBufferRings: false,
  hasRegisteredRingFd: false,
  letsFilesGo: false,
}

function freeze(base: Capabilities, known: Partial<Capabilities>): Capabilities {
  const capabilities = { ...base, ...known }
  for (const value of Object.values(capabilities)) Object.freeze(value)
  return Object.freeze(capabilities)
}

function setUp(kernel: Kernel, flags: number): RingMemory | number {
  return kernel.setupRing({ ...SMALL, flags })
}

function works(kernel: Kernel, flags: number): boolean {
  const ring = setUp(kernel, flags)
  // Only EINVAL is said of the flags; ENOMEM, say, comes of a closed ring that is still counted.
  if (typeof ring === 'number') return ring !== -EINVAL
  kernel.closeRing(ring)
  return true
}

function probeOpcodes(kernel: Kernel, ring: RingMemory): string[] {
  const probe = new Uint8Array(PROBE_HEADER_BYTES + PROBE_ENTRIES * PROBE_ENTRY_BYTES)
  const result = kernel.register(ring.fd, IORING_REGISTER_PROBE, probe, PROBE_ENTRIES)
  if (result < 0) return []
  const names: string[] = []
  const opcodeCount = probe[1]!
  for (let opcode = 0; opcode < opcodeCount; opcode++) {
    const flags = probe[PROBE_HEADER_BYTES + opcode * PROBE_ENTRY_BYTES + 2]!
    if (flags & IO_URING_OP_SUPPORTED) names.push(OPCODES[opcode] ?? `OP_${opcode}`)
  }
  return names
}

function nameBits(bits: number, names: readonly string[]): string[] {
  const found: string[] = []
  for (let bit = 0; bit < 32; bit++) {
    if ((bits >>> bit) & 1) found.push(names[bit] ?? `BIT_${bit}`)
  }
  return found
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

/**
 * Whether a file that is taken out of a ring's table is let go of at once, whatever is in flight on others.
 *
 * Up to Linux 6.12 the tables keep it, and with it locks, the end of a pipe and the space of a file without
 * a name: for a second (6.1), or until every older request on a registered file has ended.
 *
 * A dozen system calls, on a ring and a socket that are closed again; never throws. On a thread with a
 * loop that is to open them, since the thread may be terminated between any two calls.
 */
export function letsFilesGo(kernel: Kernel, host?: LoopHost): boolean {
  // The simulated tables do, and a ring more would move all of a seed's random numbers.
  if (kernel.name === 'sim') return true
  const opener = host ?? kernel
  const ring = opener.setupRing(SMALL)
  if (typeof ring === 'number') return false
  const socket = opener.openSocket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  try {
    return socket >= 0 && isToldOfRemoval(kernel, ring, socket)
  } finally {
    if (socket >= 0) opener.closeFd(socket)
    if (host === undefined) kernel.closeRing(ring)
    else host.closeFd(ring.fd)
  }
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
  ring.sqes[0] = IORING_OP_POLL_ADD | (IOSQE_FIXED_FILE << 8)
  ring.sqes[7] = POLLIN
  ring.words[ring.layout.sqTail] = 1
  if (kernel.enter(ring.fd, 1, 0, 0, -1) !== 1) return false
  // ABI: struct io_uring_files_update: offset, resv, fds.
  const update = Uint32Array.of(1, 0, address + 24, high)
  if (kernel.register(ring.fd, IORING_REGISTER_FILES_UPDATE, update, 1) !== 1) return false
  // Read from the words, so that they live until the kernel has read them, too.
  return ring.words[ring.layout.cqTail] === 1 && ring.words[ring.layout.cqes] === words[4]
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
