import { assert } from '../base/index.ts'

/**
 * Bytes that come in pieces, how many is known only in the end.
 *
 * One array if there are as many as expected; where there are more it doubles, so that each byte is copied
 * O(1) times, and what is asked for and not there takes no memory. Each array is shown to `prepare` before it
 * is filled.
 */
export class GrowingBytes {
  readonly #countMax: number
  readonly #prepare: (bytes: Uint8Array) => void
  #bytes: Uint8Array
  #count = 0

  constructor(expectedCount: number, countMax: number, prepare: (bytes: Uint8Array) => void) {
    this.#countMax = countMax
    this.#prepare = prepare
    this.#bytes = this.#allocate(Math.min(expectedCount, countMax))
  }

  /** Copies a piece behind those before it. */
  append(piece: Uint8Array): void {
    const count = this.#count + piece.length
    assert(count <= this.#countMax, 'no more comes than was asked for')
    if (count > this.#bytes.length) {
      const larger = this.#allocate(Math.min(this.#countMax, Math.max(count, 2 * this.#count)))
      larger.set(this.#bytes.subarray(0, this.#count))
      this.#bytes = larger
    }
    this.#bytes.set(piece, this.#count)
    this.#count = count
  }

  /** All of them, in an array that is no longer than they are. */
  take(): Uint8Array {
    const isExact = this.#count === this.#bytes.length
    return isExact ? this.#bytes : this.#bytes.slice(0, this.#count)
  }

  #allocate(count: number): Uint8Array {
    const bytes = new Uint8Array(count)
    this.#prepare(bytes)
    return bytes
  }
}
