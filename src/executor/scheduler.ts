import { Heap, type HeapEntry } from '../base/index.ts'

/** What the scheduler knows of a task queue. */
export interface Schedulable extends HeapEntry {
  /** Time it has run, divided by its shares. */
  virtualRuntime: number
  /** Orders equals by when they became runnable. */
  order: number
  /** Whether it gave up its turn: another runnable queue goes first, once. */
  hasYielded: boolean
}

/**
 * Picks the queue with the smallest virtual runtime. Pure: no clock, no I/O.
 *
 * A queue that becomes runnable starts at the current minimum: sleeping earns no credit. O(log n).
 *
 * Source: Linux CFS, Seastar's and Glommio's schedulers.
 */
export class Scheduler<T extends Schedulable> {
  readonly #heap = new Heap<T>(isBefore)
  /** Who was picked last: only its yield is news. */
  #last: T | null = null
  #minimum = 0
  #order = 0

  get size(): number {
    return this.#heap.size
  }

  /** Adds a queue that was not runnable. */
  wake(queue: T): void {
    if (queue.virtualRuntime < this.#minimum) queue.virtualRuntime = this.#minimum
    this.add(queue)
  }

  /** Adds back the queue that ran last. */
  add(queue: T): void {
    queue.order = this.#order++
    this.#heap.push(queue)
  }

  /** Removes and returns who runs next. */
  pick(): T | undefined {
    const first = this.#heap.pop()
    if (first === undefined) return undefined
    // The minimum only rises: a queue that has yielded may be further behind than its successor.
    if (first.virtualRuntime > this.#minimum) this.#minimum = first.virtualRuntime
    // Since any other's turn others have gone before it already.
    const isYielding = first.hasYielded && first === this.#last
    first.hasYielded = false
    this.#last = first
    if (!isYielding) return first
    const second = this.#heap.pop()
    if (second === undefined) return first
    this.#heap.push(first)
    second.hasYielded = false
    this.#last = second
    return second
  }

  /** Counts what a queue is ahead of the others by its new shares, `factor` of the old ones. */
  rescale(queue: T, factor: number): void {
    const ahead = queue.virtualRuntime - this.#minimum
    if (ahead <= 0) return
    const isRunnable = queue.heapIndex !== -1
    if (isRunnable) this.#heap.remove(queue)
    queue.virtualRuntime = this.#minimum + ahead / factor
    if (isRunnable) this.#heap.push(queue)
  }

  remove(queue: T): void {
    if (queue.heapIndex !== -1) this.#heap.remove(queue)
  }
}

function isBefore(a: Schedulable, b: Schedulable): boolean {
  if (a.virtualRuntime !== b.virtualRuntime) return a.virtualRuntime < b.virtualRuntime
  return a.order < b.order
}
