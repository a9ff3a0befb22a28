import {
  IORING_SETUP_CLAMP,
  IORING_SETUP_COOP_TASKRUN,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_IOPOLL,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SUBMIT_ALL,
  IORING_SETUP_TASKRUN_FLAG,
} from './abi.ts'

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

/**
 * What a kernel offers, found out by trying; nothing is concluded from its version. Every layer goes by this one value, which the
 * kernel port has: none tries for itself.
 */
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
  /** Whether one receive can bring many completions. */
  readonly hasMultishotReceive: boolean
  /** Whether a send takes an address without a header. */
  readonly hasAddressedSend: boolean
  /**
   * Whether a file that is taken out of a ring's table is let go of at once, whatever is in flight on others: only then percore registers
   * files. Up to Linux 6.12 the tables keep it, and with it locks, the end of a pipe and the space of a file without a name: for a
   * second (6.1), or until every older request on a registered file has ended.
   */
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
export const SETUPS: readonly (readonly [name: string, flags: number])[] = [
  ['CLAMP', IORING_SETUP_CLAMP],
  ['IOPOLL', IORING_SETUP_IOPOLL],
  ['SUBMIT_ALL', IORING_SETUP_SUBMIT_ALL],
  ['COOP_TASKRUN', IORING_SETUP_COOP_TASKRUN],
  ['TASKRUN_FLAG', IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN],
  ['SINGLE_ISSUER', IORING_SETUP_SINGLE_ISSUER],
  ['DEFER_TASKRUN', IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER],
  ['NO_SQARRAY', IORING_SETUP_NO_SQARRAY],
]

/** Capabilities as words, which the threads of a process share: traits, flags of setup, features, operations. */
export const CAPABILITY_WORDS = 7
export const WORD_TRAITS = 0
/** A bit for each of {@link SETUPS}. */
export const WORD_SETUPS = 1
/** `IORING_FEAT_…` */
export const WORD_FEATURES = 2
/** The first of as many words as have a bit for each of {@link OPCODES_MAX}. */
export const WORD_OPCODES = 3
export const OPCODES_MAX = 128

/** Set once the other words are. */
export const TRAIT_KNOWN = 1
export const TRAIT_BUFFER_RINGS = 2
export const TRAIT_RING_FD = 4
export const TRAIT_MULTISHOT_RECEIVE = 8
export const TRAIT_LETS_FILES_GO = 16
export const TRAIT_ADDRESSED_SEND = 32

/** What words say, of a kernel that has io_uring. Pure. */
export function decodeCapabilities(words: ArrayLike<number>): Capabilities {
  const traits = words[WORD_TRAITS]!
  return freeze({
    isAvailable: true,
    refusal: null,
    opcodes: nameOpcodes((opcode) => (words[WORD_OPCODES + (opcode >> 5)]! >>> (opcode & 31)) & 1),
    features: nameBits(words[WORD_FEATURES]!, FEATURES),
    setupFlags: nameBits(
      words[WORD_SETUPS]!,
      SETUPS.map(([name]) => name),
    ),
    hasBufferRings: (traits & TRAIT_BUFFER_RINGS) !== 0,
    hasRegisteredRingFd: (traits & TRAIT_RING_FD) !== 0,
    hasMultishotReceive: (traits & TRAIT_MULTISHOT_RECEIVE) !== 0,
    hasAddressedSend: (traits & TRAIT_ADDRESSED_SEND) !== 0,
    letsFilesGo: (traits & TRAIT_LETS_FILES_GO) !== 0,
  })
}

/** Those of a kernel that has no io_uring, or not for this process. */
export function withoutCapabilities(refusal: Refusal): Capabilities {
  return freeze({
    isAvailable: false,
    refusal,
    opcodes: [],
    features: [],
    setupFlags: [],
    hasBufferRings: false,
    hasRegisteredRingFd: false,
    hasMultishotReceive: false,
    hasAddressedSend: false,
    letsFilesGo: false,
  })
}

/** The words of a kernel whose tables and rings do all that percore knows of; `features` are `IORING_FEAT_…`. */
export function encodeCapabilities(parts: {
  readonly isKnown: (opcode: number) => boolean
  readonly setups: readonly string[]
  readonly features: number
}): Int32Array {
  const words = new Int32Array(CAPABILITY_WORDS)
  const { isKnown, setups, features } = parts
  words[WORD_TRAITS] =
    TRAIT_KNOWN |
    TRAIT_BUFFER_RINGS |
    TRAIT_MULTISHOT_RECEIVE |
    TRAIT_LETS_FILES_GO |
    TRAIT_ADDRESSED_SEND
  for (const [index, [name]] of SETUPS.entries()) {
    if (setups.includes(name)) words[WORD_SETUPS]! |= 1 << index
  }
  words[WORD_FEATURES] = features
  for (let opcode = 0; opcode < OPCODES_MAX; opcode++) {
    if (isKnown(opcode)) words[WORD_OPCODES + (opcode >> 5)]! |= 1 << (opcode & 31)
  }
  return words
}

function nameOpcodes(isKnown: (opcode: number) => number): string[] {
  const names: string[] = []
  for (let opcode = 0; opcode < OPCODES_MAX; opcode++) {
    if (isKnown(opcode)) names.push(OPCODES[opcode] ?? `OP_${opcode}`)
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

function freeze(capabilities: Capabilities): Capabilities {
  for (const value of Object.values(capabilities)) Object.freeze(value)
  return Object.freeze(capabilities)
}
