import type { KernelError, KernelErrorContext } from '../base/index.ts'
import { kernelError } from '../kernel/index.ts'
import { Operation } from '../ring/index.ts'
import {
  bindCancellation,
  type Cancellable,
  type CancellationBinding,
  type WaitOptions,
} from './cancellation.ts'
import { newPromise, takeReject, takeResolve } from './deferred.ts'
import type { Executor } from './executor.ts'

/**
 * An operation that somebody awaits.
 *
 * Cancelling is an attempt: the promise settles with the terminal completion, not before, since
 * memory and descriptors are the kernel's until then. What a cancelled operation delivered all the
 * same is undone by {@link discard}.
 */
export abstract class AwaitedOperation<T> extends Operation implements Cancellable {
  readonly promise: Promise<T>
  readonly executor: Executor
  readonly #resolve: (value: T) => void
  readonly #reject: (reason: unknown) => void
  #binding: CancellationBinding | null = null
  #isCancelled = false
  #cancelReason: unknown
  #isWithdrawn = false

  constructor(executor: Executor) {
    super(executor.currentQueue())
    this.executor = executor
    this.promise = newPromise<T>()
    this.#resolve = takeResolve<T>()
    this.#reject = takeReject()
  }

  /** The value of a completion that did not fail; throwing rejects. */
  protected abstract interpret(result: number): T
  /** What failed, for the error. */
  protected abstract describe(): KernelErrorContext
  /** Gives back what the operation held, whatever its outcome: buffers, pins. */
  protected finish(): void {}
  /** Undoes what a cancelled operation still delivered, such as closing a descriptor. */
  protected discard(_result: number): void {}

  /** Lets a signal, a time limit or its task cancel it. Throws as {@link bindCancellation} does. */
  bind(options: WaitOptions | undefined, action: string): void {
    this.#binding = bindCancellation(this.executor, this, options, action)
  }

  cancel(reason: unknown): void {
    if (this.#isCancelled || this.executor.reactor.ringOf(this) === null) return
    this.#isCancelled = true
    this.#cancelReason = reason
    this.#isWithdrawn = this.executor.reactor.cancel(this)
  }

  /** Whether it was asked to stop, so that its result is of interest to nobody. */
  protected get isCancelled(): boolean {
    return this.#isCancelled
  }

  override run(): void {
    if (this.#binding !== null) this.#binding.end()
    this.finish()
    const { result } = this
    if (this.#isCancelled) {
      // A withdrawn one delivered nothing: its 0 is no descriptor.
      if (result >= 0 && !this.#isWithdrawn) this.discard(result)
      this.#reject(this.#cancelReason)
    } else if (result < 0) {
      this.#reject(this.failure(result))
    } else {
      this.#settle(result)
    }
  }

  protected failure(result: number): KernelError {
    return kernelError(result, this.describe())
  }

  #settle(result: number): void {
    let value: T
    try {
      value = this.interpret(result)
    } catch (error) {
      this.#reject(error)
      return
    }
    this.#resolve(value)
  }
}
