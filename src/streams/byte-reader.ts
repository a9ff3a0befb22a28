import { KIB, showAs } from '../base/index.ts'
import {
  answerReady,
  checkCancellation,
  Deadline,
  type Executor,
  executor,
  refuse,
  type WaitOptions,
} from '../executor/index.ts'
import type { Lease } from '../memory/index.ts'
import type { ByteSource } from './byte-source.ts'
import { LineReads } from './line-reads.ts'
import type { Read } from './read.ts'
import {
  BYTES_MAX_DEFAULT,
  type ByteReaderOptions,
  endedEarly,
  REST_BYTES_MAX_DEFAULT,
  type ReadLimitOptions,
  readDelimiter,
  readerClosed,
  readLimitOptions,
  readReaderOptions,
  stillReading,
  tooLong,
  validateCount,
} from './reader-options.ts'
import { StepIterator } from './step-iterator.ts'
import { Unread } from './unread.ts'
import { validateSource } from './validate-ends.ts'

/** What one read gives out where nothing says how much. */
const CHUNK_BYTES_MAX: number = 64 * KIB
/** A line takes a fraction of what most pieces of a turn's work take. */
const LINES_PER_PIECE = 16

/**
 * Reads lines, records and exact counts of bytes from any source: a socket, a file's reader, standard input.
 *
 * What it gives is the caller's for good, but for {@link fillBuffer} and {@link pull}, which lend. It does one thing at
 * a time, and refuses a call while another is pending (`ERR_STILL_HELD`). **Nothing is lost**: a call that is
 * cancelled, times out or fails has taken nothing, unless it says so, and all that has come is there for the next.
 * Leaving an iteration keeps what it has not given.
 *
 * No input makes it hold more than the limit of the call, and one piece of the source: lines are of
 * {@link ByteReaderOptions.lineBytesMax} at most, 1 MiB unless set.
 *
 * The source is the reader's from then on, and closed with it. It may be handed on as a source itself, with what was read
 * ahead: read a header, then {@link pipe} the rest. Belongs to the thread that made it.
 *
 * Source: std::io::BufRead and AsyncBufRead, of which {@link fillBuffer} and {@link consume} have the contract.
 *
 * @example Answer line by line
 * ```ts run
 * import { TcpListener, TcpStream } from 'percore/net'
 * import { ByteReader } from 'percore/streams'
 *
 * await using listener = await TcpListener.bind({ port: 0 })
 * const accepting = listener.accept()
 * await using client = await TcpStream.connect({ port: listener.address.port })
 * await using server = await accepting
 * await client.write(new TextEncoder().encode('GET / HTTP/1.1\r\nhost: here\r\n\r\n'))
 *
 * const reader = new ByteReader(server, { lineBytesMax: 8192 })
 * for await (const line of reader.lines()) {
 *   if (line === '') break // the rest is still there
 *   console.log(line)
 * }
 * ```
 */
export class ByteReader implements ByteSource, AsyncIterable<Uint8Array>, AsyncDisposable {
  static {
    showAs(ByteReader, (reader) => {
      const state = reader.#isClosed ? 'closed' : 'open'
      return `ByteReader at ${reader.positionBytes}, ${reader.bufferedBytes} bytes at hand, ${state}`
    })
  }

  readonly #source: ByteSource
  readonly #home: Executor
  readonly #unread: Unread = new Unread()
  readonly #lines: LineReads
  #isBusy = false
  #isAtEnd = false
  #isClosed = false

  /**
   * @throws {TypeError} for what is no source, or options that are not known.
   * @throws {RangeError} for limits out of range.
   */
  constructor(source: ByteSource, options: ByteReaderOptions = {}) {
    validateSource('make a reader', source)
    this.#lines = new LineReads(this.#unread, readReaderOptions(options))
    this.#home = executor()
    this.#source = source
  }

  /** How many bytes of the source were given out, or skipped. */
  get positionBytes(): number {
    return this.#unread.takenBytes
  }

  /** How many bytes have come and were not given out yet. */
  get bufferedBytes(): number {
    return this.#unread.lengthBytes
  }

  /**
   * The next line without its end (`\n` or `\r\n`), or null at the end; the last one may have none.
   *
   * While it is kept, so is up to a KiB around it. Many at a time are cheaper by {@link lineBatches}.
   *
   * @throws {RuntimeError} `ERR_LIMIT_EXCEEDED` if it is longer than `lineBytesMax`, and stays: {@link skip} some of it, or close.
   * @throws what the source throws.
   */
  readLine(options?: WaitOptions): Promise<string | null> {
    return this.#read(this.#lines.text, options)
  }

  /**
   * Line by line, each as {@link readLine} gives it; the options are those of each step.
   *
   * Leaving the loop closes nothing, and the lines that it has not given are the next reader's.
   */
  lines(options?: WaitOptions): AsyncIterableIterator<string, undefined> {
    return this.#iterate(this.#lines.text, options, LINES_PER_PIECE)
  }

  /** The same as bytes, copies with an `ArrayBuffer` each. */
  linesAsBytes(options?: WaitOptions): AsyncIterableIterator<Uint8Array, undefined> {
    return this.#iterate(this.#lines.bytes, options, LINES_PER_PIECE)
  }

  /**
   * All lines that are at hand together, up to about 32 KiB of them, one array after another: for going through large
   * files fast, since a promise for each line costs more than the line.
   *
   * Lines of one batch may share their memory: while one is kept, so are up to 32 KiB. Who keeps a few of many lines is
   * better off with {@link lines}.
   *
   * @example Count the errors in a log
   * ```ts run
   * import { ByteReader, fromIterable } from 'percore/streams'
   *
   * const log = new TextEncoder().encode('INFO started\nERROR no disk\nINFO stopped\n')
   * await using reader = new ByteReader(fromIterable([log]))
   * let count = 0
   * for await (const lines of reader.lineBatches()) {
   *   for (const line of lines) if (line.startsWith('ERROR')) count++
   * }
   * console.log(count)
   * ```
   */
  lineBatches(options?: WaitOptions): AsyncIterableIterator<string[], undefined> {
    return this.#iterate(this.#lines.batch, options)
  }

  /**
   * Everything through the next `delimiter` (bytes, a string, or one byte), which is included; at the end what is left
   * without one, then null.
   *
   * @throws {RuntimeError} `ERR_LIMIT_EXCEEDED` if there is none within `maxBytes`, 1 MiB if not given; all stays.
   * @throws what the source throws; {@link TypeError}, {@link RangeError} for arguments of the wrong kind.
   */
  readUntil(
    delimiter: string | Uint8Array | number,
    options?: ReadLimitOptions,
  ): Promise<Uint8Array | null> {
    const action = 'read until a delimiter'
    try {
      const bytes = readDelimiter(action, delimiter)
      const { maxBytes, wait } = readLimitOptions(action, options, BYTES_MAX_DEFAULT)
      return this.#read(untilRead(this.#unread, action, bytes, maxBytes), wait)
    } catch (error) {
      return refuse(error)
    }
  }

  /**
   * Exactly `count` bytes.
   *
   * Memory grows with what has come, not with what is asked for, and is not copied again at the end.
   *
   * @throws {RuntimeError} `ERR_END_OF_FILE` if there are fewer before the end; they stay.
   * @throws what the source throws; {@link RangeError} unless `count` is from 0 to 1 GiB.
   */
  readExactly(count: number, options?: WaitOptions): Promise<Uint8Array> {
    const action = 'read exactly so many bytes'
    const unread = this.#unread
    return this.#readCount(action, count, 0, options, {
      action,
      expectedBytes: count,
      take: () => (unread.lengthBytes < count ? undefined : unread.take(count)),
      takeEnd: () => {
        throw endedEarly(action, count, unread.lengthBytes)
      },
    })
  }

  /** What has come, once there is something, up to `count` bytes (64 KiB if not given); null at the end. */
  read(count: number = CHUNK_BYTES_MAX, options?: WaitOptions): Promise<Uint8Array | null> {
    const action = 'read'
    return this.#readCount(action, count, 1, options, chunkRead(this.#unread, action, count))
  }

  /** The first `count` bytes, fewer only before the end; they stay unread. */
  peek(count: number, options?: WaitOptions): Promise<Uint8Array> {
    const action = 'peek'
    const unread = this.#unread
    return this.#readCount(action, count, 0, options, {
      action,
      expectedBytes: 0,
      take: () => (unread.lengthBytes < count ? undefined : unread.copy(count)),
      takeEnd: () => unread.copy(Math.min(count, unread.lengthBytes)),
    })
  }

  /**
   * Takes `count` bytes off, and resolves to how many there were: fewer only before the end.
   *
   * Of one that is cancelled or fails {@link positionBytes} tells how far it came.
   */
  skip(count: number, options?: WaitOptions): Promise<number> {
    const action = 'skip'
    const unread = this.#unread
    const end = unread.takenBytes + count
    return this.#readCount(action, count, 0, options, {
      action,
      expectedBytes: 0,
      take: () => {
        unread.discard(Math.min(end - unread.takenBytes, unread.lengthBytes))
        return unread.takenBytes === end ? count : undefined
      },
      takeEnd: () => count - (end - unread.takenBytes),
    })
  }

  /**
   * All that comes until the end.
   *
   * @throws {RuntimeError} `ERR_LIMIT_EXCEEDED` if that is more than `maxBytes`, 64 MiB if not given; what has come stays.
   */
  readToEnd(options?: ReadLimitOptions): Promise<Uint8Array> {
    const action = 'read to the end'
    const unread = this.#unread
    try {
      const { maxBytes, wait } = readLimitOptions(action, options, REST_BYTES_MAX_DEFAULT)
      const take = (): undefined => {
        if (unread.lengthBytes > maxBytes) throw tooLong(action, 'maxBytes', maxBytes)
      }
      const takeEnd = (): Uint8Array => unread.take(unread.lengthBytes)
      return this.#read({ action, expectedBytes: 0, take, takeEnd }, wait)
    } catch (error) {
      return refuse(error)
    }
  }

  /**
   * Lends what is at hand, and waits only if that is nothing: a view that is empty at the end, good until the next call
   * of the reader. {@link consume} takes off what of it is done with; without, it is given again.
   *
   * @example Add up 32-bit numbers without a copy or an array for each
   * ```ts run
   * import { ByteReader, fromIterable } from 'percore/streams'
   *
   * await using reader = new ByteReader(fromIterable([new Uint8Array([1, 0, 0, 0, 2, 0, 0, 0])]))
   * let sum = 0
   * for (let view = await reader.fillBuffer(); view.length >= 4; view = await reader.fillBuffer()) {
   *   const numbers = new DataView(view.buffer, view.byteOffset, view.length & ~3)
   *   for (let at = 0; at < numbers.byteLength; at += 4) sum += numbers.getUint32(at, true)
   *   reader.consume(numbers.byteLength)
   * }
   * console.log(sum)
   * ```
   */
  fillBuffer(options?: WaitOptions): Promise<Uint8Array> {
    return this.#read(viewRead(this.#unread), options)
  }

  /**
   * Takes off so many bytes of what {@link fillBuffer} lent.
   *
   * @throws {RangeError} unless that many are at hand.
   * @throws {RuntimeError} `ERR_STILL_HELD`, `ERR_HANDLE_CLOSED`
   */
  consume(count: number): void {
    const action = 'consume'
    this.#assertFree(action)
    validateCount(action, count, 0)
    const { lengthBytes } = this.#unread
    if (count > lengthBytes) {
      throw new RangeError(
        `Cannot consume as there must be ${count} bytes at hand: there are ${lengthBytes}`,
      )
    }
    this.#unread.discard(count)
  }

  /** The next piece as a source gives it, beginning with what was read ahead: without a copy, if it lies together. */
  pull(options?: WaitOptions): Promise<Lease | null> {
    const unread = this.#unread
    return this.#read(
      {
        action: 'pull',
        expectedBytes: 0,
        take: () => unread.takeLease() ?? undefined,
        takeEnd: () => null,
      },
      options,
    )
  }

  /** Chunk by chunk until the end, each the caller's for good, of 64 KiB at most. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return this.#iterate(chunkRead(this.#unread, 'read', CHUNK_BYTES_MAX), undefined)
  }

  /** Drops what is at hand, and closes the source; again is nothing. */
  close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true
      this.#unread.clear()
    }
    return this.#source.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #iterate<T>(
    read: Read<T | null>,
    options: WaitOptions | undefined,
    itemsPerPiece = 1,
  ): AsyncIterableIterator<T, undefined> {
    const steps = {
      action: read.action,
      itemsPerPiece,
      ready: (): T | null => {
        this.#assertFree(read.action)
        return read.take() ?? null
      },
      later: (wait: WaitOptions | undefined) =>
        this.#fill(read, new Deadline(this.#home, read.action, wait)),
    }
    return new StepIterator(this.#home, steps, options)
  }

  #readCount<T>(
    action: string,
    count: number,
    min: number,
    options: WaitOptions | undefined,
    read: Read<T>,
  ): Promise<T> {
    try {
      validateCount(action, count, min)
    } catch (error) {
      return refuse(error)
    }
    return this.#read(read, options)
  }

  #read<T>(read: Read<T>, options: WaitOptions | undefined): Promise<T> {
    const home = this.#home
    try {
      checkCancellation(home, options, read.action)
      this.#assertFree(read.action)
      const answer = read.take()
      if (answer !== undefined) return answerReady(home, answer)
      return this.#fill(read, new Deadline(home, read.action, options))
    } catch (error) {
      return refuse(error)
    }
  }

  /** Pulls until `read` has its answer. */
  async #fill<T>(read: Read<T>, deadline: Deadline): Promise<T> {
    const unread = this.#unread
    this.#isBusy = true
    try {
      while (!this.#isAtEnd) {
        // The piece is given back before the wait for the next one, which may take long.
        unread.carryOver(read.expectedBytes)
        const lease = await this.#source.pull(deadline.next())
        if (this.#isClosed) {
          lease?.release()
          throw readerClosed(read.action)
        }
        if (lease === null) {
          this.#isAtEnd = true
          break
        }
        unread.put(lease)
        const answer = read.take()
        if (answer !== undefined) return answer
      }
      return read.takeEnd()
    } finally {
      this.#isBusy = false
    }
  }

  /** @throws {RuntimeError} `ERR_STILL_HELD`, `ERR_HANDLE_CLOSED` */
  #assertFree(action: string): void {
    if (this.#isClosed) throw readerClosed(action)
    if (this.#isBusy) throw stillReading(action)
  }
}

function chunkRead(unread: Unread, action: string, count: number): Read<Uint8Array | null> {
  return {
    action,
    expectedBytes: 0,
    take: () => {
      const { lengthBytes } = unread
      return lengthBytes === 0 ? undefined : unread.take(Math.min(count, lengthBytes))
    },
    takeEnd: () => null,
  }
}

function viewRead(unread: Unread): Read<Uint8Array> {
  return {
    action: 'fill the buffer',
    expectedBytes: 0,
    take: () => (unread.lengthBytes === 0 ? undefined : unread.view()),
    takeEnd: () => unread.view(),
  }
}

function untilRead(
  unread: Unread,
  action: string,
  delimiter: Buffer,
  maxBytes: number,
): Read<Uint8Array | null> {
  let searchedBytes = 0
  return {
    action,
    expectedBytes: 0,
    take: () => {
      const endBytes = unread.findEnd(delimiter, searchedBytes)
      if (endBytes > maxBytes || (endBytes < 0 && unread.lengthBytes > maxBytes)) {
        throw tooLong(action, 'maxBytes', maxBytes)
      }
      if (endBytes >= 0) return unread.take(endBytes)
      searchedBytes = unread.lengthBytes
      return undefined
    },
    takeEnd: () => (unread.lengthBytes === 0 ? null : unread.take(unread.lengthBytes)),
  }
}
