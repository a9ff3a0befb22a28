import { assert, validateInteger } from '../../base/index.ts'
import { AtomicWords, claimEnd, type SharedWords } from './shared-words.ts'

/*
 * ABI: a header, then two slots, a length in bytes and the words of a value each. Version v is in slot v & 1:
 * the writer fills the slot that is not the current one, then says so. A reader's copy is good if no version
 * was published while it copied: the writer is in the other slot until then. So a writer that ends in the
 * middle leaves the last value readable, and a reader tries again only when a whole new value has come.
 *
 * ORDER: the words of values are atomic, too. A reader does copy words that are written at the same time, and
 * a plain load may come after the look at the version that follows it, on ARM as in JavaScript's model.
 */
const WORD_STAMP = 0
const WORD_CAPACITY = 1
const WORD_CLAIM = 2
const WORD_CLOSED = 3
const WORD_VERSION = 32
const HEADER_WORDS = 33
const STAMP = 0x70635731

const VALUE_BYTES_MAX = 65_536

/**
 * The latest value that a thread has published, for all others to read: its description, which any thread
 * may be sent. A value is bytes, few of them: each four cost 8 ns to write and 5 to read.
 *
 * Source: the sequence lock of Linux (seqlock_latch_t), with atomic words.
 */
export interface WatchCell {
  readonly memory: SharedArrayBuffer
  /** Of the longest value, in bytes. */
  readonly capacityBytes: number
}

/** A cell as an end sees it: the model checker has words of its own. */
export interface OpenWatchCell {
  readonly words: SharedWords
  readonly capacityBytes: number
}

/** Makes a cell, whose value is of 0 bytes in the beginning, at version 0. */
export function createWatchCell(capacityBytes: number): WatchCell {
  const bounds = { min: 0, max: VALUE_BYTES_MAX }
  validateInteger('create a watch cell', 'capacityBytes', capacityBytes, bounds)
  const wordCount = HEADER_WORDS + 2 * slotWords(capacityBytes)
  const memory = new SharedArrayBuffer(wordCount * 4)
  const words = new Int32Array(memory)
  words[WORD_CAPACITY] = capacityBytes
  words[WORD_STAMP] = STAMP
  return { memory, capacityBytes }
}

/** The one who says what the latest is. */
export class WatchWriter {
  readonly #words: SharedWords
  readonly #capacityBytes: number
  readonly #scratch: Int32Array
  readonly #bytes: Uint8Array
  #version: number

  constructor(cell: OpenWatchCell) {
    this.#words = cell.words
    this.#capacityBytes = cell.capacityBytes
    this.#scratch = new Int32Array(Math.ceil(cell.capacityBytes / 4))
    this.#bytes = new Uint8Array(this.#scratch.buffer)
    this.#version = cell.words.load(WORD_VERSION)
  }

  /** @throws {RuntimeError} `ERR_STILL_HELD` if the cell has, or had, a writer. */
  static attach(cell: WatchCell): WatchWriter {
    const opened = openCell(cell)
    const { words } = opened
    claimEnd({ words, index: WORD_CLAIM, subject: 'a watch cell', end: 'writer' })
    return new WatchWriter(opened)
  }

  /** Publishes a copy; @throws {RangeError} if it is longer than the cell. */
  write(bytes: Uint8Array): void {
    if (bytes.length > this.#capacityBytes) {
      throw new RangeError(
        `Cannot write to a watch cell as a value must have at most ${this.#capacityBytes} bytes: current value has ${bytes.length}`,
      )
    }
    const words = this.#words
    const scratch = this.#scratch
    this.#bytes.set(bytes)
    // Version 0 is that of no value: after all others comes the next one in the same slot.
    const version = (this.#version + 1) | 0 || 2
    const slot = slotIndex(version, this.#capacityBytes)
    words.store(slot, bytes.length)
    const count = (bytes.length + 3) >>> 2
    for (let index = 0; index < count; index++) {
      words.store(slot + 1 + index, scratch[index] as number)
    }
    words.store(WORD_VERSION, version)
    this.#version = version
  }

  /** Says that the value is the last. Again is nothing. */
  close(): void {
    this.#words.store(WORD_CLOSED, 1)
  }
}

/** One of those who read what the latest is. */
export class WatchReader {
  /** What {@link read} found, up to the length that it returned; the next read overwrites it. */
  readonly bytes: Uint8Array
  /** The version of it: 0 before there is a value, then a count of those that goes around. */
  version = 0
  readonly #words: SharedWords
  readonly #capacityBytes: number
  readonly #scratch: Int32Array

  constructor(cell: OpenWatchCell) {
    this.#words = cell.words
    this.#capacityBytes = cell.capacityBytes
    this.#scratch = new Int32Array(Math.ceil(cell.capacityBytes / 4))
    this.bytes = new Uint8Array(this.#scratch.buffer)
  }

  /** Any number of threads may attach, any number of times. */
  static attach(cell: WatchCell): WatchReader {
    return new WatchReader(openCell(cell))
  }

  /** Whether there is a value that was not read yet. */
  get hasNews(): boolean {
    return this.#words.load(WORD_VERSION) !== this.version
  }

  /** Whether the value that was read is the last. */
  get isEnded(): boolean {
    // The flag first: who sees it then sees the last version.
    return this.#words.load(WORD_CLOSED) === 1 && !this.hasNews
  }

  /** Copies the latest value into {@link bytes}; returns its length. Tries again whenever a newer one comes. */
  read(): number {
    for (let version = this.#words.load(WORD_VERSION); ; ) {
      const lengthBytes = this.#copy(version)
      const now = this.#words.load(WORD_VERSION)
      if (now === version) {
        this.version = version
        return lengthBytes
      }
      version = now
    }
  }

  #copy(version: number): number {
    const words = this.#words
    const slot = slotIndex(version, this.#capacityBytes)
    const lengthBytes = words.load(slot)
    assert(lengthBytes <= this.#capacityBytes, 'a length fits its slot, whichever version it is of')
    const count = (lengthBytes + 3) >>> 2
    for (let index = 0; index < count; index++) {
      this.#scratch[index] = words.load(slot + 1 + index)
    }
    return lengthBytes
  }
}

function slotWords(capacityBytes: number): number {
  return 1 + Math.ceil(capacityBytes / 4)
}

function slotIndex(version: number, capacityBytes: number): number {
  return HEADER_WORDS + (version & 1) * slotWords(capacityBytes)
}

function openCell({ memory, capacityBytes }: WatchCell): OpenWatchCell {
  const words = new Int32Array(memory)
  assert(words[WORD_STAMP] === STAMP, 'a watch cell is attached to as what it was made')
  assert(words[WORD_CAPACITY] === capacityBytes, 'a description tells the capacity of its cell')
  return { words: new AtomicWords(words), capacityBytes }
}
