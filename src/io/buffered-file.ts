import { isBytes, RuntimeError, validateInteger, wrongBytes, wrongType } from '../base/index.ts'
import { Deadline, type OwnedDescriptor, refuse, type WaitOptions } from '../executor/index.ts'
import { Lease } from '../memory/index.ts'
import { BaseFile } from './base-file.ts'
import type { ByteRange } from './bulk/merge-ranges.ts'
import type { BlockReader } from './bulk/planned-reads.ts'
import { type ReadMany, readMany } from './bulk/read-many.ts'
import type { ReadManyOptions } from './bulk/read-many-options.ts'
import { adoptFile, type FileTicket } from './file-ticket.ts'
import { type OpenedFile, openFile } from './opened-file.ts'
import { checkOpenOptions, type OpenOptions } from './options.ts'
import type { RangeHold } from './ranges/range-lock.ts'
import type { LockedFile } from './requests/change-alone.ts'
import { readCopy, writeCopy } from './requests/copies.ts'
import { copyPiece, PIECE_BYTES } from './requests/pieces.ts'
import {
  beginPiece,
  type ReadPlace,
  readLarge,
  readPiece,
  readPieces,
} from './requests/read-pieces.ts'
import { readRange } from './requests/read-range.ts'
import { type SpliceOptions, splice } from './requests/splice.ts'
import { partOf, Transfer } from './requests/transfer.ts'
import { NO_POSITION, WRITE_FROM } from './requests/transfer-plan.ts'
import { readVector, writeVector } from './requests/vectors.ts'
import { validateOffset } from './values/offset.ts'
import { type FilePath, toPath } from './values/path.ts'

const READ_BYTES_MAX: number = 2 ** 31 - 1

/**
 * A file read and written through the page cache: any position and length, ordinary memory.
 *
 * Data passes through I/O memory in pieces of 256 KiB. Also for what has no positions, such as pipes,
 * terminals and devices that can't seek: positions are then ignored, and a read brings what there is.
 *
 * Belongs to the executor that opened it. Linux 5.19.
 *
 * Source: glommio's `BufferedFile`.
 *
 * @example Append to a log
 * ```ts run
 * import { tmpdir } from 'node:os'
 * import { join } from 'node:path'
 * import { BufferedFile } from 'percore/io'
 *
 * const path = join(tmpdir(), `percore-log-${process.pid}`)
 * await using log = await BufferedFile.open(path, { read: true, append: true, create: true })
 * await log.append(new TextEncoder().encode('one line\n'))
 * await log.datasync()
 * console.log(await log.size()) // 9
 * await log.remove()
 * ```
 */
export class BufferedFile extends BaseFile {
  readonly #isAppending: boolean
  readonly #isSeekable: boolean

  /** @internal */
  constructor(opened: OpenedFile) {
    super('BufferedFile', opened)
    this.#isAppending = opened.request.isAppending
    this.#isSeekable = opened.isSeekable
  }

  /**
   * Opens a file, for reading only unless the options say otherwise.
   *
   * @throws {KernelError} as `open(2)`: `ENOENT`, `EACCES`, `EMFILE`, `EISDIR` …
   */
  static async open(path: FilePath, options: OpenOptions = {}): Promise<BufferedFile> {
    const checkedPath = toPath('open a file', 'path', path)
    const request = checkOpenOptions(options)
    return new BufferedFile(
      await openFile(checkedPath, request, { direct: false, fallback: false }),
    )
  }

  /** Opens a file for reading and writing; creates it, or empties it if it exists. */
  static create(path: FilePath, options: OpenOptions = {}): Promise<BufferedFile> {
    return BufferedFile.open(path, {
      read: true,
      write: true,
      create: true,
      truncate: true,
      ...options,
    })
  }

  /**
   * Takes over the file of a ticket that {@link detach} or {@link duplicate} of a buffered file made, on this thread or another; or one
   * whose descriptor came from elsewhere, which knows no path: see `UnixStream.receiveDescriptors()`.
   *
   * @throws {RuntimeError} `ERR_TICKET_SPENT` if it was adopted or discarded before, or went with its thread. `ERR_UNSUPPORTED`
   * for a descriptor of something else than a file that was opened without O_DIRECT, or that came to another thread.
   */
  static async adopt(from: FileTicket | OwnedDescriptor): Promise<BufferedFile> {
    return new BufferedFile(await adoptFile('BufferedFile', from))
  }

  /**
   * Reads into memory of its own; the result is shorter than asked for only where the file ends.
   *
   * A pipe or a terminal gives what comes first, 256 KiB at most; what it has given is delivered even if
   * the read was cancelled meanwhile.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`, `ERR_OUT_OF_MEMORY`; {@link KernelError} as `read(2)`.
   */
  read(offsetBytes: number, lengthBytes: number, options?: WaitOptions): Promise<Uint8Array> {
    try {
      const action = 'read a file'
      validateInteger(action, 'lengthBytes', lengthBytes, { min: 0, max: READ_BYTES_MAX })
      validateOffset(action, offsetBytes, lengthBytes)
      this.descriptor.assertOpen(action)
      if (lengthBytes > PIECE_BYTES) return readLarge(this.#at(offsetBytes, lengthBytes), options)
      const place = { offsetBytes, isSeekable: this.#isSeekable }
      return readCopy(this.descriptor, lengthBytes, place, options)
    } catch (error) {
      return refuse(error)
    }
  }

  /**
   * Fills memory from a position; resolves with how many bytes are valid, fewer than its length only
   * where the file ends. A `Lease` is read into without a copy.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`, `ERR_BUFFER_RELEASED`; {@link KernelError} as `read(2)`.
   */
  async readInto(
    target: Uint8Array | Lease,
    offsetBytes: number,
    options?: WaitOptions,
  ): Promise<number> {
    const action = 'read a file'
    const memory = memoryOf(action, 'target', target)
    const lengthBytes = lengthOf(memory)
    validateOffset(action, offsetBytes, lengthBytes)
    const refusal = this.descriptor.refusal(action)
    if (refusal !== null) return refusal
    if (memory instanceof Lease) {
      return readPiece(memory, this.#at(offsetBytes, lengthBytes), options)
    }
    const steps = new Deadline(this.descriptor.executor, action, options)
    let doneBytes = 0
    await readPieces(this.#at(offsetBytes, lengthBytes), steps, (bytes) => {
      memory.set(bytes, doneBytes)
      doneBytes += bytes.length
    })
    return doneBytes
  }

  /**
   * Reads many ranges, as {@link DirectFile.readMany} does: into I/O memory, without a copy.
   *
   * @throws {TypeError | RangeError} for options of the wrong kind; {@link RuntimeError} `ERR_HANDLE_CLOSED`,
   * `ERR_UNSUPPORTED` for what has no positions.
   */
  readMany<R extends ByteRange>(
    ranges: Iterable<R> | AsyncIterable<R>,
    options: ReadManyOptions = {},
  ): ReadMany<R> {
    const action = 'read many ranges'
    this.descriptor.assertOpen(action)
    if (!this.#isSeekable) {
      throw new RuntimeError('ERR_UNSUPPORTED', `Cannot ${action} as the file must have positions`)
    }
    const { descriptor } = this
    const { memory } = descriptor.executor
    const reader: BlockReader = {
      alignmentBytes: 1,
      allocateBuffer: (lengthBytes) => memory.allocate(lengthBytes),
      beginRead: (buffer, offsetBytes, wait) => {
        descriptor.assertOpen('read a file')
        return beginPiece(buffer, this.#at(offsetBytes, buffer.lengthBytes), wait)
      },
    }
    return readMany(reader, ranges, options)
  }

  /**
   * Writes all of the data at a position; resolves with its length. It must not change meanwhile. A
   * `Lease` is written from without a copy. A short write goes on by itself. It waits for those of
   * this executor that truncate, allocate, punch or append there. What a pipe has taken in whole when it
   * is cancelled counts as written.
   *
   * @throws {RuntimeError} `ERR_UNSUPPORTED` on a file opened for appending, where the kernel would
   * ignore the position; `ERR_HANDLE_CLOSED`, `ERR_BUFFER_RELEASED`; {@link KernelError} as
   * `write(2)`, when a part may have been written.
   */
  write(data: Uint8Array | Lease, offsetBytes: number, options?: WaitOptions): Promise<number> {
    try {
      const action = 'write a file'
      const memory = memoryOf(action, 'data', data)
      const lengthBytes = lengthOf(memory)
      validateOffset(action, offsetBytes, lengthBytes)
      this.descriptor.assertOpen(action)
      if (!this.#isAppending) return this.#writeAt(memory, lengthBytes, offsetBytes, options)
      throw new RuntimeError(
        'ERR_UNSUPPORTED',
        `Cannot ${action} at a position as it must not be opened for appending: use append()`,
      )
    } catch (error) {
      return refuse(error)
    }
  }

  /**
   * Writes all of the data at the end of the file, after what was appended before; resolves with its
   * length. Appends of this executor come one after the other; those of other threads and programs
   * may come between pieces of large ones.
   *
   * One that was cancelled too late resolves all the same, so that whoever tries again does not append it
   * twice. One that is stopped between the pieces of more than 256 KiB rejects, and leaves a part.
   *
   * @throws {RuntimeError} `ERR_UNSUPPORTED` unless the file was opened with `append`; else as
   * {@link write}.
   */
  async append(data: Uint8Array | Lease, options?: WaitOptions): Promise<number> {
    const action = 'append to a file'
    const memory = memoryOf(action, 'data', data)
    const lengthBytes = lengthOf(memory)
    const refusal = this.descriptor.refusal(action)
    if (refusal !== null) return refusal
    if (!this.#isAppending) {
      throw new RuntimeError(
        'ERR_UNSUPPORTED',
        `Cannot ${action} as it must be opened for that: give the option append`,
      )
    }
    const steps = new Deadline(this.descriptor.executor, action, options)
    const range = { startBytes: 0, endBytes: Infinity, isExclusive: true }
    this.descriptor.enter()
    if (memory instanceof Lease) memory.pin()
    try {
      const hold = await this.ranges.acquire(range, action, steps.next())
      try {
        return await this.#writeAll(memory, NO_POSITION, { lengthBytes, hold: null }, steps.next())
      } finally {
        this.ranges.release(hold)
      }
    } finally {
      if (memory instanceof Lease) memory.unpin()
      this.descriptor.leave()
    }
  }

  /**
   * Fills several leases from a position on, one behind the other, without a copy; resolves with how many bytes are
   * valid, fewer than there is room for only where the file ends.
   *
   * @throws {RuntimeError} `ERR_UNSUPPORTED` for what has no positions; `ERR_HANDLE_CLOSED`, `ERR_BUFFER_RELEASED`;
   * {@link KernelError} as `readv(2)`.
   */
  async readVector(
    buffers: readonly Lease[],
    offsetBytes: number,
    options?: WaitOptions,
  ): Promise<number> {
    this.#assertPlaced('read a file')
    return readVector(this.#locked, buffers, offsetBytes, options)
  }

  /**
   * Writes all of several leases at a position, one behind the other, without a copy; resolves with their length. Short
   * writes go on by themselves.
   *
   * @throws {RuntimeError} `ERR_UNSUPPORTED` on a file opened for appending, and for what has no positions;
   * `ERR_HANDLE_CLOSED`, `ERR_BUFFER_RELEASED`; {@link KernelError} as `writev(2)`, when a part may have been written.
   */
  async writeVector(
    buffers: readonly Lease[],
    offsetBytes: number,
    options?: WaitOptions,
  ): Promise<number> {
    this.#assertPlaced('write a file')
    return writeVector(this.#locked, buffers, offsetBytes, options)
  }

  /**
   * Moves bytes from another file here without bringing them to the program, if one of the two is a pipe; resolves with how many,
   * at most `lengthBytes`, 0 where the source has ended. What has been moved is told even if it was cancelled meanwhile.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`; {@link KernelError} as `splice(2)`: `EINVAL` without a pipe, or on a
   * file opened for appending.
   */
  async spliceFrom(
    source: BufferedFile,
    lengthBytes: number,
    options: SpliceOptions = {},
  ): Promise<number> {
    if (!(source instanceof BufferedFile)) {
      throw wrongType('splice files', 'source', 'a BufferedFile', source)
    }
    const from = { descriptor: source.descriptor, isSeekable: source.#isSeekable }
    const to = { descriptor: this.descriptor, isSeekable: this.#isSeekable }
    return splice(from, to, lengthBytes, options)
  }

  /**
   * A further descriptor of this file, for this thread, which is closed by itself and shares its locks.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`; {@link KernelError} `EMFILE`.
   */
  async dup(): Promise<BufferedFile> {
    const copy = await BufferedFile.adopt(this.duplicate())
    copy.locks = this.locks.sharedBy(copy.descriptor)
    return copy
  }

  /** @internal */
  override async readStretch(
    offsetBytes: number,
    lengthBytes: number,
    options?: WaitOptions,
  ): Promise<Lease> {
    this.#assertPlaced('copy from a file')
    return readRange(this.descriptor, { offsetBytes, lengthBytes }, options)
  }

  /** @internal */
  override writeStretch(data: Lease, offsetBytes: number, options?: WaitOptions): Promise<number> {
    return this.write(data, offsetBytes, options)
  }

  #at(offsetBytes: number, lengthBytes: number): ReadPlace {
    const { descriptor } = this
    return { descriptor, isSeekable: this.#isSeekable, offsetBytes, lengthBytes }
  }

  get #locked(): LockedFile {
    return { descriptor: this.descriptor, ranges: this.ranges }
  }

  #assertPlaced(action: string): void {
    if (this.#isSeekable && !(this.#isAppending && action === 'write a file')) return
    throw new RuntimeError(
      'ERR_UNSUPPORTED',
      `Cannot ${action} at a position as it must have positions, and not be opened for appending`,
    )
  }

  #writeAt(
    data: Uint8Array | Lease,
    lengthBytes: number,
    offsetBytes: number,
    options: WaitOptions | undefined,
  ): Promise<number> {
    if (!this.#isSeekable) {
      return this.#writeAll(data, offsetBytes, { lengthBytes, hold: null }, options)
    }
    const hold = this.ranges.trySharing(offsetBytes, offsetBytes + lengthBytes)
    if (hold === null) return this.#writeInTurn(data, lengthBytes, offsetBytes, options)
    return this.#writeAll(data, offsetBytes, { lengthBytes, hold }, options)
  }

  /** Waits for operations that change the size there, or whole blocks. */
  #writeInTurn(
    data: Uint8Array | Lease,
    lengthBytes: number,
    offsetBytes: number,
    options: WaitOptions | undefined,
  ): Promise<number> {
    const { descriptor, ranges } = this
    const action = 'write a file'
    const steps = options === undefined ? null : new Deadline(descriptor.executor, action, options)
    const endBytes = offsetBytes + lengthBytes
    const range = { startBytes: offsetBytes, endBytes, isExclusive: false }
    const turn = ranges.acquire(range, action, steps?.next())
    descriptor.enter()
    if (data instanceof Lease) data.pin()
    const end = (): void => {
      if (data instanceof Lease) data.unpin()
      descriptor.leave()
    }
    // No async function: what it keeps while it waits is twice as much, and many may wait.
    return turn.then(
      (hold) => {
        try {
          return this.#writeHeld(data, offsetBytes, { lengthBytes, hold }, steps)
        } finally {
          end()
        }
      },
      (error) => {
        end()
        throw error
      },
    )
  }

  #writeHeld(
    data: Uint8Array | Lease,
    offsetBytes: number,
    held: { readonly lengthBytes: number; readonly hold: RangeHold },
    steps: Deadline | null,
  ): Promise<number> {
    let options: WaitOptions | undefined
    try {
      options = steps?.next()
    } catch (error) {
      this.ranges.release(held.hold)
      throw error
    }
    return this.#writeAll(data, offsetBytes, held, options)
  }

  /** Writes, and gives `hold` free at the end, if there is one. */
  #writeAll(
    data: Uint8Array | Lease,
    offsetBytes: number,
    { lengthBytes, hold }: { readonly lengthBytes: number; readonly hold: RangeHold | null },
    options: WaitOptions | undefined,
  ): Promise<number> {
    const { descriptor, ranges } = this
    if (!(data instanceof Lease) && lengthBytes > PIECE_BYTES) {
      return this.#writeMany(data, offsetBytes, hold, options)
    }
    try {
      if (data instanceof Lease) {
        return this.#pieceOf(data, lengthBytes, offsetBytes).startHeld(hold, options)
      }
      const place = { offsetBytes, isSeekable: this.#isSeekable, hold }
      return writeCopy(descriptor, data, place, options)
    } catch (error) {
      if (hold !== null) ranges.release(hold)
      throw error
    }
  }

  async #writeMany(
    data: Uint8Array,
    offsetBytes: number,
    hold: RangeHold | null,
    options: WaitOptions | undefined,
  ): Promise<number> {
    try {
      return await this.#writePieces(data, offsetBytes, options)
    } finally {
      if (hold !== null) this.ranges.release(hold)
    }
  }

  async #writePieces(
    data: Uint8Array,
    offsetBytes: number,
    options: WaitOptions | undefined,
  ): Promise<number> {
    const { descriptor } = this
    const lengthBytes = data.length
    const steps = new Deadline(descriptor.executor, 'write a file', options)
    using buffer = descriptor.executor.memory.allocateOwn(PIECE_BYTES)
    descriptor.enter()
    try {
      for (let doneBytes = 0; doneBytes < lengthBytes; doneBytes += PIECE_BYTES) {
        const pieceBytes = Math.min(lengthBytes - doneBytes, PIECE_BYTES)
        copyPiece(data, doneBytes, buffer.bytes.subarray(0, pieceBytes))
        const at = offsetBytes === NO_POSITION ? NO_POSITION : offsetBytes + doneBytes
        const piece = this.#pieceOf(buffer, pieceBytes, at)
        await piece.start(steps.next())
      }
      return lengthBytes
    } finally {
      descriptor.leave()
    }
  }

  #pieceOf(buffer: Lease, lengthBytes: number, offsetBytes: number): Transfer<number> {
    const memory = partOf(buffer, 0, lengthBytes)
    const position = this.#isSeekable ? offsetBytes : NO_POSITION
    return new Transfer(WRITE_FROM, this.descriptor, buffer, memory, position)
  }
}

/** What to move: a lease on memory that the kernel cannot reach is as good as its bytes. */
function memoryOf(action: string, name: string, value: Uint8Array | Lease): Uint8Array | Lease {
  if (isBytes(value)) return value
  if (!(value instanceof Lease)) throw wrongBytes(action, name, value, 'a Uint8Array or a Lease')
  value.assertHeld()
  return value.address === 0 ? value.bytes : value
}

function lengthOf(memory: Uint8Array | Lease): number {
  return memory instanceof Lease ? memory.lengthBytes : memory.length
}
