import { assert } from '../base/index.ts'

const SLOT_COUNT_MIN = 8

/** First in, first out, in a ring that doubles when it is full. O(1), amortised. */
export class ItemQueue<T> {
  #slots: (T | undefined)[] = new Array(SLOT_COUNT_MIN).fill(undefined)
  #head = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  /** The first, or undefined. */
  get first(): T | undefined {
    return this.#slots[this.#head]
  }

  push(item: T): void {
    if (this.#length === this.#slots.length) this.#grow()
    this.#slots[(this.#head + this.#length) & (this.#slots.length - 1)] = item
    this.#length++
  }

  /** Takes the first; there must be one. */
  shift(): T {
    assert(this.#length > 0, 'only what is there can be taken')
    const item = this.#slots[this.#head] as T
    // Nothing that was taken is kept from the garbage collector.
    this.#slots[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#slots.length - 1)
    this.#length--
    return item
  }

  clear(): void {
    this.#slots = new Array(SLOT_COUNT_MIN).fill(undefined)
    this.#head = 0
    this.#length = 0
  }

  #grow(): void {
    const slots = this.#slots
    const before = slots.slice(0, this.#head)
    this.#slots = slots.slice(this.#head).concat(before, new Array(slots.length).fill(undefined))
    this.#head = 0
  }
}
