import {
  type Executor,
  ListedWaiter,
  WaitList,
  type WaitListOwner,
  type WaitOptions,
} from '../../executor/index.ts'

/** Those who wait until nothing is left to send. */
export class Drains {
  readonly #waiters = new WaitList<ListedWaiter<void>>(NOBODY)

  /** @throws as {@link bindCancellation} does. */
  wait(executor: Executor, options: WaitOptions | undefined, action: string): Promise<void> {
    const waiter = new ListedWaiter<void>(executor)
    waiter.bindListed(executor, options, action)
    this.#waiters.push(waiter)
    return waiter.promise
  }

  fulfil(): void {
    const waiters = this.#waiters
    for (let next = waiters.shift(); next !== null; next = waiters.shift()) next.fulfil()
  }

  fail(reason: Error): void {
    this.#waiters.fail(reason)
  }
}

/** One that gives up lets no other go on. */
const NOBODY: WaitListOwner = { waiterLeft(): void {} }
