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
  /** Wakes threads that listen to a word; only real words can be listened to. */
  notify?(index: number): void
  /** What to listen to: there as {@link notify} is. */
  readonly notified?: Int32Array
}

/** In the place of an owner: nobody has the end, and nobody will. */
export const END_ABANDONED = -1
/** An owner that is known by no number; the number of an executor is higher. */
export const OWNER_UNNAMED = 1

/** What is claimed, and for whom. */
export interface EndClaim {
  readonly words: SharedWords
  /** Of the word that says whose it is. */
  readonly index: number
  /** What it is an end of, and which: `a ring`, `producer`. */
  readonly subject: string
  readonly end: string
  /** The number of the executor that attaches, so that others see when it has ended. */
  readonly owner?: number | undefined
}

/**
 * Takes one end of something shared for the one object that may use it, for ever.
 *
 * @throws {RuntimeError} `ERR_STILL_HELD` if it was taken before, here or in another thread; `ERR_CHANNEL_CLOSED` if it was
 * abandoned.
 */
export function claimEnd({ words, index, subject, end, owner = OWNER_UNNAMED }: EndClaim): void {
  // ORDER: of two threads that come at once, one finds the zero.
  const found = words.compareExchange(index, 0, owner)
  if (found === 0) return
  if (found === END_ABANDONED) {
    const why = `its ${end} must be waited for: it was abandoned, and the other end has been told`
    throw new RuntimeError('ERR_CHANNEL_CLOSED', `Cannot attach to ${subject} as ${why}`)
  }
  throw new RuntimeError(
    'ERR_STILL_HELD',
    `Cannot attach to ${subject} as its ${end} must be the only one: there is one already`,
  )
}

/**
 * Has nobody attach to an end any more; whether that was to be had: it is too late where somebody has, or had, it.
 * The caller tells the other end.
 */
export function abandonEnd(words: SharedWords, index: number): boolean {
  // ORDER: of whoever abandons it and whoever attaches one finds the zero.
  return words.compareExchange(index, 0, END_ABANDONED) === 0
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

  notify(index: number): void {
    Atomics.notify(this.#words, index)
  }

  get notified(): Int32Array {
    return this.#words
  }
}
