import {
  alignUp,
  GIB,
  isAbortSignal,
  KIB,
  optionNames,
  RuntimeError,
  showAs,
  validateInteger,
  validateOptions,
  wrongType,
} from '../../base/index.ts'
import type { WaitOptions } from '../../executor/index.ts'
import type { Lease } from '../../memory/index.ts'
import type { ByteSource } from '../../streams/index.ts'
import {
  type LeaseKeeper,
  ReadAhead,
  type ReadPlan,
  WANT_CHUNK_STEP,
  WANT_LEASE,
  WANT_LEASE_STEP,
} from './read-ahead.ts'
import type { StreamTarget } from './stream-target.ts'

/** What a {@link FileReader} reads, and how far ahead. */
export interface FileReaderOptions {
  /** Where it begins; 0 if not given. Any position. */
  readonly startBytes?: number | undefined
  /** Where it ends, if the file does not end before; not given: where the file ends. */
  readonly endBytes?: number | undefined
  /** How much is read at a time; 256 KiB if not given. Rounded up to what the file is aligned to. */
  readonly blockBytes?: number | undefined
  /** How many blocks are read ahead of what is asked for; 4 if not given, 0 for none. */
  readonly readAhead?: number | undefined
  /** Aborting it ends the stream: reads in flight are cancelled, and whoever reads gets its reason. */
  readonly signal?: AbortSignal | undefined
}

const NAMES = optionNames<FileReaderOptions>({
  startBytes: true,
  endBytes: true,
  blockBytes: true,
  readAhead: true,
  signal: true,
})
const ACTION = 'read a file as a stream'
const BLOCK_BYTES_DEFAULT: number = 256 * KIB
const READ_AHEAD_DEFAULT = 4
const READ_AHEAD_MAX = 1024
const POSITION_BYTES_MAX: number = Number.MAX_SAFE_INTEGER - GIB

/**
 * A file read from one position on, block after block, the next ones being read while one is worked on.
 *
 * Three ways to take them: a loop over it, whose chunks are copies that are the caller's for good; a loop over
 * {@link leases}, which borrows the blocks without a copy; and {@link pull}, by which it is a source for readers of
 * lines, pipes and adapters. One reader at a time.
 *
 * It ends exactly where the file does, as found by the first read that gets there: what is appended after that is not
 * seen, and nothing behind the end is handed out. A read ahead that fails is reported by the read that needs it, and ends the
 * stream. Read-ahead takes memory while three quarters of the limit last, and does with less then; where all is
 * taken the stream goes on with small blocks, that are copies.
 *
 * It belongs to the thread of its file, and ends with it. Leaving a loop closes the stream, not the file.
 *
 * Source: glommio's `DmaStreamReader`.
 *
 * @example Count the lines of a file
 * ```ts run
 * import { BufferedFile } from 'percore/io'
 *
 * await using file = await BufferedFile.open('/proc/self/status')
 * let count = 0
 * for await (const chunk of file.stream()) {
 *   for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) count++
 * }
 * console.log(count > 10) // true
 * ```
 */
export class FileReader
  implements ByteSource, AsyncIterable<Uint8Array, undefined>, AsyncDisposable
{
  static {
    showAs(FileReader, (reader) => `FileReader at ${reader.positionBytes}`)
  }

  readonly #engine: ReadAhead

  /** @internal */
  constructor(target: StreamTarget, plan: ReadPlan) {
    this.#engine = new ReadAhead(target, plan)
  }

  /** Where the next piece begins in the file; how much came before, of a pipe. */
  get positionBytes(): number {
    return this.#engine.positionBytes
  }

  /**
   * The next block, or what of it is within the bounds; null at the end. It is the caller's to release, and no copy.
   *
   * Cancelling ends the wait and takes nothing: the next pull gets what was being read. A failure of the file ends the stream.
   *
   * @throws {RuntimeError} `ERR_STILL_HELD` while another read waits; `ERR_HANDLE_CLOSED`; `ERR_OUT_OF_MEMORY`, after
   * which it may be tried again; {@link KernelError} as `read(2)`.
   */
  pull(options?: WaitOptions): Promise<Lease | null> {
    return this.#engine.read(WANT_LEASE, null, options) as Promise<Lease | null>
  }

  /**
   * Goes on `lengthBytes` further on. What was read ahead of there is used.
   *
   * @throws {RuntimeError} `ERR_STILL_HELD` while a read waits; `ERR_HANDLE_CLOSED`; `ERR_UNSUPPORTED` of a pipe.
   */
  skip(lengthBytes: number): void {
    const max = POSITION_BYTES_MAX - this.positionBytes
    validateInteger('skip in a stream', 'lengthBytes', lengthBytes, { min: 0, max })
    this.#engine.moveTo(this.positionBytes + lengthBytes, 'skip in a stream')
  }

  /** Goes on at another position, as {@link skip} does. */
  seek(positionBytes: number): void {
    validateInteger('seek in a stream', 'positionBytes', positionBytes, {
      min: 0,
      max: POSITION_BYTES_MAX,
    })
    this.#engine.moveTo(positionBytes, 'seek in a stream')
  }

  /** Copies of the blocks, each the caller's for good; leaving the loop closes the stream. */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return new ChunkSteps(this.#engine)
  }

  /**
   * The blocks themselves, without a copy: each is released with the next step, or the end of the loop, unless it
   * was before. Leaving the loop closes the stream.
   *
   * @example Add up a file
   * ```ts run
   * import { BufferedFile } from 'percore/io'
   *
   * await using file = await BufferedFile.open('/proc/self/status')
   * let sum = 0
   * for await (const lease of file.stream({ readAhead: 8 }).leases()) {
   *   for (const byte of lease.bytes) sum += byte
   * }
   * console.log(sum > 0) // true
   * ```
   */
  leases(): AsyncIterableIterator<Lease, undefined> {
    return new LeaseSteps(this.#engine)
  }

  /** Ends it: reads ahead are cancelled and awaited. Leases that were given stay good. Again is nothing. */
  close(): Promise<void> {
    return this.#engine.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#engine.close()
  }
}

/** By hand, as an async generator costs three promises for each block. */
class ChunkSteps implements AsyncIterator<Uint8Array, undefined> {
  readonly #engine: ReadAhead

  constructor(engine: ReadAhead) {
    this.#engine = engine
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    return this.#engine.read(WANT_CHUNK_STEP, null, undefined) as Promise<
      IteratorResult<Uint8Array, undefined>
    >
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    await this.#engine.close()
    return { value: undefined, done: true }
  }
}

/** Each lease ends with the next step. */
class LeaseSteps implements AsyncIterableIterator<Lease, undefined>, LeaseKeeper {
  readonly #engine: ReadAhead
  #lease: Lease | null = null

  constructor(engine: ReadAhead) {
    this.#engine = engine
  }

  keep(lease: Lease): void {
    this.#lease = lease
  }

  next(): Promise<IteratorResult<Lease, undefined>> {
    this.#release()
    return this.#engine.read(WANT_LEASE_STEP, this, undefined) as Promise<
      IteratorResult<Lease, undefined>
    >
  }

  async return(): Promise<IteratorResult<Lease, undefined>> {
    this.#release()
    await this.#engine.close()
    return { value: undefined, done: true }
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Lease, undefined> {
    return this
  }

  #release(): void {
    this.#lease?.release()
    this.#lease = null
  }
}

/**
 * Opens a reader on a file.
 *
 * @throws {TypeError | RangeError} for options of the wrong kind; the signal's reason if it is aborted already.
 * @throws {RuntimeError} `ERR_HANDLE_CLOSED`; `ERR_UNSUPPORTED` for a start in what has no positions.
 */
export function openReader(target: StreamTarget, options: FileReaderOptions = {}): FileReader {
  const plan = checkReader(target, options)
  target.descriptor.assertOpen(ACTION)
  plan.signal?.throwIfAborted()
  return new FileReader(target, plan)
}

function checkReader(target: StreamTarget, options: FileReaderOptions): ReadPlan {
  validateOptions(ACTION, options, NAMES)
  const { startBytes = 0, endBytes, signal } = options
  const { blockBytes = BLOCK_BYTES_DEFAULT, readAhead = READ_AHEAD_DEFAULT } = options
  const max = POSITION_BYTES_MAX
  validateInteger(ACTION, 'startBytes', startBytes, { min: 0, max })
  if (endBytes !== undefined)
    validateInteger(ACTION, 'endBytes', endBytes, { min: startBytes, max })
  validateInteger(ACTION, 'blockBytes', blockBytes, { min: 1, max: GIB })
  validateInteger(ACTION, 'readAhead', readAhead, { min: 0, max: READ_AHEAD_MAX })
  if (signal !== undefined && !isAbortSignal(signal)) {
    throw wrongType(ACTION, 'signal', 'an AbortSignal', signal)
  }
  if (startBytes > 0 && !target.isSeekable) {
    throw new RuntimeError(
      'ERR_UNSUPPORTED',
      `Cannot ${ACTION} from a position as it must have some: '${target.descriptor.path}' has none`,
    )
  }
  return {
    startBytes,
    endBytes: endBytes ?? Number.POSITIVE_INFINITY,
    blockBytes: alignUp(blockBytes, target.descriptor.alignmentBytes),
    readAhead,
    signal,
  }
}
