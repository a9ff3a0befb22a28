import {
  alignDown,
  alignUp,
  GIB,
  isBytes,
  optionNames,
  RuntimeError,
  validateInteger,
  wrongBytes,
  wrongType,
} from '../base/index.ts'
import {
  Deadline,
  executor,
  type OwnedDescriptor,
  refusalOf,
  refuse,
  type WaitOptions,
} from '../executor/index.ts'
import { Lease } from '../memory/index.ts'
import type { MemoryRef } from '../ring/index.ts'
import { BaseFile } from './base-file.ts'
import type { ByteRange } from './bulk/merge-ranges.ts'
import { type ReadMany, readMany } from './bulk/read-many.ts'
import type { ReadManyOptions } from './bulk/read-many-options.ts'
import { POLL_MODES, type PollMode } from './devices/polling.ts'
import { adoptFile, type FileTicket } from './file-ticket.ts'
import { type OpenedFile, openFile } from './opened-file.ts'
import { checkOpenOptions, OPEN_OPTIONS, type OpenOptions, refuseAppend } from './options.ts'
import type { RangeHold } from './ranges/range-lock.ts'
import { readRange } from './requests/read-range.ts'
import { replaceBytes } from './requests/replace-bytes.ts'
import { partOf, Transfer } from './requests/transfer.ts'
import { READ_INTO, WRITE_FROM } from './requests/transfer-plan.ts'
import { readVector, writeVector } from './requests/vectors.ts'
import { FILE_BYTES_MAX, validateOffset } from './values/offset.ts'
import { type FilePath, toPath } from './values/path.ts'

/** How a direct file is opened. */
export interface DirectOpenOptions extends OpenOptions {
  /** `'buffered'` opens a file whose file system refuses O_DIRECT through the page cache instead. */
  readonly fallback?: 'buffered' | undefined
  /**
   * Whether the device is polled for reads and writes, which spares interrupts and wake-ups: the least latency, for a thread that does
   * not sleep while one is under way. `'auto'`, if not given, does where the device has queues for that and its file system can: such queues
   * are there only if somebody has asked for them (`nvme.poll_queues`). Writes into a file system, where polling gains nothing, and operations of queues that are
   * sensitive to latency, which busy JavaScript is to see at once, are told of by interrupts all the same. `'always'` polls for all, or refuses to open; `'never'` lets the thread sleep.
   */
  readonly poll?: PollMode | undefined
}

const OPEN_NAMES = optionNames<DirectOpenOptions>({ ...OPEN_OPTIONS, fallback: true, poll: true })

/** One transfer's worth: larger ones do not fit an arena. */
const TRANSFER_BYTES_MAX: number = GIB

/**
 * A file whose I/O goes past the page cache (O_DIRECT), between the device and I/O memory.
 *
 * The fast path is {@link readInto} and {@link write} with buffers of {@link allocateBuffer}: no copy,
 * one request, positions and lengths multiples of {@link alignmentBytes}. {@link read} takes any
 * position and length, still without a copy; {@link writeBytes} any bytes, copied, and slower when
 * they are not aligned.
 *
 * Belongs to the executor that opened it. Linux 5.19.
 *
 * Source: glommio's `DmaFile`.
 *
 * @example Write a block and read a part of it
 * ```ts run
 * import { tmpdir } from 'node:os'
 * import { join } from 'node:path'
 * import { DirectFile } from 'percore/io'
 *
 * const path = join(tmpdir(), `percore-direct-${process.pid}`)
 * await using file = await DirectFile.create(path, { fallback: 'buffered' })
 * await file.writeBytes(new TextEncoder().encode('hello, disk'), 0)
 * using part = await file.read(7, 100)
 * console.log(new TextDecoder().decode(part.bytes)) // disk
 * await file.remove()
 * ```
 */
export class DirectFile extends BaseFile {
  readonly #mask: number
  readonly #isRegular: boolean
  readonly #isReadable: boolean

  /** @internal */
  constructor(opened: OpenedFile) {
    super('DirectFile', opened)
    this.#mask = this.alignmentBytes - 1
    this.#isRegular = opened.isRegular
    this.#isReadable = opened.request.isReadable
  }

  /** What positions and lengths must be multiples of, a power of two; 1 if not {@link isDirect}. */
  get alignmentBytes(): number {
    return this.descriptor.alignmentBytes
  }

  /** Whether I/O goes past the page cache: false only with the option `fallback`. */
  get isDirect(): boolean {
    return this.descriptor.isDirect
  }

  /** Whether its device is polled for reads and writes: see the option `poll`. A device that refuses them after all ends it. */
  get isPolled(): boolean {
    return this.descriptor.polling !== null
  }

  /**
   * Opens a file, for reading only unless the options say otherwise.
   *
   * @throws {RuntimeError} `ERR_UNSUPPORTED` where the file system refuses direct I/O, unless
   * `fallback` is given, or polling is with `poll: 'always'`; {@link KernelError} as `open(2)`: `ENOENT`, `EACCES`, `EMFILE` …
   */
  static async open(path: FilePath, options: DirectOpenOptions = {}): Promise<DirectFile> {
    const checkedPath = toPath('open a file', 'path', path)
    const request = checkOpenOptions(options, OPEN_NAMES)
    const { fallback, poll = 'auto' } = options
    if (!POLL_MODES.includes(poll)) {
      throw wrongType('open a file', 'poll', "'auto', 'never' or 'always'", poll)
    }
    if (fallback !== undefined && fallback !== 'buffered') {
      throw wrongType('open a file', 'fallback', "'buffered'", fallback)
    }
    refuseAppend(request)
    const refusal = refusalOf('open a file')
    if (refusal !== null) return refusal
    executor().io.registerMemory()
    const mode = { direct: true, fallback: fallback === 'buffered', poll }
    return new DirectFile(await openFile(checkedPath, request, mode))
  }

  /** Opens a file for reading and writing; creates it, or empties it if it exists. */
  static create(path: FilePath, options: DirectOpenOptions = {}): Promise<DirectFile> {
    return DirectFile.open(path, {
      read: true,
      write: true,
      create: true,
      truncate: true,
      ...options,
    })
  }

  /**
   * Takes over the file of a ticket that {@link detach} or {@link duplicate} of a direct file made, on this thread or another; or one
   * whose descriptor came from elsewhere, which knows no path: see `UnixStream.receiveDescriptors()`.
   *
   * @throws {RuntimeError} `ERR_TICKET_SPENT` if it was adopted or discarded before, or went with its thread. `ERR_UNSUPPORTED`
   * for a descriptor of something else than a file that was opened with O_DIRECT, or that came to another thread.
   */
  static async adopt(from: FileTicket | OwnedDescriptor): Promise<DirectFile> {
    return new DirectFile(await adoptFile('DirectFile', from))
  }

  /**
   * I/O memory for {@link readInto} and {@link write}, its length rounded up to the alignment.
   *
   * @throws {RuntimeError} `ERR_OUT_OF_MEMORY`
   */
  allocateBuffer(lengthBytes: number): Lease {
    const bounds = { min: 1, max: TRANSFER_BYTES_MAX }
    validateInteger('allocate a buffer', 'lengthBytes', lengthBytes, bounds)
    const { memory } = this.descriptor.executor
    return memory.allocate(alignUp(lengthBytes, this.alignmentBytes))
  }

  /**
   * Fills a buffer from an aligned position; resolves with how many bytes are valid, fewer than its
   * length only where the file ends. One request, no copy; the buffer stays taken until it is over.
   *
   * @throws {RuntimeError} `ERR_UNALIGNED`, `ERR_BUFFER_RELEASED`, `ERR_HANDLE_CLOSED`;
   * {@link KernelError} as `read(2)`.
   */
  readInto(buffer: Lease, offsetBytes: number, options?: WaitOptions): Promise<number> {
    try {
      return this.beginRead(buffer, offsetBytes, options).promise
    } catch (error) {
      return refuse(error)
    }
  }

  /** @internal The same for one that keeps it to cancel it; throws what refuses it. */
  beginRead(
    buffer: Lease,
    offsetBytes: number,
    options: WaitOptions | undefined,
  ): Transfer<number> {
    this.#checkTransfer('read a file', buffer, offsetBytes)
    const operation = new Transfer(READ_INTO, this.descriptor, buffer, buffer, offsetBytes)
    void operation.start(options)
    return operation
  }

  /**
   * Reads any stretch of the file; the lease shows exactly its bytes, fewer where the file ends, and
   * is yours until you dispose it. Whole blocks are read, so aligned stretches take the least memory.
   *
   * @throws {RuntimeError} `ERR_OUT_OF_MEMORY`, `ERR_HANDLE_CLOSED`; {@link KernelError} as `read(2)`.
   */
  read(offsetBytes: number, lengthBytes: number, options?: WaitOptions): Promise<Lease> {
    try {
      const action = 'read a file'
      validateInteger(action, 'lengthBytes', lengthBytes, { min: 0, max: TRANSFER_BYTES_MAX })
      validateOffset(action, offsetBytes, lengthBytes)
      this.descriptor.assertOpen(action)
      return readRange(this.descriptor, { offsetBytes, lengthBytes }, options)
    } catch (error) {
      return refuse(error)
    }
  }

  /**
   * Reads many ranges, ahead and with as few reads as the limits allow, and gives each in the order asked for: what lies together in the
   * file is read together, and what several need is read once. Nothing is copied: results are slices of what was read.
   *
   * What the iterable gives at once, up to 512 ranges, is looked at together; it may be endless, and is taken as results are.
   * A range is shorter where the file ends. One that could not be read says so itself ({@link RangeRead.error}); the
   * others go on. `timeoutMs` is for each read, `signal` for all.
   *
   * @throws {TypeError | RangeError} for options of the wrong kind; {@link RuntimeError} `ERR_HANDLE_CLOSED`.
   *
   * Source: glommio's `DmaFile::read_many`.
   *
   * @example Read records by their places, whatever else is known of them
   * ```ts run
   * import { tmpdir } from 'node:os'
   * import { join } from 'node:path'
   * import { DirectFile } from 'percore/io'
   *
   * const path = join(tmpdir(), `percore-many-${process.pid}`)
   * await using file = await DirectFile.create(path, { fallback: 'buffered' })
   * await file.writeBytes(Buffer.from('apples, pears, plums'), 0)
   * const ranges = [
   *   { name: 'second', offsetBytes: 8, lengthBytes: 5 },
   *   { name: 'first', offsetBytes: 0, lengthBytes: 6 },
   * ]
   * for await (const { range, bytes } of file.readMany(ranges)) {
   *   console.log(range.name, new TextDecoder().decode(bytes)) // second pears, then first apples
   * }
   * await file.remove()
   * ```
   */
  readMany<R extends ByteRange>(
    ranges: Iterable<R> | AsyncIterable<R>,
    options: ReadManyOptions = {},
  ): ReadMany<R> {
    this.descriptor.assertOpen('read many ranges')
    return readMany(this, ranges, options)
  }

  /**
   * Writes all of a buffer at an aligned position; resolves with its length. No copy; the buffer
   * stays taken until it is over. A short write goes on by itself.
   *
   * @throws {RuntimeError} `ERR_UNALIGNED`, `ERR_BUFFER_RELEASED`, `ERR_HANDLE_CLOSED`;
   * {@link KernelError} as `write(2)`, when a part may have been written.
   */
  write(buffer: Lease, offsetBytes: number, options?: WaitOptions): Promise<number> {
    try {
      this.#checkTransfer('write a file', buffer, offsetBytes)
      const hold = this.ranges.trySharing(offsetBytes, offsetBytes + buffer.lengthBytes)
      if (hold === null) return this.#writeInTurn(buffer, offsetBytes, options)
      return this.#writeHeld(buffer, buffer, offsetBytes, hold, options)
    } catch (error) {
      return refuse(error)
    }
  }

  /**
   * Writes bytes at any position; resolves with their number. They are copied, in pieces, and must
   * not change meanwhile.
   *
   * Where position or end are not aligned the blocks there are read, changed and written back: the
   * file must be readable, and it takes some more requests. At the end of the file a whole block is
   * written and then cut, so the size is exact when this resolves, but larger for a moment.
   *
   * Writes of this executor to the same blocks wait for each other, whatever objects they use. Other
   * threads and programs do not wait: what they write to these blocks may be undone. What they append
   * stays unless it ends within that last block, or comes in the instant between asking for the size
   * and cutting; behind it the block's zeros stay as well. A write that fails takes back what it added
   * to the file, but for a hole up to its first block if it began beyond the end.
   *
   * @throws {RuntimeError} `ERR_UNALIGNED` if that needs reading and the file is not open for it;
   * `ERR_HANDLE_CLOSED`, `ERR_OUT_OF_MEMORY`; {@link KernelError} as `write(2)`, when a part may
   * have been written.
   */
  async writeBytes(data: Uint8Array, offsetBytes: number, options?: WaitOptions): Promise<number> {
    const action = 'write a file'
    if (!isBytes(data)) throw wrongBytes(action, 'data', data)
    validateOffset(action, offsetBytes, alignUp(data.length, this.alignmentBytes))
    const refusal = this.descriptor.refusal(action)
    if (refusal !== null) return refusal
    if (!this.#isReadable) this.#assertAligned(action, data.length, offsetBytes)
    const { descriptor, ranges } = this
    descriptor.enter()
    try {
      const target = { descriptor, ranges, isRegular: this.#isRegular }
      return await replaceBytes(target, data, offsetBytes, options)
    } finally {
      descriptor.leave()
    }
  }

  /**
   * Fills several buffers from an aligned position on, one behind the other, with one request for each 1,024; resolves with how
   * many bytes are valid, fewer than there is room for only where the file ends.
   *
   * @throws {RuntimeError} `ERR_UNALIGNED`, `ERR_BUFFER_RELEASED`, `ERR_HANDLE_CLOSED`; {@link KernelError} as `readv(2)`.
   */
  async readVector(
    buffers: readonly Lease[],
    offsetBytes: number,
    options?: WaitOptions,
  ): Promise<number> {
    return readVector(this, buffers, offsetBytes, options)
  }

  /**
   * Writes all of several buffers at an aligned position, one behind the other, with one request for each 1,024;
   * resolves with their length. Short writes go on by themselves.
   *
   * @throws {RuntimeError} `ERR_UNALIGNED`, `ERR_BUFFER_RELEASED`, `ERR_HANDLE_CLOSED`; {@link KernelError} as `writev(2)`,
   * when a part may have been written.
   */
  async writeVector(
    buffers: readonly Lease[],
    offsetBytes: number,
    options?: WaitOptions,
  ): Promise<number> {
    return writeVector(this, buffers, offsetBytes, options)
  }

  /**
   * A further descriptor of this file, for this thread, which is closed by itself and shares its locks.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`; {@link KernelError} `EMFILE`.
   */
  async dup(): Promise<DirectFile> {
    const copy = await DirectFile.adopt(this.duplicate())
    copy.locks = this.locks.sharedBy(copy.descriptor)
    return copy
  }

  /** @internal */
  override readStretch(
    offsetBytes: number,
    lengthBytes: number,
    options?: WaitOptions,
  ): Promise<Lease> {
    return this.read(offsetBytes, lengthBytes, options)
  }

  /** @internal */
  override writeStretch(data: Lease, offsetBytes: number, options?: WaitOptions): Promise<number> {
    return this.writeBytes(data.bytes, offsetBytes, options)
  }

  #writeHeld(
    buffer: Lease,
    memory: MemoryRef,
    offsetBytes: number,
    hold: RangeHold,
    wait: WaitOptions | Deadline | undefined,
  ): Promise<number> {
    const { descriptor, ranges } = this
    try {
      const operation = new Transfer(WRITE_FROM, descriptor, buffer, memory, offsetBytes)
      const options = wait instanceof Deadline ? wait.next() : wait
      return operation.startHeld(hold, options)
    } catch (error) {
      ranges.release(hold)
      throw error
    }
  }

  /** Waits for a {@link writeBytes} that is changing the same blocks. */
  async #writeInTurn(
    buffer: Lease,
    offsetBytes: number,
    options: WaitOptions | undefined,
  ): Promise<number> {
    const endBytes = offsetBytes + buffer.lengthBytes
    const range = { startBytes: offsetBytes, endBytes, isExclusive: false }
    // The user may release the buffer meanwhile; the memory is ours by the pin.
    const memory = partOf(buffer, 0, buffer.lengthBytes)
    const steps = new Deadline(this.descriptor.executor, 'write a file', options)
    this.descriptor.enter()
    buffer.pin()
    try {
      const hold = await this.ranges.acquire(range, 'write a file', steps.next())
      return await this.#writeHeld(buffer, memory, offsetBytes, hold, steps)
    } finally {
      buffer.unpin()
      this.descriptor.leave()
    }
  }

  // Plain comparisons, since this is paid per read.
  #checkTransfer(action: string, buffer: Lease, offsetBytes: number): void {
    if (!(buffer instanceof Lease)) throw wrongType(action, 'buffer', 'a Lease', buffer)
    buffer.assertHeld()
    const { address, lengthBytes } = buffer
    if (!Number.isInteger(offsetBytes) || offsetBytes < 0 || offsetBytes > FILE_BYTES_MAX - GIB) {
      validateOffset(action, offsetBytes, TRANSFER_BYTES_MAX)
    }
    // The memory as well: what a read or a socket brought begins anywhere, and need not be I/O memory.
    if (address === 0 || ((offsetBytes | lengthBytes | address) & this.#mask) !== 0) {
      this.#assertAligned(action, lengthBytes, offsetBytes)
      throw new RuntimeError(
        'ERR_UNALIGNED',
        `Cannot ${action} as its memory must be aligned to ${this.alignmentBytes} bytes: use allocateBuffer(), or writeBytes()`,
      )
    }
    this.descriptor.assertOpen(action)
  }

  #assertAligned(action: string, lengthBytes: number, offsetBytes: number): void {
    const { alignmentBytes } = this
    const isAligned =
      alignDown(offsetBytes, alignmentBytes) === offsetBytes &&
      alignDown(lengthBytes, alignmentBytes) === lengthBytes
    if (isAligned) return
    throw new RuntimeError(
      'ERR_UNALIGNED',
      `Cannot ${action} as position and length must be multiples of ${alignmentBytes} bytes: they are ${offsetBytes} and ${lengthBytes}; read() takes any, and writeBytes() if the file is readable`,
    )
  }
}
