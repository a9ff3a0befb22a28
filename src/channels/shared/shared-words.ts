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
