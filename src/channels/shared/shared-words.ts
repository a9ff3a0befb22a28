import { RuntimeError } from '../../base/index.ts'

/**
 * 32-bit words that several threads see, as the protocols of this folder use them.
 *
 * Every access is one step, and all of them have one order that all threads agree on (sequentially
 * consistent); only {@link peek} is not. Threads use {@link AtomicWords}; the model checker of the tests
 * has words of its own, which is why protocols are written against this port and nothing else.
 */
export interface SharedWords {
  load(index: number): number
  store(index: number, value: number): void
  /** Stores, and returns what was there. */
  exchange(index: number, value: number): number
  /** Stores `value` if `expected` is there; returns what was there. */
  compareExchange(index: number, expected: number, value: number): number
  /** Sets bits, and returns what was there. */
  or(index: number, bits: number): number
  /**
   * Reads without a fence, for a tenth of the price: may be stale, unless the reader knows of the store by
   * another way (a message, say).
   */
  peek(index: number): number
}

/**
 * Takes one end of something shared for the one object that may use it, for ever: the word at `index` says so.
 *
 * @throws {RuntimeError} `ERR_STILL_HELD` if it was taken before, here or in another thread.
 */
export function claimEnd(words: SharedWords, index: number, subject: string, end: string): void {
  // ORDER: of two threads that come at once, one finds the zero.
  if (words.compareExchange(index, 0, 1) === 0) return
  throw new RuntimeError(
    'ERR_STILL_HELD',
    `Cannot attach to ${subject} as its ${end} must be the only one: there is one already`,
  )
}

/** Words of real shared memory. */
export class AtomicWords implements SharedWords {
  readonly #words: Int32Array

  constructor(words: Int32Array) {
    this.#words = words
  }

  load(index: number): number {
    return Atomics.load(this.#words, index)
  }

  store(index: number, value: number): void {
    Atomics.store(this.#words, index, value)
  }

  exchange(index: number, value: number): number {
    return Atomics.exchange(this.#words, index, value)
  }

  compareExchange(index: number, expected: number, value: number): number {
    return Atomics.compareExchange(this.#words, index, expected, value)
  }

  or(index: number, bits: number): number {
    return Atomics.or(this.#words, index, bits)
  }

  peek(index: number): number {
    return this.#words[index] as number
  }
}
