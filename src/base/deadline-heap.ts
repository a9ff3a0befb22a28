import { assert } from './assert.ts'
import type { HeapEntry } from './heap.ts'

const SLOT_COUNT_MIN = 64
/** An entry has up to four children: their keys fill about one line of the cache. */
const FAN_OUT_SHIFT = 2
const FAN_OUT = 1 << FAN_OUT_SHIFT

/**
 * Min-heap by deadline; of equal ones the one pushed first leaves first. Removal by entry. O(log n), no
 * allocation but growth.
 *
 * Keys are in an array of numbers, in the order of the heap: finding a place looks at no entry, each of which
 * is somewhere else in memory where they are many. A key is a deadline and the number of its push.
 */
export class DeadlineHeap<T extends HeapEntry> {
  readonly #entries: T[] = []
  #keys = new Float64Array(2 * SLOT_COUNT_MIN)
  #pushCount = 0

  get size(): number {
    return this.#entries.length
  }

  /** The first deadline, or Infinity. */
  get firstNs(): number {
    return this.#entries.length === 0 ? Number.POSITIVE_INFINITY : this.#keys[0]!
  }

  push(entry: T, deadlineNs: number): void {
    assert(entry.heapIndex === -1, 'an entry is in one heap at a time')
    const index = this.#entries.length
    if (2 * index === this.#keys.length) this.#grow()
    this.#entries.push(entry)
    this.#siftUp(entry, index, deadlineNs, this.#pushCount++)
  }

  /** Takes the first if its deadline is `nowNs` or before, else returns null. */
  pop(nowNs: number): T | null {
    const first = this.#entries[0]
    if (first === undefined || this.#keys[0]! > nowNs) return null
    this.remove(first)
    return first
  }

  remove(entry: T): void {
    const entries = this.#entries
    const index = entry.heapIndex
    assert(entries[index] === entry, 'an entry knows its position')
    entry.heapIndex = -1
    const last = entries.pop()!
    if (last === entry) return
    const keys = this.#keys
    const deadlineNs = keys[2 * entries.length]!
    const order = keys[2 * entries.length + 1]!
    if (index > 0 && this.#isBehind(parentOf(index), deadlineNs, order)) {
      this.#siftUp(last, index, deadlineNs, order)
    } else {
      this.#siftDown(last, index, deadlineNs, order)
    }
  }

  /** The entries, the first one first; they stay in. O(n log n). */
  sorted(): T[] {
    const indexes = this.#entries.map((_, index) => index)
    indexes.sort((a, b) => (this.#isBehind(b, this.#keys[2 * a]!, this.#keys[2 * a + 1]!) ? -1 : 1))
    return indexes.map((index) => this.#entries[index]!)
  }

  /** The entries, in no particular order; not to be changed meanwhile. */
  [Symbol.iterator](): Iterator<T> {
    return this.#entries.values()
  }

  /** Checks that all is in order. O(n): for audits. */
  audit(): void {
    const keys = this.#keys
    for (const [index, entry] of this.#entries.entries()) {
      assert(entry.heapIndex === index, 'an entry knows its position')
      const isLate =
        index > 0 && this.#isBehind(parentOf(index), keys[2 * index]!, keys[2 * index + 1]!)
      assert(!isLate, 'a parent is not behind its child')
    }
  }

  /** Whether the entry there leaves after one with such a key. */
  #isBehind(index: number, deadlineNs: number, order: number): boolean {
    const otherNs = this.#keys[2 * index]!
    return otherNs > deadlineNs || (otherNs === deadlineNs && this.#keys[2 * index + 1]! > order)
  }

  #siftUp(entry: T, start: number, deadlineNs: number, order: number): void {
    let index = start
    while (index > 0) {
      const parentIndex = parentOf(index)
      if (!this.#isBehind(parentIndex, deadlineNs, order)) break
      this.#move(parentIndex, index)
      index = parentIndex
    }
    this.#place(entry, index, deadlineNs, order)
  }

  #siftDown(entry: T, start: number, deadlineNs: number, order: number): void {
    let index = start
    for (;;) {
      const childIndex = this.#firstChild(index)
      if (childIndex === -1 || this.#isBehind(childIndex, deadlineNs, order)) break
      this.#move(childIndex, index)
      index = childIndex
    }
    this.#place(entry, index, deadlineNs, order)
  }

  /** Where the child is that leaves before its siblings, or -1. */
  #firstChild(index: number): number {
    const keys = this.#keys
    const from = FAN_OUT * index + 1
    const end = Math.min(from + FAN_OUT, this.#entries.length)
    if (from >= end) return -1
    let first = from
    for (let child = from + 1; child < end; child++) {
      if (this.#isBehind(first, keys[2 * child]!, keys[2 * child + 1]!)) first = child
    }
    return first
  }

  #move(from: number, to: number): void {
    const keys = this.#keys
    this.#place(this.#entries[from]!, to, keys[2 * from]!, keys[2 * from + 1]!)
  }

  #place(entry: T, index: number, deadlineNs: number, order: number): void {
    this.#entries[index] = entry
    this.#keys[2 * index] = deadlineNs
    this.#keys[2 * index + 1] = order
    entry.heapIndex = index
  }

  #grow(): void {
    const keys = new Float64Array(2 * this.#keys.length)
    keys.set(this.#keys)
    this.#keys = keys
  }
}

function parentOf(index: number): number {
  return (index - 1) >> FAN_OUT_SHIFT
}
