import { assert, RuntimeError } from '../base/index.ts'
import type { Arena } from './io-memory.ts'

/**
 * A lease on memory that the kernel may read and write directly: aligned, stable, reused.
 *
 * Disposing gives it back (`using buffer = …`), at once or, if operations still use it, with their
 * last completion: memory belongs to an operation until then. After that {@link bytes} throws.
 * Nothing gives back a lease that is forgotten.
 */
export class IoBuffer implements Disposable {
  /** Where it is, for the kernel. */
  readonly address: number
  readonly #arena: Arena
  readonly #offset: number
  readonly #onFree: () => void
  #bytes: Uint8Array<ArrayBuffer> | null
  #pinCount = 0

  /** @internal */
  constructor(arena: Arena, offset: number, lengthBytes: number, onFree: () => void) {
    this.#arena = arena
    this.#offset = offset
    this.#onFree = onFree
    this.address = arena.address + offset
    this.#bytes = arena.memory.subarray(offset, offset + lengthBytes)
  }

  /** @throws {RuntimeError} `ERR_BUFFER_RELEASED` */
  get bytes(): Uint8Array<ArrayBuffer> {
    if (this.#bytes === null) {
      throw new RuntimeError(
        'ERR_BUFFER_RELEASED',
        'Cannot use a buffer as it must not have been released: it was',
      )
    }
    return this.#bytes
  }

  get lengthBytes(): number {
    return this.bytes.length
  }

  get isReleased(): boolean {
    return this.#bytes === null
  }

  /** @internal Its arena's index among the rings' registered buffers, or -1. */
  get bufferIndex(): number {
    return this.#arena.bufferIndex
  }

  /** Shortens what {@link bytes} shows; the memory stays leased as a whole. */
  trim(lengthBytes: number): void {
    if (!Number.isInteger(lengthBytes) || lengthBytes < 0 || lengthBytes > this.bytes.length) {
      throw new RangeError(
        `Cannot trim a buffer as the length must be from 0 to ${this.bytes.length}: current value is ${lengthBytes}`,
      )
    }
    this.#bytes = this.bytes.subarray(0, lengthBytes)
  }

  /** @internal An operation has it until {@link unpin}. */
  pin(): void {
    // What waits its turn has pinned it already: then it is released, but not yet free.
    assert(this.#bytes !== null || this.#pinCount > 0, 'free memory is given to no operation')
    this.#pinCount++
  }

  /** @internal */
  unpin(): void {
    assert(this.#pinCount > 0, 'each pin ends once')
    this.#pinCount--
    if (this.#pinCount === 0 && this.#bytes === null) this.#free()
  }

  /** Gives the memory back; again is nothing. */
  release(): void {
    if (this.#bytes === null) return
    this.#bytes = null
    if (this.#pinCount === 0) this.#free()
  }

  [Symbol.dispose](): void {
    this.release()
  }

  #free(): void {
    this.#arena.allocator.free(this.#offset)
    this.#onFree()
  }
}
