import { assert } from './assert.ts'

/** What a {@link Heap} orders; it keeps its own position so that removal needs no search. */
export interface HeapEntry {
  /** @internal Position in the heap, -1 when in none. */
  heapIndex: number
}

/**
 * Binary min-heap with removal by entry. O(log n), no allocation but growth.
 *
 * Entries that compare equal leave in no particular order: put a sequence number in the key.
 */
export class Heap<T extends HeapEntry> {
  readonly #entries: T[] = []
  readonly #isBefore: (a: T, b: T) => boolean

  constructor(isBefore: (a: T, b: T) => boolean) {
    this.#isBefore = isBefore
  }

  get size(): number {
    return this.#entries.length
  }

  /** The entries, in no particular order; not to be changed meanwhile. */
  [Symbol.iterator](): Iterator<T> {
    return this.#entries.values()
  }

  peek(): T | undefined {
    return this.#entries[0]
  }

  push(entry: T): void {
    assert(entry.heapIndex === -1, 'an entry is in one heap at a time')
    this.#entries.push(entry)
    this.#siftUp(entry, this.#entries.length - 1)
  }

  pop(): T | undefined {
    const first = this.#entries[0]
    if (first !== undefined) this.remove(first)
    return first
  }

  remove(entry: T): void {
    const entries = this.#entries
    const index = entry.heapIndex
    assert(entries[index] === entry, 'an entry knows its position')
    entry.heapIndex = -1
    const last = entries.pop()!
    if (last === entry) return
    if (index > 0 && this.#isBefore(last, entries[(index - 1) >> 1]!)) this.#siftUp(last, index)
    else this.#siftDown(last, index)
  }

  /** Checks that all is in order. O(n): for audits. */
  audit(): void {
    for (const [index, entry] of this.#entries.entries()) {
      assert(entry.heapIndex === index, 'an entry knows its position')
      const parent = this.#entries[(index - 1) >> 1]
      assert(index === 0 || !this.#isBefore(entry, parent!), 'a parent is not behind its child')
    }
  }

  #siftUp(entry: T, start: number): void {
    const entries = this.#entries
    let index = start
    while (index > 0) {
      const parentIndex = (index - 1) >> 1
      const parent = entries[parentIndex]!
      if (!this.#isBefore(entry, parent)) break
      entries[index] = parent
      parent.heapIndex = index
      index = parentIndex
    }
    entries[index] = entry
    entry.heapIndex = index
  }

  #siftDown(entry: T, start: number): void {
    const entries = this.#entries
    const size = entries.length
    let index = start
    for (;;) {
      let childIndex = 2 * index + 1
      if (childIndex >= size) break
      const right = childIndex + 1
      if (right < size && this.#isBefore(entries[right]!, entries[childIndex]!)) childIndex = right
      const child = entries[childIndex]!
      if (!this.#isBefore(child, entry)) break
      entries[index] = child
      child.heapIndex = index
      index = childIndex
    }
    entries[index] = entry
    entry.heapIndex = index
  }
}
