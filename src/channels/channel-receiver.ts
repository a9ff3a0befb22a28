import { showAs } from '../base/index.ts'
import {
  answerReady,
  checkCancellation,
  executor,
  refuse,
  type WaitOptions,
} from '../executor/index.ts'
import { type ChannelState, ItemWaiter, RECEIVE_ACTION } from './channel-state.ts'

type Item<T> = IteratorResult<T, undefined>

const END = { done: true, value: undefined } as const

/**
 * The end of a channel that values come out of, each once; any number of tasks may use it.
 *
 * Made by {@link createChannel}. Leaving a `for await` over it early does not close it: somebody else
 * may go on receiving.
 */
export class ChannelReceiver<T> implements AsyncIterable<T, undefined>, Disposable {
  static {
    showAs(ChannelReceiver, (receiver) => `ChannelReceiver ${receiver.#state.describe()}`)
  }

  readonly #state: ChannelState<T>

  /** @internal Use {@link createChannel}. */
  constructor(state: ChannelState<T>) {
    this.#state = state
  }

  /** How many values the channel holds at most. */
  get capacity(): number {
    return this.#state.capacity
  }

  /** How many values wait for a receiver. */
  get length(): number {
    return this.#state.length
  }

  /** Whether nothing will come any more: this end is closed, or the other is and all was received. */
  get isEnded(): boolean {
    return this.#state.isEnded
  }

  /**
   * Waits for a value, first come, first served; resolves with undefined at the end.
   *
   * Where undefined is a value too, iterate instead. Rejects as {@link WaitOptions} say; the value
   * then goes to the next receiver that asks. O(1); answered at once while there are values, within the turn's
   * budget.
   */
  receive(options?: WaitOptions): Promise<T | undefined> {
    const state = this.#state
    try {
      const current = executor()
      if (state.length === 0 && !state.isEnded) {
        return state.waitForItem(new ValueWaiter<T>(current), current, options)
      }
      checkCancellation(current, options, RECEIVE_ACTION)
      return answerReady(current, state.isEnded ? undefined : state.take())
    } catch (error) {
      return refuse(error)
    }
  }

  /** Takes a value if there is one; undefined tells nothing about the end: {@link isEnded} does. O(1). */
  tryReceive(): T | undefined {
    return this.#state.length === 0 ? undefined : this.#state.take()
  }

  /** Receives until the end; `next()` rejects with `ERR_TASK_CANCELLED` when its task is cancelled. */
  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    return new ReceiverIterator(this.#state)
  }

  /**
   * Closes the channel: what was not received is dropped, and sends that wait fail with their values.
   * Again is nothing.
   */
  close(): void {
    this.#state.closeReceiver()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

class ReceiverIterator<T> implements AsyncIterator<T, undefined> {
  readonly #state: ChannelState<T>

  constructor(state: ChannelState<T>) {
    this.#state = state
  }

  next(): Promise<Item<T>> {
    const state = this.#state
    try {
      const current = executor()
      if (state.length === 0 && !state.isEnded) {
        return state.waitForItem(new ResultWaiter<T>(current), current, undefined)
      }
      checkCancellation(current, undefined, RECEIVE_ACTION)
      const item: Item<T> = state.isEnded ? END : { done: false, value: state.take() }
      return answerReady(current, item)
    } catch (error) {
      return refuse(error)
    }
  }
}

class ValueWaiter<T> extends ItemWaiter<T, T | undefined> {
  override deliver(value: T): void {
    this.fulfil(value)
  }

  override end(): void {
    this.fulfil(undefined)
  }
}

class ResultWaiter<T> extends ItemWaiter<T, Item<T>> {
  override deliver(value: T): void {
    this.fulfil({ done: false, value })
  }

  override end(): void {
    this.fulfil(END)
  }
}
