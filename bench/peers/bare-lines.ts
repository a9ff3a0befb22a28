/** What waits in the bare sides: the simplest lines, locks, timers and tasks that do the same while nothing fails. */

import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'

export type Resolve<T> = (value: T) => void

/** First in, first out; it only grows, which is enough for one run. */
export class Line<T> {
  readonly #entries: (T | undefined)[] = []
  #served = 0

  push(entry: T): void {
    this.#entries.push(entry)
  }

  get first(): T | undefined {
    return this.#entries[this.#served]
  }

  shift(): T | undefined {
    const entry = this.#entries[this.#served]
    if (entry !== undefined) this.#entries[this.#served++] = undefined
    return entry
  }
}

export class BareSemaphore {
  readonly #line = new Line<Resolve<BareSemaphore>>()
  #freeCount = 0

  acquire(): Promise<BareSemaphore> {
    if (this.#freeCount === 0) return new Promise((resolve) => this.#line.push(resolve))
    this.#freeCount--
    return Promise.resolve(this)
  }

  release(): void {
    const next = this.#line.shift()
    if (next === undefined) this.#freeCount++
    else next(this)
  }
}

export class BareRwLock {
  readonly #line = new Line<{ readonly unitCount: number; readonly resolve: Resolve<BareRwLock> }>()
  #freeCount = 0

  take(unitCount: number): Promise<BareRwLock> {
    return new Promise((resolve) => this.#line.push({ unitCount, resolve }))
  }

  give(unitCount: number): void {
    this.#freeCount += unitCount
    for (let next = this.#line.first; next !== undefined; next = this.#line.first) {
      if (next.unitCount > this.#freeCount) return
      this.#line.shift()
      this.#freeCount -= next.unitCount
      next.resolve(this)
    }
  }
}

export interface BareTimer {
  readonly deadline: number
  readonly action: () => void
  readonly context: AsyncResource
  index: number
}

/** A binary heap of timers that know their places, as small as it can be. */
export class BareTimers {
  readonly #heap: BareTimer[] = []

  /** Keeps the asynchronous context of who arms it, as timers do. */
  arm(deadline: number, action: () => void): BareTimer {
    const context = new AsyncResource('BareTimer', { requireManualDestroy: true })
    const timer = { deadline, action, context, index: -1 }
    this.#heap.push(timer)
    this.#up(timer, this.#heap.length - 1)
    return timer
  }

  disarm({ index }: BareTimer): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (index === heap.length) return
    if (index > 0 && last.deadline < heap[(index - 1) >> 1]!.deadline) this.#up(last, index)
    else this.#down(last, index)
  }

  #up(timer: BareTimer, from: number): void {
    let index = from
    for (; index > 0; ) {
      const above = (index - 1) >> 1
      const parent = this.#heap[above]!
      if (parent.deadline <= timer.deadline) break
      this.#place(parent, index)
      index = above
    }
    this.#place(timer, index)
  }

  #down(timer: BareTimer, from: number): void {
    const heap = this.#heap
    let index = from
    for (;;) {
      let below = 2 * index + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && heap[below + 1]!.deadline < heap[below]!.deadline) below++
      if (heap[below]!.deadline >= timer.deadline) break
      this.#place(heap[below]!, index)
      index = below
    }
    this.#place(timer, index)
  }

  #place(timer: BareTimer, index: number): void {
    this.#heap[index] = timer
    timer.index = index
  }
}

const storage = new AsyncLocalStorage<object>()

/** Functions that run later, each in a context of its own: what tells whose work it is behind each await. */
export class BareTasks {
  readonly #line = new Line<() => void>()

  spawn<T>(body: () => T): Promise<T> {
    return new Promise((resolve) => {
      const context = storage.run({}, newContext)
      this.#line.push(() => resolve(context.runInAsyncScope(body)))
    })
  }

  runAll(): void {
    for (let start = this.#line.shift(); start !== undefined; start = this.#line.shift()) start()
  }
}

function newContext(): AsyncResource {
  return new AsyncResource('BareTask', { requireManualDestroy: true })
}
