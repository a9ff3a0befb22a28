import type { ValueWriter } from './value-writer.ts'

/** What is left of a batch that waits for room: the batch's own, so that the caller may use its array again meanwhile. */
export class BatchProgress<T, P> {
  readonly #values: ArrayLike<T>
  readonly #packed: ArrayLike<P>
  /** How many are in, and how much of the next one. */
  #sentCount = 0
  #done = 0
  #toldCount = 0

  /** Of values, and what they are in the ring of that writer, those from `sentCount` on. O(those). */
  constructor(
    writer: ValueWriter<T, P>,
    values: ArrayLike<T>,
    packed: ArrayLike<P>,
    sentCount: number,
  ) {
    this.#values = copyRest(values, sentCount)
    // Numbers are in the ring what they are.
    const isSame = (packed as ArrayLike<unknown>) === values
    this.#packed = isSame
      ? (this.#values as ArrayLike<never>)
      : Array.from(copyRest(packed, sentCount), (one) => writer.keep(one))
  }

  /** Stages what there is room for; whether that was the last. */
  stageMore(writer: ValueWriter<T, P>): boolean {
    const packed = this.#packed
    for (;;) {
      if (this.#done === 0) this.#sentCount = writer.stageBatch(packed, this.#sentCount)
      if (this.#sentCount === packed.length) return true
      const next = packed[this.#sentCount] as P
      if (writer.isWhole(next)) return false
      this.#done = writer.stageFrom(next, this.#done)
      if (this.#done < writer.sizeOf(next)) return false
      this.#done = 0
      this.#sentCount++
    }
  }

  /** How many are in of which this was not asked before. */
  takeStagedCount(): number {
    const count = this.#sentCount - this.#toldCount
    this.#toldCount = this.#sentCount
    return count
  }

  /** How many cells to ask for, to go on. */
  cellsWanted(writer: ValueWriter<T, P>): number {
    return writer.cellsFor(this.#packed[this.#sentCount] as P, this.#done)
  }

  /** Those that are not in, or not all of them is. */
  takeRest(): T[] {
    return Array.prototype.slice.call(this.#values, this.#sentCount)
  }
}

function copyRest<V>(values: ArrayLike<V>, from: number): ArrayLike<V> {
  if (values instanceof Float64Array) return values.slice(from) as unknown as ArrayLike<V>
  return Array.prototype.slice.call(values, from)
}
