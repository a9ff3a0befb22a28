import { assert, isPowerOfTwo } from '../base/index.ts'

/** After so many that did not pay in a row, few are tried. */
const MISSES_MAX = 8

/**
 * Whether something that may gain a little or cost a little is worth trying, by how it went lately.
 *
 * It is tried until it has not paid {@link MISSES_MAX} times in a row, and from then on now and then,
 * until it pays again. Pure.
 */
export class Guess {
  readonly #retryMask: number
  #missCount = 0

  /** `retryInterval`, a power of two: one in so many is tried while it does not pay. */
  constructor(retryInterval: number) {
    assert(isPowerOfTwo(retryInterval), 'an interval of retries is a power of two')
    this.#retryMask = retryInterval - 1
  }

  /** Asked once each time that it could be tried. */
  isWorthTrying(): boolean {
    if (this.#missCount < MISSES_MAX) return true
    this.#missCount++
    return (this.#missCount & this.#retryMask) === 0
  }

  record(hasPaid: boolean): void {
    if (hasPaid) this.#missCount = 0
    else if (this.#missCount < MISSES_MAX) this.#missCount++
  }
}
