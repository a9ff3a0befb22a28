import { assert, validateInteger } from '../../base/index.ts'
import { AtomicWords, claimEnd, type SharedWords } from './shared-words.ts'

/* ABI: a header, then the bytes of the value. */
const WORD_STAMP = 0
const WORD_CAPACITY = 1
/** Whose an end is, by the number of its executor; 0 for nobody's yet. */
export const WORD_ONESHOT_SENDER_CLAIM = 2
export const WORD_ONESHOT_RECEIVER_CLAIM = 3
const WORD_LENGTH = 4
/** What has become of it: changes once, from {@link OPEN}, by a compare-exchange of either end. */
const WORD_STATE = 5
/** The executor of each end, by its number, once the end was attached to; and its inbox there, which is stored first. */
export const WORD_ONESHOT_SENDER_EXECUTOR = 6
export const WORD_ONESHOT_SENDER_INBOX = 7
export const WORD_ONESHOT_RECEIVER_EXECUTOR = 8
export const WORD_ONESHOT_RECEIVER_INBOX = 9
const HEADER_WORDS = 10
const STAMP = 0x70634f31

const OPEN = 0
const SENT = 1
const DROPPED = 2
const REFUSED = 3

const VALUE_BYTES_MAX = 2 ** 30

/** One value from one thread to another, once: its description, which any thread may be sent. */
export interface OneshotCell {
  readonly memory: SharedArrayBuffer
  /** Of the longest value, in bytes. */
  readonly capacityBytes: number
}

/** The bytes of a value, plain: a Uint8Array. */
export interface OneshotBytes {
  set(bytes: Uint8Array, offset?: number): void
  slice(start: number, end: number): Uint8Array
}

/** A cell as an end sees it: the model checker has memory of its own. */
export interface OpenOneshotCell {
  readonly words: SharedWords
  readonly bytes: OneshotBytes
  readonly capacityBytes: number
}

/** Makes a cell that nothing was sent through. */
export function createOneshotCell(capacityBytes: number): OneshotCell {
  const bounds = { min: 0, max: VALUE_BYTES_MAX }
  validateInteger('create a oneshot cell', 'capacityBytes', capacityBytes, bounds)
  const memory = new SharedArrayBuffer(HEADER_WORDS * 4 + capacityBytes)
  const words = new Int32Array(memory, 0, HEADER_WORDS)
  words[WORD_CAPACITY] = capacityBytes
  words[WORD_STAMP] = STAMP
  return { memory, capacityBytes }
}

/** The end that the value goes into. */
export class OneshotSender {
  readonly #cell: OpenOneshotCell
  #isDone = false

  constructor(cell: OpenOneshotCell) {
    this.#cell = cell
  }

  /** What both ends see of each other. */
  get words(): SharedWords {
    return this.#cell.words
  }

  /** Leaves the end to others: called where it was attached to, and nobody knows of it yet. */
  unclaim(): void {
    this.#cell.words.store(WORD_ONESHOT_SENDER_CLAIM, 0)
  }

  /** Whether the receiver has closed: what is sent is refused. */
  get isRefused(): boolean {
    return this.#cell.words.load(WORD_STATE) === REFUSED
  }

  /** @throws {RuntimeError} `ERR_STILL_HELD` if the cell has, or had, a sender. */
  static attach(cell: OneshotCell, owner?: number): OneshotSender {
    const opened = openCell(cell)
    const { words } = opened
    const index = WORD_ONESHOT_SENDER_CLAIM
    claimEnd({ words, index, subject: 'a oneshot cell', end: 'sender', owner })
    return new OneshotSender(opened)
  }

  /**
   * Sends a copy; false if the receiver has closed: the value is still the caller's.
   *
   * @throws {RangeError} if it is longer than the cell, which may be sent something else then.
   */
  send(bytes: Uint8Array): boolean {
    assert(!this.#isDone, 'a oneshot is sent or closed once')
    const { words, capacityBytes } = this.#cell
    if (bytes.length > capacityBytes) {
      throw new RangeError(
        `Cannot send through a oneshot cell as a value must have at most ${capacityBytes} bytes: current value has ${bytes.length}`,
      )
    }
    this.#isDone = true
    this.#cell.bytes.set(bytes)
    words.store(WORD_LENGTH, bytes.length)
    // ORDER: after the bytes; pairs with the receiver's load. One that closes at the same time is first, or is not.
    return words.compareExchange(WORD_STATE, OPEN, SENT) === OPEN
  }

  /** Lets the receiver know that nothing will come; nothing if something was sent. */
  close(): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#cell.words.compareExchange(WORD_STATE, OPEN, DROPPED)
  }
}

/** The end that it comes out of. */
export class OneshotReceiver {
  readonly #cell: OpenOneshotCell
  #isDone = false

  constructor(cell: OpenOneshotCell) {
    this.#cell = cell
  }

  /** What both ends see of each other. */
  get words(): SharedWords {
    return this.#cell.words
  }

  /** @throws {RuntimeError} `ERR_STILL_HELD` if the cell has, or had, a receiver. */
  static attach(cell: OneshotCell, owner?: number): OneshotReceiver {
    const opened = openCell(cell)
    const { words } = opened
    const index = WORD_ONESHOT_RECEIVER_CLAIM
    claimEnd({ words, index, subject: 'a oneshot cell', end: 'receiver', owner })
    return new OneshotReceiver(opened)
  }

  /** Leaves the end to others: called where it was attached to, and nobody knows of it yet. */
  unclaim(): void {
    this.#cell.words.store(WORD_ONESHOT_RECEIVER_CLAIM, 0)
  }

  /** Whether nothing will come any more: it was taken, or either end has closed. */
  get isEnded(): boolean {
    return this.#isDone || this.#cell.words.load(WORD_STATE) === DROPPED
  }

  /** Takes the value, as a copy, once; undefined if there is none. */
  tryTake(): Uint8Array | undefined {
    const { words } = this.#cell
    if (this.#isDone || words.load(WORD_STATE) !== SENT) return undefined
    this.#isDone = true
    return this.#cell.bytes.slice(0, words.load(WORD_LENGTH))
  }

  /**
   * Takes nothing, ever; returns what was sent before that, else undefined. Again is nothing.
   */
  close(): Uint8Array | undefined {
    if (this.#isDone) return undefined
    this.#cell.words.compareExchange(WORD_STATE, OPEN, REFUSED)
    const value = this.tryTake()
    this.#isDone = true
    return value
  }
}

/** The header of a cell that was sent here. */
export function openOneshotHeader({ memory, capacityBytes }: OneshotCell): SharedWords {
  const words = new Int32Array(memory, 0, HEADER_WORDS)
  assert(words[WORD_STAMP] === STAMP, 'a oneshot cell is attached to as what it was made')
  assert(words[WORD_CAPACITY] === capacityBytes, 'a description tells the capacity of its cell')
  return new AtomicWords(words)
}

function openCell(cell: OneshotCell): OpenOneshotCell {
  const words = openOneshotHeader(cell)
  const { memory, capacityBytes } = cell
  const bytes = new Uint8Array(memory, HEADER_WORDS * 4, capacityBytes)
  return { words, bytes, capacityBytes }
}
