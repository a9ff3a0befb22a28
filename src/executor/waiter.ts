import { assert, Runnable, type RuntimeError } from '../base/index.ts'
import type { Cancellable } from './cancellable.ts'
import {
  bindCancellation,
  type CancellationBinding,
  type WaitHome,
  type WaitOptions,
} from './cancellation.ts'
import { newPromise, rejectFrom, takeResolve } from './deferred.ts'
import type { LooseWait, Waits } from './waits.ts'

type Outcome = 'waiting' | 'fulfilled' | 'rejected'

/**
 * A wait for something that this thread will do: a permit, an item, a turn.
 *
 * The code that grants it calls {@link fulfil}: from then on the waiter has it, and an abort that comes
 * later changes nothing, so that no wake-up is ever lost. The promise is settled in a later turn of
 * the waiter's own task queue.
 */
export class Waiter<T> extends Runnable implements Cancellable, LooseWait {
  readonly promise: Promise<T>
  /** @internal Those of its executor. */
  readonly waits: Waits
  readonly #resolve: (value: T | PromiseLike<T>) => void
  #binding: CancellationBinding | null = null
  #outcome: Outcome = 'waiting'
  /** The value or the reason. */
  #result: unknown
  #onCancel: (() => void) | null = null

  constructor(home: WaitHome) {
    super(home.currentQueue())
    this.waits = home.waits
    this.promise = newPromise<T>()
    this.#resolve = takeResolve<T>()
  }

  /** Whether it has neither been granted nor cancelled. */
  get isWaiting(): boolean {
    return this.#outcome === 'waiting'
  }

  /** Whether the close of the executor lets it come to its end. */
  get isShielded(): boolean {
    return false
  }

  /**
   * Lets a signal, a time limit or its task end the wait; `onCancel` then takes the waiter off the
   * list it is on. Throws as {@link bindCancellation} does: bind before queueing.
   */
  bind(
    home: WaitHome,
    options: WaitOptions | undefined,
    action: string,
    onCancel: () => void,
  ): void {
    assert(this.#onCancel === null, 'a waiter is bound once')
    assert(this.#outcome === 'waiting', 'a waiter is bound before it has its outcome')
    this.#onCancel = onCancel
    this.#binding = bindCancellation(home, this, options, action)
    this.waits.loose.add(this)
  }

  /** Lets the wait be ended early by the same, where a list knows of it: it takes itself off. */
  protected bindOnly(home: WaitHome, options: WaitOptions | undefined, action: string): void {
    assert(this.#binding === null, 'a waiter is bound once')
    this.#binding = bindCancellation(home, this, options, action)
  }

  /** @internal */
  executorCloses(reason: RuntimeError): void {
    this.cancel(reason)
  }

  /** Grants what it waited for. The caller has taken it off its list. */
  fulfil(value: T): void {
    if (this.#outcome !== 'waiting') return
    this.#outcome = 'fulfilled'
    this.#result = value
    this.home.push(this)
  }

  /** Ends the wait with an error. The caller has taken it off its list. */
  fail(reason: unknown): void {
    if (this.#outcome !== 'waiting') return
    this.#outcome = 'rejected'
    this.#result = reason
    this.home.push(this)
  }

  cancel(reason: unknown): void {
    if (this.#outcome !== 'waiting') return
    this.#onCancel?.()
    this.fail(reason)
  }

  override run(): void {
    assert(this.#outcome !== 'waiting', 'a waiter is settled once it has its outcome')
    this.#binding?.end()
    if (this.#onCancel !== null) this.waits.loose.delete(this)
    if (this.#outcome === 'fulfilled') this.#resolve(this.#result as T)
    else this.#rejectWith(this.#result)
  }

  #rejectWith(reason: unknown): void {
    rejectFrom(this.#resolve, reason)
    // The caller of close() knows: a promise that nobody awaits is not reported as unhandled for it.
    if (reason === this.waits.closeReason) this.promise.catch(ignore)
  }
}

function ignore(): void {}
