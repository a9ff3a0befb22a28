import {
  optionNames,
  RuntimeError,
  showAs,
  validateInteger,
  validateOptions,
  wrongType,
} from '../base/index.ts'
import {
  answerReady,
  checkCancellation,
  type Executor,
  executor,
  refuse,
  WaitList,
  type WaitOptions,
} from '../executor/index.ts'
import { type AttachOptions, type CodecOptions, validatePeer } from './attach-ends.ts'
import {
  type ChannelCodec,
  type CodecName,
  checkCodecName,
  encodeValue,
  valueCodec,
} from './codec.ts'
import { PeerLink } from './peers.ts'
import {
  claimEnd,
  createWatchCell,
  type WatchCell,
  WatchReader,
  WatchWriter,
} from './shared/index.ts'
import { SharedWaiter } from './shared-wait.ts'
import { createReaderPlaces, ReaderPlaces, WRITER_WORDS } from './watch-readers.ts'

const VALUE_BYTES_DEFAULT = 1024
const VALUE_BYTES_MAX = 65_536
const READERS_DEFAULT = 64
const WAIT_ACTION = 'wait for a value of a watch'

export interface SharedWatchOptions {
  /** What crosses it, and how; `clone` if not given. */
  readonly codec?: CodecName
  /** The longest value, encoded, in bytes, up to 65,536; 1,024 if not given. Each four cost some nanoseconds. */
  readonly valueBytes?: number
  /** How many readers there are at a time, 1 … 1,024; 64 if not given. */
  readonly readers?: number
}

const NAMES = optionNames<SharedWatchOptions>({ codec: true, valueBytes: true, readers: true })
const WRITER_NAMES = optionNames<CodecOptions<unknown>>({ codec: true })
const READER_NAMES = optionNames<AttachOptions<unknown>>({ codec: true, peer: true })

/** The latest value of one thread for all others, as plain data that can be posted. */
export interface SharedWatch<T> {
  readonly codec: CodecName
  readonly cell: WatchCell
  readonly places: SharedArrayBuffer
  readonly readers: number
  /** Never there: by it the compiler knows what crosses. */
  readonly value?: T
}

/**
 * Creates what shows the latest value of one thread to any others: a configuration, a state, progress.
 *
 * Writing waits for nobody, whatever readers do; a reader sees the latest value, and may miss some before.
 *
 * @throws {TypeError | RangeError} for options of the wrong kind.
 *
 * @example
 * ```ts run
 * import { attachWatchReader, attachWatchWriter, createSharedWatch } from 'percore/channels'
 *
 * const watch = createSharedWatch<{ limit: number }>()
 * const writer = attachWatchWriter(watch)
 * writer.write({ limit: 10 })
 * // In the workers that it was posted to:
 * using reader = attachWatchReader(watch)
 * console.log(reader.read())
 * ```
 */
export function createSharedWatch<T>(options: SharedWatchOptions = {}): SharedWatch<T> {
  const action = 'create a watch'
  validateOptions(action, options, NAMES)
  const { codec = 'clone', valueBytes = VALUE_BYTES_DEFAULT, readers = READERS_DEFAULT } = options
  checkCodecName(action, codec)
  validateInteger(action, 'valueBytes', valueBytes, { min: 0, max: VALUE_BYTES_MAX })
  validateInteger(action, 'readers', readers, { min: 1, max: 1024 })
  const cell = createWatchCell(codec === 'numbers' ? 8 : valueBytes)
  return { codec, cell, places: createReaderPlaces(readers), readers }
}

/**
 * Attaches to the writing end, once, on this thread.
 *
 * @throws as {@link attachSender}.
 */
export function attachWatchWriter<T>(
  watch: SharedWatch<T>,
  options: CodecOptions<T> = {},
): SharedWatchWriter<T> {
  const action = 'attach a writer'
  validateOptions(action, options, WRITER_NAMES)
  const codec = codecOf(action, watch, options)
  executor().assertOpen(action)
  return new SharedWatchWriter(executor(), watch, codec)
}

/**
 * Attaches a reader, on this thread: there may be several, of a thread, too. Close it to leave its place to others.
 *
 * @throws {RuntimeError} `ERR_LIMIT_EXCEEDED` where there are as many as the watch is for; else as {@link attachReceiver}.
 */
export function attachWatchReader<T>(
  watch: SharedWatch<T>,
  options: AttachOptions<T> = {},
): SharedWatchReader<T> {
  const action = 'attach a reader'
  validateOptions(action, options, READER_NAMES)
  validatePeer(action, 'peer', options.peer)
  const codec = codecOf(action, watch, options)
  executor().assertOpen(action)
  return new SharedWatchReader(executor(), watch, codec, options.peer)
}

/** The end of a watch that values are written to. Made by {@link attachWatchWriter}. */
export class SharedWatchWriter<T> implements Disposable {
  static {
    showAs(SharedWatchWriter, (writer) => {
      return `SharedWatchWriter ${writer.#isClosed ? 'closed' : 'open'}`
    })
  }

  readonly #home: Executor
  readonly #codec: ChannelCodec<T>
  readonly #writer: WatchWriter
  readonly #places: ReaderPlaces
  #isClosed = false

  /** @internal Use {@link attachWatchWriter}. */
  constructor(home: Executor, watch: SharedWatch<T>, codec: ChannelCodec<T>) {
    this.#home = home
    this.#codec = codec
    this.#places = new ReaderPlaces(watch.places, watch.readers)
    const { words } = this.#places
    const { address: owner } = home.doorbell
    claimEnd({ words, index: WRITER_WORDS.claim, subject: 'a watch', end: 'writer', owner })
    this.#writer = WatchWriter.attach(watch.cell)
    // Nobody rings a writer: its number alone is for readers, which learn by it when it ends.
    words.store(WRITER_WORDS.executor, home.doorbell.address)
    this.#places.ringAll(home)
  }

  /**
   * Publishes a value, now, and wakes readers that wait. O(length + readers that wait).
   *
   * @throws {RuntimeError} `ERR_CHANNEL_CLOSED` once closed.
   * @throws {RangeError} if it is longer than the watch's; what the codec throws.
   */
  write(value: T): void {
    if (this.#isClosed) {
      throw new RuntimeError(
        'ERR_CHANNEL_CLOSED',
        'Cannot write to a watch as it must be open: it was closed',
      )
    }
    this.#writer.write(encodeValue('write to a watch', this.#codec, value))
    this.#places.ringWanting(this.#home)
  }

  /** Says that the value is the last: readers end once they have it. Again is nothing. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#writer.close()
    this.#places.ringWanting(this.#home)
    this.#places.words.store(WRITER_WORDS.executor, -1)
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/** An end of a watch that shows the latest value. Made by {@link attachWatchReader}. */
export class SharedWatchReader<T> implements AsyncIterable<T, undefined>, Disposable {
  static {
    showAs(SharedWatchReader, (reader) => {
      return `SharedWatchReader ${reader.#isClosed ? 'closed' : 'open'}`
    })
  }

  readonly #home: Executor
  readonly #codec: ChannelCodec<T>
  readonly #reader: WatchReader
  readonly #places: ReaderPlaces
  readonly #place: number
  readonly #link: PeerLink
  readonly #waiters = new WaitList<WatchWaiter<T>>(this)
  #isClosed = false

  /** @internal Use {@link attachWatchReader}. */
  constructor(
    home: Executor,
    watch: SharedWatch<T>,
    codec: ChannelCodec<T>,
    expectedId: number | undefined,
  ) {
    this.#home = home
    this.#codec = codec
    this.#reader = WatchReader.attach(watch.cell)
    this.#places = new ReaderPlaces(watch.places, watch.readers)
    this.#place = this.#places.take(home)
    const { words } = this.#places
    const self = this.#places.endWords(this.#place)
    const parts = { words, self, peer: WRITER_WORDS, expectedId }
    try {
      this.#link = new PeerLink(home, parts, this)
    } catch (error) {
      this.#places.leave(this.#place)
      throw error
    }
    this.#link.listen()
  }

  /** Whether there is a value that this reader has not seen. */
  get hasNews(): boolean {
    return this.#reader.hasNews
  }

  /** Whether the value that was seen is the last: this end is closed, or the writer is. */
  get isEnded(): boolean {
    return this.#isClosed || this.#reader.isEnded
  }

  /** The latest value, seen or not; undefined before there is one. O(length). Throws what the codec does. */
  read(): T | undefined {
    const lengthBytes = this.#reader.read()
    if (this.#reader.version === 0) return undefined
    return this.#codec.decode(this.#reader.bytes.slice(0, lengthBytes))
  }

  /**
   * Waits for a value that this reader has not seen, and gives the latest; undefined at the end.
   *
   * Rejects with `ERR_PEER_ENDED` if the writer's thread has ended without a close, once its last value was seen; with what
   * the codec throws; and as {@link WaitOptions} say. All who wait get the same. Who waits keeps the program alive.
   */
  changed(options?: WaitOptions): Promise<T | undefined> {
    const home = this.#home
    try {
      checkCancellation(home, options, WAIT_ACTION)
      if (!this.#isClosed && this.hasNews) return answerReady(home, this.read())
      if (this.isEnded) return answerReady(home, undefined)
      if (this.#link.isPeerEnded) throw endedError()
      const waiter = new WatchWaiter<T>(home)
      waiter.bindListed(home, options, WAIT_ACTION)
      this.#waiters.push(waiter)
      if (this.#waiters.length === 1) this.collect()
      return waiter.promise
    } catch (error) {
      return refuse(error)
    }
  }

  /** The latest value, and each newer one, until the end. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, undefined> {
    for (;;) {
      const value = await this.changed()
      if (value === undefined && this.isEnded) return undefined
      yield value as T
    }
  }

  /** Reads no more: leaves its place to others; who waits gets undefined. Again is nothing. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#link.detach()
    this.#places.leave(this.#place)
    const waiters = this.#waiters
    for (let waiter = waiters.shift(); waiter !== null; waiter = waiters.shift())
      waiter.fulfil(undefined)
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** @internal */
  waiterLeft(): void {}

  /** @internal */
  peerEnded(): void {
    this.collect()
  }

  /** @internal */
  collect(): void {
    const waiters = this.#waiters
    while (waiters.length > 0) {
      if (this.hasNews) this.#deliver()
      else if (this.isEnded) this.#end()
      else if (this.#link.isPeerEnded) waiters.fail(endedError())
      else {
        this.#places.request(this.#place)
        if (!this.hasNews && !this.isEnded) return
      }
    }
  }

  #deliver(): void {
    const waiters = this.#waiters
    try {
      const value = this.read()
      for (let waiter = waiters.shift(); waiter !== null; waiter = waiters.shift())
        waiter.fulfil(value)
    } catch (error) {
      waiters.fail(error)
    }
  }

  #end(): void {
    const waiters = this.#waiters
    for (let waiter = waiters.shift(); waiter !== null; waiter = waiters.shift())
      waiter.fulfil(undefined)
  }
}

class WatchWaiter<T> extends SharedWaiter<T | undefined> {}

function endedError(): RuntimeError {
  return new RuntimeError(
    'ERR_PEER_ENDED',
    `Cannot ${WAIT_ACTION} as the writer's thread must go on until it has closed: it has ended`,
  )
}

function codecOf<T>(
  action: string,
  watch: SharedWatch<T>,
  options: CodecOptions<T>,
): ChannelCodec<T> {
  if (!((watch as SharedWatch<T> | null)?.places instanceof SharedArrayBuffer)) {
    throw wrongType(action, 'watch', 'a SharedWatch', watch)
  }
  const custom = options.codec as ChannelCodec<unknown> | undefined
  return valueCodec(action, watch.codec, custom) as ChannelCodec<T>
}
