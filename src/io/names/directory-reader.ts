import { assert } from '../../base/index.ts'
import type { Executor, WaitOptions } from '../../executor/index.ts'
import {
  AT_SYMLINK_NOFOLLOW,
  ENOENT,
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_RDONLY,
  STATX_TYPE,
} from '../../kernel/index.ts'
import { type AsideCall, callAside } from '../requests/aside.ts'
import { Descriptor } from '../requests/descriptor.ts'
import { decodeKind, type FileKind, kindOfEntry } from '../values/status.ts'
import { LookUp } from './look-up.ts'
import { Name } from './name.ts'
import { Open } from './name-operations.ts'

/** How much of a directory is in memory at a time: some hundreds of names. */
const BATCH_BYTES = 32_768
// ABI: struct linux_dirent64: inode, offset of the next, length, type, name.
const RECORD_LENGTH = 16
const RECORD_TYPE = 18
const RECORD_NAME = 19
const DOT = 0x2e
const ASCII_MAX = 0x7f

/** A name that a directory has told. */
export interface RawEntry {
  readonly name: string
  /** The name where it is not UTF-8: `name` has U+FFFD in place of what is not, and names nothing. */
  readonly bytes: Uint8Array | null
  /** Null where the file system does not tell. */
  readonly kind: FileKind | null
}

/** Opens a directory, for its own descriptor's sake: the position of a listing is part of that. */
export async function openDirectory(
  executor: Executor,
  name: Name,
  followsLink: boolean,
  options: WaitOptions | undefined,
): Promise<Descriptor> {
  const flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (followsLink ? 0 : O_NOFOLLOW)
  const request = { flags, mode: 0, mayWait: false, keepsLate: false }
  const fd = await new Open(executor, name, request, 'open a directory').start(options)
  return new Descriptor(executor, fd, name.fullPath)
}

/**
 * Reads the names of an open directory, in batches by another thread: there is no opcode for it.
 *
 * Memory is that of one batch. What is created or removed meanwhile may be told or not; all else is, once.
 */
export class DirectoryReader {
  readonly #descriptor: Descriptor
  // Made once: listing a large directory would else leave megabytes behind.
  readonly #buffer: Buffer = Buffer.alloc(BATCH_BYTES)
  #atBytes = 0
  #endBytes = 0

  constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor
  }

  /** The next name of the batch in memory; null if there is none. */
  take(): RawEntry | null {
    while (this.#atBytes < this.#endBytes) {
      const at = this.#atBytes
      const recordBytes = this.#buffer.readUInt16LE(at + RECORD_LENGTH)
      assert(recordBytes > RECORD_NAME, 'an entry has a name')
      this.#atBytes = at + recordBytes
      const from = at + RECORD_NAME
      const to = this.#buffer.indexOf(0, from)
      if (!this.#isDots(from, to)) return this.#entry(from, to, this.#buffer[at + RECORD_TYPE]!)
    }
    return null
  }

  /** Reads the next batch, once that in memory is used up; false at the end. */
  async read(options: WaitOptions | undefined): Promise<boolean> {
    assert(this.#atBytes === this.#endBytes, 'a batch is used up before the next is read')
    const { aside } = this.#descriptor.executor.kernel
    const buffer = this.#buffer
    const call: AsideCall = {
      action: 'list a directory',
      syscall: 'getdents',
      begin: (fd, done) => aside.readDirectory(fd, buffer, done),
    }
    this.#endBytes = await callAside(this.#descriptor, call, options)
    this.#atBytes = 0
    return this.#endBytes > 0
  }

  /** Asks for the kind of a name of which the directory does not tell it; null if it is gone by now. */
  async kindOf(entry: RawEntry, options: WaitOptions | undefined): Promise<FileKind | null> {
    const request = {
      action: 'list a directory',
      syscall: 'statx',
      flags: AT_SYMLINK_NOFOLLOW,
      mask: STATX_TYPE,
      decode: decodeKind,
    }
    const name = Name.listed(this.#descriptor, entry.bytes ?? entry.name)
    try {
      return await new LookUp(this.#descriptor.executor, name, request).start(options)
    } catch (error) {
      if ((error as { errno?: number }).errno !== -ENOENT) throw error
      return null
    }
  }

  #isDots(from: number, to: number): boolean {
    const buffer = this.#buffer
    if (buffer[from] !== DOT) return false
    return to - from === 1 || (to - from === 2 && buffer[from + 1] === DOT)
  }

  #entry(from: number, to: number, type: number): RawEntry {
    const buffer = this.#buffer
    let isPlain = true
    for (let at = from; at < to; at++) if (buffer[at]! > ASCII_MAX) isPlain = false
    const name = buffer.toString(isPlain ? 'latin1' : 'utf8', from, to)
    // A name may hold U+FFFD itself; what has been replaced is longer or shorter than it was, or differs.
    const isExact = isPlain || Buffer.from(name).equals(buffer.subarray(from, to))
    const bytes = isExact ? null : Uint8Array.prototype.slice.call(buffer, from, to)
    return { name, bytes, kind: kindOfEntry(type) }
  }
}
