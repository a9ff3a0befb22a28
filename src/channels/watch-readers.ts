import { RuntimeError } from '../base/index.ts'
import type { Executor } from '../executor/index.ts'
import type { Directory } from '../kernel/index.ts'
import { type EndWords, ringEnd } from './peers.ts'
import { AtomicWords, abandonEnd, type SharedWords } from './shared/index.ts'

/*
 * ABI: of the writer, then, behind a bit for each reader that wants to be told, of each reader: whose it is, the executor
 * that has attached, and its inbox.
 */
const WORD_WRITER_CLAIM = 0
const WORD_WRITER_EXECUTOR = 1
const WORD_WRITER_INBOX = 2
const WORD_WANTED = 3
const PLACE_WORDS = 3

export const WRITER_WORDS: EndWords = {
  claim: WORD_WRITER_CLAIM,
  executor: WORD_WRITER_EXECUTOR,
  inbox: WORD_WRITER_INBOX,
}

/** Memory for the places of so many readers. */
export function createReaderPlaces(readerCount: number): SharedArrayBuffer {
  const wantedCount = Math.ceil(readerCount / 32)
  return new SharedArrayBuffer((WORD_WANTED + wantedCount + readerCount * PLACE_WORDS) * 4)
}

/** Who reads a watch, by places in shared memory: the writer rings those that want to be told of the next value. */
export class ReaderPlaces {
  readonly words: SharedWords
  readonly #count: number
  readonly #wantedCount: number

  constructor(memory: SharedArrayBuffer, readerCount: number) {
    this.words = new AtomicWords(new Int32Array(memory))
    this.#count = readerCount
    this.#wantedCount = Math.ceil(readerCount / 32)
  }

  /**
   * Takes a place: one that is free, else one whose reader's executor has ended. O(readers).
   *
   * @throws {RuntimeError} `ERR_LIMIT_EXCEEDED`
   */
  take(home: Executor): number {
    const { words } = this
    const { doorbell } = home
    const { address } = doorbell
    for (let place = 0; place < this.#count; place++) {
      if (words.compareExchange(this.#base(place), 0, address) === 0) return place
    }
    for (let place = 0; place < this.#count; place++) {
      const { claim, executor } = this.endWords(place)
      const id = words.load(claim)
      if (id === 0 || !doorbell.isEnded(id)) continue
      // ORDER: of two threads that come at once, one finds the number of whoever has ended.
      if (words.compareExchange(claim, id, address) !== id) continue
      words.store(executor, 0)
      return place
    }
    throw new RuntimeError(
      'ERR_LIMIT_EXCEEDED',
      `Cannot attach a reader as a watch must have at most ${this.#count} at a time: it has`,
    )
  }

  /** Leaves it to others, once its reader has detached. */
  leave(place: number): void {
    this.words.store(this.#base(place), 0)
  }

  endWords(place: number): EndWords {
    const claim = this.#base(place)
    return { claim, executor: claim + 1, inbox: claim + 2 }
  }

  /** Has the writer ring this place with the next value, or the end; the reader looks once more then. */
  request(place: number): void {
    this.words.or(WORD_WANTED + (place >> 5), 1 << (place & 31))
  }

  /** Rings those that asked for it: after a value or the end was published. O(those), and a word for 32 readers. */
  ringWanting(home: Executor): void {
    for (let index = 0; index < this.#wantedCount; index++) {
      // ORDER: after the version. A reader asks first, then looks at the version again: one of both sees the other.
      if (this.words.load(WORD_WANTED + index) === 0) continue
      let bits = this.words.exchange(WORD_WANTED + index, 0)
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits)
        bits &= ~(1 << bit)
        this.ring(home, index * 32 + bit)
      }
    }
  }

  /** Rings every reader there is. */
  ringAll(home: Executor): void {
    for (let place = 0; place < this.#count; place++) this.ring(home, place)
  }

  /** Has nobody attach as the writer any more, and tells every reader; whether nobody had. */
  abandonWriter(directory: Directory): boolean {
    const { words } = this
    if (!abandonEnd(words, WORD_WRITER_CLAIM)) return false
    for (let place = 0; place < this.#count; place++) {
      // ORDER: after the claim, which a reader looks at once it has told of itself.
      ringEnd(directory, words, this.endWords(place))
    }
    return true
  }

  ring(home: Executor, place: number): void {
    const { executor, inbox } = this.endWords(place)
    const id = this.words.load(executor)
    if (id > 0) home.doorbell.ring(id, this.words.load(inbox))
  }

  #base(place: number): number {
    return WORD_WANTED + this.#wantedCount + place * PLACE_WORDS
  }
}
