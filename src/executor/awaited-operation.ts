import {
  assert,
  type KernelError,
  type KernelErrorContext,
  type RuntimeError,
  unreachable,
} from '../base/index.ts'
import { kernelError } from '../kernel/index.ts'
import { Operation, SLOT_CREATED, SLOT_DONE, SLOT_QUEUED } from '../ring/index.ts'
import type { Cancellable } from './cancellable.ts'
import { bindCancellation, type CancellationBinding, type WaitOptions } from './cancellation.ts'
import { madeInTurn, rejectFrom, rejectThrough } from './deferred.ts'
import type { Executor } from './executor.ts'

/** That an operation was asked to stop, and whether the kernel never saw it, or only what was left of it. */
interface Cancellation {
  readonly reason: unknown
  isWithdrawn: boolean
}

/** In place of a cancellation: there is none, and there will be none. */
const SHIELDED: Cancellation = { reason: null, isWithdrawn: false }

/**
 * An operation that somebody awaits: `created`, then `queued` if it is held back, then `inFlight`, then `done`.
 *
 * What it needs is its own from its making on, as it may be held back for long. {@link cancel} works in every state: what
 * was not begun never begins, what is queued is taken out, what is in flight is cancelled by the kernel if that still
 * can, and what is done stays so.
 *
 * Cancelling is an attempt: the promise settles with the terminal completion, not before, since
 * memory and descriptors are the kernel's until then. What a cancelled operation delivered all the
 * same is undone by {@link discard}, or delivered if it {@link isIrrevocable}.
 */
export abstract class AwaitedOperation<T> extends Operation implements Cancellable {
  readonly promise: Promise<T>
  readonly executor: Executor
  // Its other end is not kept: V8 then need not make it.
  #resolve!: (value: T | PromiseLike<T>) => void
  #binding: CancellationBinding | null = null
  #cancellation: Cancellation | null = null

  constructor(executor: Executor) {
    super(executor.currentQueue())
    this.executor = executor
    this.promise = new Promise<T>((resolve) => {
      this.#resolve = resolve
    })
  }

  /** The value of a completion that did not fail; throwing rejects. */
  protected abstract interpret(result: number): T
  /** What failed, for the error. */
  protected abstract describe(): KernelErrorContext
  /** Gives back what the operation held, whatever its outcome: buffers, pins. */
  protected finish(): void {}
  /** Undoes what a cancelled operation still delivered, such as closing a descriptor. */
  protected discard(_result: number): void {}

  /**
   * Whether this outcome is delivered even to a caller who has cancelled it: what came can't be had again, or what
   * was done would be done twice.
   */
  protected isIrrevocable(_result: number): boolean {
    return false
  }

  /** Takes it out of the queue that it is held back in. */
  protected dequeue(): void {
    unreachable('an operation that may be queued knows how to leave')
  }

  /**
   * Lets a signal, a time limit or its task cancel it. Throws as {@link bindCancellation} does, and the reason if it
   * was cancelled before.
   */
  bind(options: WaitOptions | undefined, action: string): void {
    assert(this.slot === -1, 'an operation is bound before it begins') // SLOT_CREATED
    if (this.#cancellation !== null) throw this.#cancellation.reason
    assert(this.#binding === null, 'an operation is bound once')
    this.#binding = bindCancellation(this.executor, this, options, action)
  }

  /** Undoes {@link bind}, of an operation that could not be submitted. */
  protected unbind(): void {
    this.#binding?.end()
    this.#binding = null
  }

  /** Nothing cancels it from now on, not even the close of its executor, which waits for it a while. */
  protected shield(): void {
    assert(this.slot === SLOT_CREATED, 'an operation is shielded before it begins')
    this.#cancellation = SHIELDED
  }

  override get isAwaited(): boolean {
    return true
  }

  override executorCloses(reason: RuntimeError): void {
    if (this.#cancellation !== null) return
    if (this.slot <= SLOT_QUEUED) {
      this.cancel(reason)
      return
    }
    assert(this.slot >= 0, 'what is told of a close is under way')
    // By name, without a search for what was not submitted yet: there may be many.
    this.#cancellation = { reason, isWithdrawn: false }
    this.executor.io.cancelAgain(this)
  }

  override executorLeft(reason: RuntimeError): void {
    if (this.#binding !== null) this.#binding.end()
    // The memory stays the kernel's: finish() is not for this.
    rejectThrough(this.#resolve, reason)
    this.promise.catch(ignore)
  }

  cancel(reason: unknown): void {
    const { slot } = this
    if (this.#cancellation !== null || slot === SLOT_DONE) return
    // First, since making room for the request may bring a completion, which is to know.
    const cancellation = { reason, isWithdrawn: slot < 0 }
    this.#cancellation = cancellation
    if (slot >= 0) {
      cancellation.isWithdrawn = this.executor.io.cancel(this)
    } else if (slot <= SLOT_QUEUED) {
      this.dequeue()
      this.settle(0, 0)
    }
  }

  /** Whether it was asked to stop, so that its result is of interest to nobody. */
  protected get isCancelled(): boolean {
    return this.#cancellation !== null && this.#cancellation !== SHIELDED
  }

  /** Whether its value goes to its waiter, rather than an error. */
  protected get isDelivered(): boolean {
    const { result } = this
    return result >= 0 && (!this.isCancelled || this.isIrrevocable(result))
  }

  override complete(result: number, flags: number): void {
    this.settle(result, flags)
  }

  /** It is done, with that outcome; {@link run} tells the waiter in a turn of its queue. */
  protected settle(result: number, flags: number): void {
    assert(this.slot !== -2, 'an operation ends once') // SLOT_DONE
    this.slot = -2 // SLOT_DONE
    this.result = result
    this.flags = flags
    this.home.push(this)
  }

  override run(): void {
    assert(this.slot === -2, 'what is settled has ended') // SLOT_DONE
    if (this.#binding !== null) this.#binding.end()
    this.finish()
    const { result } = this
    const cancellation = this.#cancellation
    const isCancelled = cancellation !== null && cancellation !== SHIELDED
    if (isCancelled && (cancellation.isWithdrawn || !this.isIrrevocable(result))) {
      // A withdrawn one delivered nothing: its 0 is no descriptor.
      if (result >= 0 && !cancellation.isWithdrawn) this.discard(result)
      this.#rejectCancelled(cancellation.reason)
    } else if (result < 0) {
      rejectFrom(this.#resolve, this.failure(result))
    } else {
      let value: T
      try {
        value = this.interpret(result)
      } catch (error) {
        rejectThrough(this.#resolve, error)
        return
      }
      this.#resolve(value)
    }
  }

  #rejectCancelled(reason: unknown): void {
    rejectFrom(this.#resolve, reason)
    // The caller of close() knows: a promise that nobody awaits is not reported as unhandled for it.
    if (reason === this.executor.waits.closeReason) this.promise.catch(ignore)
  }

  protected failure(result: number): KernelError {
    return madeInTurn(kernelError(result, this.describe()))
  }
}

function ignore(): void {}
