import { RuntimeError, showAs, validateInteger, wrongType } from '../base/index.ts'
import { Deadline, type WaitOptions } from '../executor/index.ts'
import { AT_SYMLINK_FOLLOW } from '../kernel/index.ts'
import type { Lease } from '../memory/index.ts'
import { devicesOf } from './devices/devices.ts'
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
import { checkName } from './names/look-up.ts'
import { Name } from './names/name.ts'
import { LINK, RENAME, TwoNames, Unlink } from './names/name-operations.ts'
import { alignmentOf, type OpenedFile } from './opened-file.ts'
import { RangeLock } from './ranges/range-lock.ts'
import { releaseRanges, shareRanges } from './ranges/shared-ranges.ts'
import { type AdviseOptions, advise, type FileAdvice } from './requests/advise.ts'
import { changeAlone } from './requests/change-alone.ts'
import { type CopyOptions, copyRange, refuseAppending } from './requests/copy-range.ts'
import type { Descriptor, TransferStats } from './requests/descriptor.ts'
import { hintExtentSize } from './requests/extent-size.ts'
import { type FileLock, FileLocks, type LockOptions } from './requests/file-lock.ts'
import { Statx, Sync } from './requests/file-operations.ts'
import {
  type AllocateOptions,
  allocate,
  COLLAPSE,
  changeSpace,
  INSERT,
  PUNCH,
  type ZeroOptions,
  zero,
} from './requests/space.ts'
import { truncate } from './requests/truncate.ts'
import { type FileReader, type FileReaderOptions, openReader } from './streams/file-reader.ts'
import { type FileWriter, type FileWriterOptions, openWriter } from './streams/file-writer.ts'
import type { StreamTarget } from './streams/stream-target.ts'
import { FILE_BYTES_MAX } from './values/offset.ts'
import { type FilePath, toAbsolute, toPath } from './values/path.ts'
import {
  decodeSize,
  decodeStatus,
  type FileIdentity,
  type FileStatus,
  isSameIdentity,
} from './values/status.ts'

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
  readonly ranges: RangeLock
  /** @internal Shared with what {@link dup} makes. */
  protected locks: FileLocks
  readonly #streamTarget: StreamTarget
  readonly #isTemporary: boolean
  readonly #traits: FileTraits

  /** @internal */
  constructor(kind: FileTicket['kind'], opened: OpenedFile) {
    this.descriptor = opened.descriptor
    this.identity = opened.identity
    this.ranges = rangesOf(opened)
    this.descriptor.ranges = this.ranges
    this.locks = new FileLocks(this.descriptor)
    this.descriptor.isDirect = opened.isDirect
    this.descriptor.alignmentBytes = alignmentOf(opened)
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
    return allocate(this, lengthBytes, options)
  }

  /**
   * Gives the space of a stretch back: it reads as zeros from then on. The size stays. It waits for
   * writes of this executor there.
   *
   * @throws {KernelError} `EOPNOTSUPP` where the file system has no holes.
   */
  async punch(offsetBytes: number, lengthBytes: number, options?: WaitOptions): Promise<void> {
    return changeSpace(this, PUNCH, { offsetBytes, lengthBytes }, options)
  }

  /**
   * Makes a stretch zero, and takes its space up; the file grows to its end unless it is to keep its size. It
   * waits for writes of this executor there, or beyond where the file may grow.
   *
   * @throws {KernelError} `EOPNOTSUPP` where the file system can't, `ENOSPC`, `EBADF`.
   */
  async zero(offsetBytes: number, lengthBytes: number, options: ZeroOptions = {}): Promise<void> {
    return zero(this, { offsetBytes, lengthBytes }, options)
  }

  /**
   * Takes a stretch out of the file: what is behind moves there, and the file is as much shorter. It waits for writes
   * of this executor there and behind.
   *
   * @throws {KernelError} `EINVAL` unless both are multiples of the file system's block, and the stretch ends before
   * the file does; `EOPNOTSUPP` but on ext4, XFS and f2fs.
   */
  async collapse(offsetBytes: number, lengthBytes: number, options?: WaitOptions): Promise<void> {
    return changeSpace(this, COLLAPSE, { offsetBytes, lengthBytes }, options)
  }

  /**
   * Puts a hole into the file: what is there and behind moves behind it, and the file is as much longer. It waits for
   * writes of this executor there and behind.
   *
   * @throws {KernelError} `EINVAL` unless both are multiples of the file system's block, and it begins before the file
   * ends; `EOPNOTSUPP` but on ext4, XFS and f2fs.
   */
  async insertHole(offsetBytes: number, lengthBytes: number, options?: WaitOptions): Promise<void> {
    return changeSpace(this, INSERT, { offsetBytes, lengthBytes }, options)
  }

  /**
   * Copies from another file; resolves with how many bytes, fewer than asked for only where the source ends. By the kernel, without
   * bringing them here, or even by sharing them on the disk, where it can; in another thread, in pieces of
   * 16 MiB, between which it can be cancelled: a part is copied then. Else through I/O memory.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`, `ERR_UNSUPPORTED` on a file opened for appending; {@link RangeError} for
   * stretches of one file that overlap; {@link KernelError} as `copy_file_range(2)`.
   */
  async copyFrom(source: BaseFile, options: CopyOptions = {}): Promise<number> {
    if (!(source instanceof BaseFile)) {
      throw wrongType('copy from a file', 'source', 'a file', source)
    }
    if (this.#traits.isAppending) refuseAppending()
    return copyRange(source, this, options)
  }

  /**
   * Tells the page cache how a stretch of the file is going to be used: what to read ahead, or to forget.
   *
   * @throws {KernelError} `ESPIPE` for a pipe.
   */
  async advise(advice: FileAdvice, options: AdviseOptions = {}): Promise<void> {
    return advise(this.descriptor, advice, options)
  }

  /**
   * Has XFS take up space for the file in multiples of a size, so that it stays in one piece though it grows bit by bit;
   * 0 for as it likes. For a file that is empty still.
   *
   * @throws {KernelError} `EOPNOTSUPP`, `ENOTTY` on other file systems; `EINVAL` for what is no multiple of its block, or a file with contents.
   */
  async hintExtentSize(sizeBytes: number, options?: WaitOptions): Promise<void> {
    return hintExtentSize(this.descriptor, sizeBytes, options)
  }

  /**
   * Locks the file, by `flock(2)`, against those who lock it as well: other programs, threads and objects. It waits until nobody has
   * a lock that excludes this one, looking again and again, up to 50 ms apart, and is not fair. {@link dup} shares its lock.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`; {@link KernelError} as `flock(2)`.
   *
   * @example One writer at a time, of all programs
   * ```ts run
   * import { tmpdir } from 'node:os'
   * import { join } from 'node:path'
   * import { BufferedFile } from 'percore/io'
   *
   * const path = join(tmpdir(), `percore-lock-${process.pid}`)
   * await using file = await BufferedFile.create(path)
   * await using other = await BufferedFile.open(path)
   * {
   *   await using lock = await file.lock({ timeoutMs: 1000 })
   *   console.log(lock.mode, await other.tryLock()) // exclusive null
   * }
   * console.log((await other.tryLock({ shared: true }))?.mode) // shared
   * await file.remove()
   * ```
   */
  async lock(options: LockOptions = {}): Promise<FileLock> {
    return this.locks.take(this.descriptor, options)
  }

  /** The same without waiting: null where somebody has a lock that excludes it. */
  async tryLock(options: LockOptions = {}): Promise<FileLock | null> {
    return this.locks.try(this.descriptor, options)
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
    return changeAlone(this, range, action, options, (wait) => {
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
      await new TwoNames(RENAME, executor, Name.absolute(from), Name.absolute(to)).start(
        steps.next(),
      )
      descriptor.path = to
    } finally {
      descriptor.leave()
    }
  }

  /**
   * Gives the file another name; a temporary file its first, by which it stays.
   *
   * @throws {KernelError} as `link(2)`: `EEXIST`, `EXDEV`, `ENOENT` where the file has been removed, or there is no `/proc`.
   */
  async link(path: FilePath, options?: WaitOptions): Promise<void> {
    const action = 'link a file'
    const { executor } = this.descriptor
    const to = Name.fromHere(executor, toPath(action, 'path', path))
    const refusal = this.descriptor.refusal(action)
    if (refusal !== null) return refusal
    // What it is, rather than what is called so by now. By its descriptor alone it takes a privilege.
    const self = Name.absolute(`/proc/self/fd/${this.fd}`)
    this.descriptor.enter()
    try {
      await new TwoNames(LINK, executor, self, to, AT_SYMLINK_FOLLOW).start(options)
    } finally {
      this.descriptor.leave()
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

  /** @internal */
  abstract readStretch(
    offsetBytes: number,
    lengthBytes: number,
    options?: WaitOptions,
  ): Promise<Lease>
  /** @internal */
  abstract writeStretch(data: Lease, offsetBytes: number, options?: WaitOptions): Promise<number>

  [Symbol.asyncDispose](): Promise<void> {
    return this.descriptor.close()
  }

  #refusalOfName(action: string): Promise<never> | null {
    if (!this.#isTemporary) return this.descriptor.refusal(action)
    throw new RuntimeError(
      'ERR_UNSUPPORTED',
      `Cannot ${action} as it must have a name: it was opened without, or came as a descriptor`,
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
  return { descriptor, ranges, isSeekable, isRegular, isAppending }
}
