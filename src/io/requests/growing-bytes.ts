import { allocateBytes, assert, RuntimeError } from '../../base/index.ts'

/**
 * Bytes that come in pieces, how many is known only in the end.
 *
 * One array if there are as many as expected; where there are more it doubles, so that each byte is copied
 * O(1) times, and what is asked for and not there takes no memory. Each array is shown to `prepare` before it
 * is filled.
 *
 * @throws {RuntimeError} `ERR_OUT_OF_MEMORY` where the process has none for an array, at each call.
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
      this.#bytes = this.#copyInto(Math.min(this.#countMax, Math.max(count, 2 * this.#count)))
    }
    this.#bytes.set(piece, this.#count)
    this.#count = count
  }

  /** All of them, in an array that is no longer than they are. */
  take(): Uint8Array {
    const isExact = this.#count === this.#bytes.length
    return isExact ? this.#bytes : this.#copyInto(this.#count)
  }

  /** An array of `count` that begins with what there is. */
  #copyInto(count: number): Uint8Array {
    const bytes = this.#allocate(count)
    bytes.set(this.#bytes.subarray(0, this.#count))
    return bytes
  }

  #allocate(count: number): Uint8Array {
    const bytes = allocateUnfilled(count)
    this.#prepare(bytes)
    return bytes
  }
}

/** Not zeroed, which costs as much as to copy from the page cache: only what was written to it is given away. */
function allocateUnfilled(count: number): Uint8Array {
  try {
    return allocateBytes(count)
  } catch (cause) {
    throw new RuntimeError(
      'ERR_OUT_OF_MEMORY',
      `Cannot read as there must be memory for ${count} bytes: the process has none left`,
      { cause },
    )
  }
}
