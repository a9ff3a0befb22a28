import {
  optionNames,
  RuntimeError,
  showAs,
  validateInteger,
  validateOptions,
  wrongType,
} from '../base/index.ts'
import type { WaitOptions } from '../executor/index.ts'
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from '../kernel/index.ts'
import { Deadline } from './deadline.ts'
import type { Descriptor, TransferStats } from './descriptor.ts'
import { devicesOf } from './devices.ts'
import { Allocate, Statx, Sync } from './file-operations.ts'
import { type FileReader, type FileReaderOptions, openReader } from './file-reader.ts'
import {
  checkDetach,
  discardFile,
  duplicateFile,
  type FileDetachOptions,
  type FileTicket,
  type FileTicketOptions,
  type FileTraits,
  passFile,
} from './file-ticket.ts'
import { type FileWriter, type FileWriterOptions, openWriter } from './file-writer.ts'
import { checkName } from './look-up.ts'
import { Name } from './name.ts'
import { Rename, Unlink } from './name-operations.ts'
import { alignmentOf, type OpenedFile } from './opened-file.ts'
import { type FilePath, toAbsolute, toPath } from './path.ts'
import { type RangeHold, RangeLock } from './range-lock.ts'
import { releaseRanges, shareRanges } from './shared-ranges.ts'
import {
  decodeSize,
  decodeStatus,
  type FileIdentity,
  type FileStatus,
  isSameIdentity,
} from './status.ts'
import type { StreamTarget } from './stream-target.ts'
import { truncate } from './truncate.ts'

/** Options of {@link BaseFile.allocate}. */
export interface AllocateOptions extends WaitOptions {
  /** Where the space begins; 0 if not given. */
  readonly offsetBytes?: number | undefined
  /** Whether the file keeps its size, though space beyond it is reserved. */
  readonly keepSize?: boolean | undefined
}

const ALLOCATE_NAMES = optionNames<AllocateOptions>({
  offsetBytes: true,
  keepSize: true,
  signal: true,
  timeoutMs: true,
})

/** Positions and sizes stay exact numbers. */
export const FILE_BYTES_MAX: number = Number.MAX_SAFE_INTEGER

/**
 * What direct and buffered files have in common. Belongs to the executor that opened it.
 *
 * Every operation accepts a signal and a time limit. A file that is never closed is closed with its
 * thread's environment.
 */
export abstract class BaseFile implements AsyncDisposable {
  static {
    showAs(
      BaseFile,
      (file) => `${file.constructor.name} '${file.path}' ${file.isClosed ? 'closed' : 'open'}`,
    )
  }

  /** Which file it is, whatever its names. */
  readonly identity: FileIdentity
  /** @internal */
  readonly descriptor: Descriptor
  /** @internal */
  protected readonly ranges: RangeLock
  readonly #streamTarget: StreamTarget
  readonly #isTemporary: boolean
  readonly #traits: FileTraits

  /** @internal */
  constructor(kind: FileTicket['kind'], opened: OpenedFile) {
    this.descriptor = opened.descriptor
    this.identity = opened.identity
    this.ranges = rangesOf(opened)
    this.descriptor.ranges = this.ranges
    this.descriptor.isDirect = opened.isDirect
    if (opened.device !== null) {
      this.descriptor.dispatcher = devicesOf(this.descriptor.executor).dispatcherOf(opened.device)
    }
    const { isReadable, isAppending, isTemporary } = opened.request
    this.#isTemporary = isTemporary
    this.#streamTarget = streamTargetOf(opened, this.ranges)
    const { isDirect } = opened
    const isPolled = opened.descriptor.polling !== null
    this.#traits = { kind, isDirect, isReadable, isAppending, isTemporary, isPolled }
  }

  /**
   * Closes the file of a ticket, if nobody has adopted or discarded it; whether it was so. On any thread.
   *
   * @throws {TypeError | RangeError} for what is no ticket.
   */
  static discard(ticket: FileTicket): boolean {
    return discardFile(ticket)
  }

  /** The absolute path it was opened by, or renamed to; the directory of a temporary file. */
  get path(): string {
    return this.descriptor.path
  }

  /** The descriptor's number, or -1 once closed. */
  get fd(): number {
    return this.descriptor.fd
  }

  /** Whether {@link close} has been called. */
  get isClosed(): boolean {
    return this.descriptor.isClosed
  }

  /** Operations under way, for which {@link close} waits. */
  get inFlightCount(): number {
    return this.descriptor.inFlightCount
  }

  /** Transfers since it was opened; reading does not reset them. */
  stats(): TransferStats {
    return this.descriptor.stats()
  }

  /** Whether both are descriptors of one file. */
  isSameFile(other: BaseFile): boolean {
    if (!(other instanceof BaseFile)) throw wrongType('compare files', 'other', 'a file', other)
    return isSameIdentity(this.identity, other.identity)
  }

  /** @throws {RuntimeError} `ERR_HANDLE_CLOSED`; {@link KernelError} as `statx(2)`. */
  async stat(options?: WaitOptions): Promise<FileStatus> {
    const refusal = this.descriptor.refusal('ask about a file')
    if (refusal !== null) return refusal
    return new Statx(this.descriptor, decodeStatus).start(options)
  }

  /** The size in bytes; 0 for what has none, such as a block device. */
  async size(options?: WaitOptions): Promise<number> {
    const refusal = this.descriptor.refusal('ask for the size of a file')
    if (refusal !== null) return refusal
    return new Statx(this.descriptor, decodeSize).start(options, 'ask for the size of a file')
  }

  /**
   * Makes what was written survive a loss of power. Writes still under way are not covered.
   *
   * @throws {KernelError} `EIO`, `ENOSPC`, `EDQUOT`: earlier writes may then be lost.
   */
  async sync(options?: WaitOptions): Promise<void> {
    const refusal = this.descriptor.refusal('sync a file')
    if (refusal !== null) return refusal
    return new Sync(this.descriptor, false).start(options)
  }

  /** The same but for times and other metadata that reading the data does not need. */
  async datasync(options?: WaitOptions): Promise<void> {
    const refusal = this.descriptor.refusal('sync a file')
    if (refusal !== null) return refusal
    return new Sync(this.descriptor, true).start(options)
  }

  /**
   * Reserves space, so that writing there cannot fail for lack of it; the file grows to its end
   * unless it is to keep its size. Never shrinks a file, nor changes data. It waits for writes of
   * this executor there, or beyond where the file may grow.
   *
   * @throws {KernelError} `ENOSPC`, `EOPNOTSUPP`, `EBADF` on a file opened for reading only.
   */
  async allocate(lengthBytes: number, options: AllocateOptions = {}): Promise<void> {
    const action = 'allocate space in a file'
    validateInteger(action, 'lengthBytes', lengthBytes, { min: 1, max: FILE_BYTES_MAX })
    validateOptions(action, options, ALLOCATE_NAMES)
    const { offsetBytes = 0, keepSize = false, signal, timeoutMs } = options
    validateOffset(action, offsetBytes, lengthBytes)
    if (typeof keepSize !== 'boolean') throw wrongType(action, 'keepSize', 'a boolean', keepSize)
    const refusal = this.descriptor.refusal(action)
    if (refusal !== null) return refusal
    const mode = keepSize ? FALLOC_FL_KEEP_SIZE : 0
    // What may grow the file is alone behind, where a write may be about to set the size.
    const endBytes = keepSize ? offsetBytes + lengthBytes : Infinity
    const range = { startBytes: offsetBytes, endBytes, isExclusive: true }
    const args = { offsetBytes, lengthBytes, mode }
    const wait = { signal, timeoutMs }
    return this.#changeAlone(range, action, wait, (wait) => {
      return new Allocate(this.descriptor, args).start(wait, action)
    })
  }

  /**
   * Gives the space of a stretch back: it reads as zeros from then on. The size stays. It waits for
   * writes of this executor there.
   *
   * @throws {KernelError} `EOPNOTSUPP` where the file system has no holes.
   */
  async punch(offsetBytes: number, lengthBytes: number, options?: WaitOptions): Promise<void> {
    const action = 'punch a hole in a file'
    validateInteger(action, 'lengthBytes', lengthBytes, { min: 1, max: FILE_BYTES_MAX })
    validateOffset(action, offsetBytes, lengthBytes)
    const refusal = this.descriptor.refusal(action)
    if (refusal !== null) return refusal
    const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
    const endBytes = offsetBytes + lengthBytes
    const range = { startBytes: offsetBytes, endBytes, isExclusive: true }
    const args = { offsetBytes, lengthBytes, mode }
    return this.#changeAlone(range, action, options, (wait) => {
      return new Allocate(this.descriptor, args).start(wait, action)
    })
  }

  /**
   * Cuts the file, or extends it with zeros. It waits for writes of this executor
   * beyond that size, and they for it.
   *
   * Before Linux 6.9 the ring has no such operation: another thread makes up for it, where nothing cancels it
   * any more.
   *
   * @throws {KernelError} `EINVAL` on a file opened for reading only, `EFBIG`, `ENOSPC`.
   */
  async truncate(sizeBytes: number, options?: WaitOptions): Promise<void> {
    const action = 'truncate a file'
    validateInteger(action, 'sizeBytes', sizeBytes, { min: 0, max: FILE_BYTES_MAX })
    const refusal = this.descriptor.refusal(action)
    if (refusal !== null) return refusal
    const range = { startBytes: sizeBytes, endBytes: Infinity, isExclusive: true }
    return this.#changeAlone(range, action, options, (wait) => {
      return truncate(this.descriptor, sizeBytes, (operation) => operation.start(wait, action))
    })
  }

  /**
   * Renames the file, replacing what has that name; {@link path} is the new one from then on.
   *
   * @throws {RuntimeError} `ERR_NAME_TAKEN` if {@link path} is another file's by now; `ERR_UNSUPPORTED` for a
   * temporary file; {@link KernelError} as `rename(2)`.
   */
  async rename(newPath: FilePath, options?: WaitOptions): Promise<void> {
    const action = 'rename a file'
    const { descriptor, identity } = this
    const { executor } = descriptor
    const to = toAbsolute(executor, toPath(action, 'newPath', newPath))
    const refusal = this.#refusalOfName(action)
    if (refusal !== null) return refusal
    const steps = new Deadline(executor, action, options)
    descriptor.enter()
    try {
      const from = descriptor.path
      await checkName(descriptor, identity, { action, syscall: 'rename', steps })
      await new Rename(executor, Name.absolute(from), Name.absolute(to)).start(steps.next())
      descriptor.path = to
    } finally {
      descriptor.leave()
    }
  }

  /**
   * Removes the file's name; its data goes with the last descriptor.
   *
   * @throws {RuntimeError} `ERR_NAME_TAKEN` if {@link path} is another file's by now; `ERR_UNSUPPORTED` for a
   * temporary file; {@link KernelError} as `unlink(2)`.
   */
  async remove(options?: WaitOptions): Promise<void> {
    const action = 'remove a file'
    const { descriptor, identity } = this
    const refusal = this.#refusalOfName(action)
    if (refusal !== null) return refusal
    const steps = new Deadline(descriptor.executor, action, options)
    descriptor.enter()
    try {
      const { path } = descriptor
      await checkName(descriptor, identity, { action, syscall: 'unlink', steps })
      await new Unlink(descriptor.executor, Name.absolute(path)).start(steps.next())
    } finally {
      descriptor.leave()
    }
  }

  /**
   * Reads the file from a position on, with blocks read ahead: a loop over it gives chunks that are the caller's for good,
   * one over its `leases()` the blocks themselves. See {@link FileReader}.
   *
   * Closing the file ends it.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`; `ERR_UNSUPPORTED` for a start in what has no positions; the signal's
   * reason if it is aborted already.
   */
  stream(options?: FileReaderOptions): FileReader {
    return openReader(this.#streamTarget, options)
  }

  /**
   * Writes the file from a position on: small writes are gathered, and blocks written behind them. See {@link FileWriter}.
   *
   * Closing the file ends it, and reports what could not be written.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`; `ERR_UNSUPPORTED` for a start in what appends, or has no positions; the
   * signal's reason if it is aborted already.
   */
  writer(options?: FileWriterOptions): FileWriter {
    return openWriter(this.#streamTarget, options)
  }

  /**
   * Closes the file once the operations under way have ended; new ones are refused at once.
   *
   * Calling it again waits for the same end, and resolves if that has come. It can't be cancelled.
   *
   * @throws {KernelError} `EIO`, `ENOSPC`, `EDQUOT`: the file is closed, but earlier writes may be lost.
   */
  close(): Promise<void> {
    return this.descriptor.close()
  }

  /**
   * Gives the file to another thread of the process: a ticket, to be posted, by which `DirectFile.adopt()` or
   * `BufferedFile.adopt()` takes it over there, once. Here it is closed then, without its descriptor being so.
   *
   * New operations are refused at once; those under way come to their end first. If that is cancelled the file is here as
   * before. Who has the ticket is responsible for it: see {@link discard}.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`; {@link KernelError} `ENOSPC` where two million are on their way.
   *
   * Source: glommio's `DmaFile`, which is sent as an `OwnedDmaFile`.
   */
  async detach(options: FileDetachOptions = {}): Promise<FileTicket> {
    const action = 'detach a file'
    const { outlives, wait } = checkDetach(action, options)
    return await this.descriptor.detach(action, wait, (fd) =>
      passFile(this.descriptor, fd, this.#traits, outlives),
    )
  }

  /**
   * A ticket for a further descriptor of this file, which stays open here: for another thread, or for this one. Each is closed
   * by itself, and operations on one do not wait for those on another of another thread: agree on who writes where.
   *
   * One system call, which does not block.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`; {@link KernelError} `EMFILE`, `ENOSPC`.
   *
   * @example Read a file on this thread and another
   * ```ts run
   * import { BufferedFile } from 'percore/io'
   *
   * await using file = await BufferedFile.open('/proc/self/stat')
   * const message = structuredClone({ ticket: file.duplicate() }) // as postMessage() does
   * await using same = await BufferedFile.adopt(message.ticket)
   * console.log(same.isSameFile(file)) // true
   * ```
   */
  duplicate(options: FileTicketOptions = {}): FileTicket {
    return duplicateFile(this.descriptor, this.#traits, options)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.descriptor.close()
  }

  /** Runs an operation while nobody else of this executor writes there. */
  async #changeAlone(
    range: RangeHold,
    action: string,
    options: WaitOptions | undefined,
    run: (options: WaitOptions | undefined) => Promise<void>,
  ): Promise<void> {
    const steps = new Deadline(this.descriptor.executor, action, options)
    this.descriptor.enter()
    try {
      const hold = await this.ranges.acquire(range, action, steps.next())
      try {
        await run(steps.next())
      } finally {
        this.ranges.release(hold)
      }
    } finally {
      this.descriptor.leave()
    }
  }

  #refusalOfName(action: string): Promise<never> | null {
    if (!this.#isTemporary) return this.descriptor.refusal(action)
    throw new RuntimeError(
      'ERR_UNSUPPORTED',
      `Cannot ${action} as it must have a name: it was opened with tmpfile`,
    )
  }
}

/** The lock of the file, shared by its descriptors; what has no positions has nothing to share. */
function rangesOf({ descriptor, identity, isSeekable }: OpenedFile): RangeLock {
  const { executor } = descriptor
  if (!isSeekable) return new RangeLock(executor)
  descriptor.onClosed = () => releaseRanges(executor, identity)
  return shareRanges(executor, identity)
}

function streamTargetOf(opened: OpenedFile, ranges: RangeLock): StreamTarget {
  const { descriptor, isSeekable, isRegular, request } = opened
  const { isAppending } = request
  const alignmentBytes = alignmentOf(opened)
  return { descriptor, ranges, alignmentBytes, isSeekable, isRegular, isAppending }
}

/** @throws {TypeError | RangeError} unless a whole number, with `lengthBytes` more still being one. */
export function validateOffset(action: string, offsetBytes: number, lengthBytes: number): void {
  const max = FILE_BYTES_MAX - lengthBytes
  validateInteger(action, 'offsetBytes', offsetBytes, { min: 0, max })
}
