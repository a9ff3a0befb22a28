import { assert, isPowerOfTwo, nextPowerOfTwo } from '../base/index.ts'

const NONE = -1

/**
 * Cuts a power-of-two range into power-of-two blocks, each aligned to its own size.
 *
 * O(log n) to allocate and free, no allocation of its own after construction. Source: Knowlton,
 * "A fast storage allocator" (1965); Glommio's arena is one too.
 */
export class BuddyAllocator {
  readonly sizeBytes: number
  readonly blockBytesMin: number
  readonly #orderMax: number
  /** First free block of each order, in units of the smallest block; the rest is linked. */
  readonly #heads: Int32Array
  readonly #next: Int32Array
  readonly #previous: Int32Array
  /** Order of the free block that begins at a unit, or -1. */
  readonly #freeOrder: Int8Array
  /** Order of the allocated block that begins at a unit, or -1. */
  readonly #usedOrder: Int8Array
  #usedBytes = 0

  constructor(sizeBytes: number, blockBytesMin: number) {
    assert(isPowerOfTwo(sizeBytes) && isPowerOfTwo(blockBytesMin), 'sizes are powers of two')
    assert(sizeBytes >= blockBytesMin, 'at least one block fits')
    this.sizeBytes = sizeBytes
    this.blockBytesMin = blockBytesMin
    const unitCount = sizeBytes / blockBytesMin
    this.#orderMax = Math.log2(unitCount)
    this.#heads = new Int32Array(this.#orderMax + 1).fill(NONE)
    this.#next = new Int32Array(unitCount).fill(NONE)
    this.#previous = new Int32Array(unitCount).fill(NONE)
    this.#freeOrder = new Int8Array(unitCount).fill(NONE)
    this.#usedOrder = new Int8Array(unitCount).fill(NONE)
    this.#link(0, this.#orderMax)
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  /** How often the smallest block was doubled to make the one allocated at an offset. */
  orderAt(offsetBytes: number): number {
    const order = this.#usedOrder[offsetBytes / this.blockBytesMin] ?? NONE
    assert(order !== NONE, 'a block is named by the offset it was given with')
    return order
  }

  /** The size of the block that holds `lengthBytes`. */
  blockBytes(lengthBytes: number): number {
    return Math.max(this.blockBytesMin, nextPowerOfTwo(lengthBytes))
  }

  /** The offset of a block of at least `lengthBytes`, or -1 if no such block is free. */
  allocate(lengthBytes: number): number {
    const bytes = this.blockBytes(lengthBytes)
    if (bytes > this.sizeBytes) return NONE
    const order = 31 - Math.clz32(bytes / this.blockBytesMin)
    let from = order
    while (from <= this.#orderMax && this.#heads[from] === NONE) from++
    if (from > this.#orderMax) return NONE
    const unit = this.#heads[from]!
    this.#unlink(unit, from)
    while (from > order) {
      from--
      this.#link(unit + (1 << from), from)
    }
    this.#usedOrder[unit] = order
    this.#usedBytes += bytes
    return unit * this.blockBytesMin
  }

  /** Returns a block by its offset, and merges it with its free neighbours. */
  free(offsetBytes: number): void {
    let unit = offsetBytes / this.blockBytesMin
    let order = this.#usedOrder[unit] ?? NONE
    assert(order !== NONE, 'a block is freed once, by the offset it was given with')
    this.#usedOrder[unit] = NONE
    this.#usedBytes -= this.blockBytesMin * (1 << order)
    while (order < this.#orderMax) {
      const buddy = unit ^ (1 << order)
      if (this.#freeOrder[buddy] !== order) break
      this.#unlink(buddy, order)
      unit = Math.min(unit, buddy)
      order++
    }
    this.#link(unit, order)
  }

  #link(unit: number, order: number): void {
    const head = this.#heads[order]!
    this.#next[unit] = head
    this.#previous[unit] = NONE
    if (head !== NONE) this.#previous[head] = unit
    this.#heads[order] = unit
    this.#freeOrder[unit] = order
  }

  #unlink(unit: number, order: number): void {
    const next = this.#next[unit]!
    const previous = this.#previous[unit]!
    if (previous === NONE) this.#heads[order] = next
    else this.#next[previous] = next
    if (next !== NONE) this.#previous[next] = previous
    this.#freeOrder[unit] = NONE
  }
}
