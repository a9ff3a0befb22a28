import { assert } from '../../base/index.ts'
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFMT,
  S_IFREG,
  STATX_DIOALIGN,
  STATX_INO,
  STATX_TYPE,
} from '../../kernel/index.ts'

/** What a name stands for. */
export type FileKind =
  | 'file'
  | 'directory'
  | 'symbolicLink'
  | 'pipe'
  | 'socket'
  | 'blockDevice'
  | 'characterDevice'

/** What a file system says about a file. */
export interface FileStatus {
  readonly kind: FileKind
  readonly sizeBytes: number
  /** What it takes up on the device, which is less than its size if it has holes. */
  readonly allocatedBytes: number
  /** The size of a transfer that the file system prefers. */
  readonly blockBytes: number
  /** Type and permissions, as in `stat(2)`. */
  readonly mode: number
  readonly linkCount: number
  readonly userId: number
  readonly groupId: number
  readonly accessedAtMs: number
  readonly modifiedAtMs: number
  readonly changedAtMs: number
  /** Undefined where the file system does not record it. */
  readonly createdAtMs: number | undefined
  readonly identity: FileIdentity
}

/** Which file it is: equal for all descriptors of one file, whatever its names. */
export interface FileIdentity {
  readonly deviceMajor: number
  readonly deviceMinor: number
  /** Exact below 2^53; as two words it always is. */
  readonly inode: number
  readonly inodeWords: readonly [low: number, high: number]
}

/** The block device that has a file's data, or is the file. */
export interface DeviceNumber {
  readonly major: number
  readonly minor: number
  /** Whether the file is that device, rather than on a file system there. */
  readonly isWhole: boolean
}

/** What direct I/O needs, in bytes. */
export interface DirectAlignment {
  /** Of memory addresses; 0 if the file can not do direct I/O. */
  readonly memoryBytes: number
  /** Of positions and lengths; 0 if the file can not do direct I/O. */
  readonly offsetBytes: number
}

// ABI: struct statx, in words of 32 bits.
const STX_MASK = 0
const STX_BLKSIZE = 1
const STX_NLINK = 4
const STX_UID = 5
const STX_GID = 6
const STX_MODE = 7
const STX_INO = 8
const STX_SIZE = 10
const STX_BLOCKS = 12
const STX_ATIME = 16
const STX_BTIME = 20
const STX_CTIME = 24
const STX_MTIME = 28
const STX_RDEV_MAJOR = 32
const STX_RDEV_MINOR = 33
const STX_DEV_MAJOR = 34
const STX_DEV_MINOR = 35
const STX_DIO_MEM_ALIGN = 38
const STX_DIO_OFFSET_ALIGN = 39
const STATX_BTIME_BIT = 0x800
const SECTOR_BYTES = 512
// ABI: MEM_MAJOR of linux/major.h.
const MEMORY_MAJOR = 1

/** What {@link decodeIdentity} and the type of a file are read from. */
export const IDENTITY_MASK: number = STATX_TYPE | STATX_INO

/** Reads a `struct statx`. Pure. */
export function decodeStatus(words: Uint32Array): FileStatus {
  return {
    kind: decodeKind(words),
    sizeBytes: decodeSize(words),
    allocatedBytes: wide(words, STX_BLOCKS) * SECTOR_BYTES,
    blockBytes: words[STX_BLKSIZE]!,
    mode: words[STX_MODE]! & 0xffff,
    linkCount: words[STX_NLINK]!,
    userId: words[STX_UID]!,
    groupId: words[STX_GID]!,
    accessedAtMs: decodeTimeMs(words, STX_ATIME),
    modifiedAtMs: decodeTimeMs(words, STX_MTIME),
    changedAtMs: decodeTimeMs(words, STX_CTIME),
    createdAtMs: words[STX_MASK]! & STATX_BTIME_BIT ? decodeTimeMs(words, STX_BTIME) : undefined,
    identity: decodeIdentity(words),
  }
}

// ABI: the type within stx_mode, shifted right by 12, which is also that of a directory's entry.
const KINDS: Readonly<Record<number, FileKind>> = {
  1: 'pipe',
  2: 'characterDevice',
  4: 'directory',
  6: 'blockDevice',
  8: 'file',
  10: 'symbolicLink',
  12: 'socket',
}

/** The kind of a directory's entry, by its `d_type`; null where the file system does not tell. */
export function kindOfEntry(type: number): FileKind | null {
  return KINDS[type] ?? null
}

export function decodeKind(words: Uint32Array): FileKind {
  const kind = KINDS[(words[STX_MODE]! & S_IFMT) >> 12]
  assert(kind !== undefined, 'each file is of a kind')
  return kind
}

export function decodeSize(words: Uint32Array): number {
  return wide(words, STX_SIZE)
}

export function decodeIdentity(words: Uint32Array): FileIdentity {
  return {
    deviceMajor: words[STX_DEV_MAJOR]!,
    deviceMinor: words[STX_DEV_MINOR]!,
    inode: wide(words, STX_INO),
    inodeWords: [words[STX_INO]!, words[STX_INO + 1]!],
  }
}

/** Null for what is neither a file nor a block device. */
export function decodeDevice(words: Uint32Array): DeviceNumber | null {
  if (isRegular(words)) {
    return { major: words[STX_DEV_MAJOR]!, minor: words[STX_DEV_MINOR]!, isWhole: false }
  }
  if ((words[STX_MODE]! & S_IFMT) !== S_IFBLK) return null
  return { major: words[STX_RDEV_MAJOR]!, minor: words[STX_RDEV_MINOR]!, isWhole: true }
}

/** Linux 6.1; undefined where the kernel or the file system does not say. */
export function decodeAlignment(words: Uint32Array): DirectAlignment | undefined {
  if ((words[STX_MASK]! & STATX_DIOALIGN) === 0) return undefined
  return { memoryBytes: words[STX_DIO_MEM_ALIGN]!, offsetBytes: words[STX_DIO_OFFSET_ALIGN]! }
}

/** Whether two identities are of one file. */
export function isSameIdentity(a: FileIdentity, b: FileIdentity): boolean {
  return (
    a.inodeWords[0] === b.inodeWords[0] &&
    a.inodeWords[1] === b.inodeWords[1] &&
    a.deviceMajor === b.deviceMajor &&
    a.deviceMinor === b.deviceMinor
  )
}

export function isDirectory(words: Uint32Array): boolean {
  return (words[STX_MODE]! & S_IFMT) === S_IFDIR
}

export function isPipe(words: Uint32Array): boolean {
  return (words[STX_MODE]! & S_IFMT) === S_IFIFO
}

export function isRegular(words: Uint32Array): boolean {
  return (words[STX_MODE]! & S_IFMT) === S_IFREG
}

/** Whether it has positions by its type; of a character device nobody knows but its driver. */
export function isSeekable(words: Uint32Array): boolean {
  const type = words[STX_MODE]! & S_IFMT
  return type === S_IFREG || type === S_IFBLK
}

export function isCharacterDevice(words: Uint32Array): boolean {
  return (words[STX_MODE]! & S_IFMT) === S_IFCHR
}

/** Whether it is one of the kernel's memory devices: null, zero, full, random, mem … */
export function isMemoryDevice(words: Uint32Array): boolean {
  return isCharacterDevice(words) && words[STX_RDEV_MAJOR] === MEMORY_MAJOR
}

function wide(words: Uint32Array, index: number): number {
  return words[index]! + words[index + 1]! * 2 ** 32
}

// ABI: struct statx_timestamp: seconds, signed and 64 bits wide; nanoseconds.
function decodeTimeMs(words: Uint32Array, index: number): number {
  const seconds = words[index]! + (words[index + 1]! | 0) * 2 ** 32
  return seconds * 1e3 + words[index + 2]! / 1e6
}
