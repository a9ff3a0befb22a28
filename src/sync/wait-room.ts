import {
  executor,
  ListedWaiter,
  refuse,
  ShieldedWaiter,
  WaitList,
  type WaitListOwner,
  type WaitOptions,
} from '../executor/index.ts'

/** Waiters that are let go together: what event, latch, barrier and gate share. */
export class WaitRoom<T> implements WaitListOwner {
  readonly #waiters = new WaitList<ListedWaiter<T>>(this)
  readonly #action: string
  readonly #isForClosing: boolean

  /**
   * `action` is what a waiter attempts, for messages; `isForClosing` lets it wait on while the executor
   * closes.
   */
  constructor(action: string, isForClosing = false) {
    this.#action = action
    this.#isForClosing = isForClosing
  }

  get size(): number {
    return this.#waiters.length
  }

  wait(options: WaitOptions | undefined): Promise<T> {
    try {
      const current = executor()
      const waiter = this.#isForClosing
        ? new ShieldedWaiter<T>(current)
        : new ListedWaiter<T>(current)
      waiter.bindListed(current, options, this.#action)
      this.#waiters.push(waiter)
      return waiter.promise
    } catch (error) {
      return refuse(error)
    }
  }

  /** Lets all waiters that are in go on. */
  release(value: T): void {
    const waiters = this.#waiters
    for (let waiter = waiters.shift(); waiter !== null; waiter = waiters.shift())
      waiter.fulfil(value)
  }

  fail(reason: unknown): void {
    this.#waiters.fail(reason)
  }

  waiterLeft(): void {}
}
