import { showAs } from '../base/index.ts'
import {
  answerDone,
  checkCancellation,
  executor,
  refuse,
  type WaitOptions,
} from '../executor/index.ts'
import { ChannelError } from './channel-error.ts'
import { type ChannelState, SEND_ACTION } from './channel-state.ts'

/**
 * The end of a channel that values go into; any number of tasks may use it.
 *
 * Made by {@link createChannel}.
 */
export class ChannelSender<T> implements Disposable {
  static {
    showAs(ChannelSender, (sender) => `ChannelSender ${sender.#state.describe()}`)
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

  /** Whether {@link trySend} would fail with `ERR_CHANNEL_FULL`. */
  get isFull(): boolean {
    return this.#state.isFull
  }

  /** Whether either end is closed, so that nothing more can be sent. */
  get isClosed(): boolean {
    return this.#state.isSenderClosed || this.#state.isReceiverClosed
  }

  /**
   * Waits for room, first come, first served, and puts `value` in.
   *
   * Rejects with a {@link ChannelError} of code `ERR_CHANNEL_CLOSED` that has the value, if either end
   * is closed, or the receiver is while it waits; and as {@link WaitOptions} say: the value is then
   * not sent. O(1); answered at once while there is room, within the turn's budget.
   */
  send(value: T, options?: WaitOptions): Promise<void> {
    const state = this.#state
    try {
      state.assertSendable(value)
      if (state.isFull) return state.waitForRoom(value, options)
      const current = executor()
      checkCancellation(current, options, SEND_ACTION)
      state.put(value)
      return answerDone(current)
    } catch (error) {
      return refuse(error)
    }
  }

  /**
   * Puts `value` in if there is room. O(1).
   *
   * @throws {ChannelError} with the value: `ERR_CHANNEL_CLOSED` if either end is closed,
   * `ERR_CHANNEL_FULL` if there is no room.
   */
  trySend(value: T): void {
    const state = this.#state
    state.assertSendable(value)
    if (state.isFull) {
      throw new ChannelError(
        'ERR_CHANNEL_FULL',
        `Cannot ${SEND_ACTION} as it must have room: it holds ${state.length} of ${state.capacity}`,
        value,
      )
    }
    state.put(value)
  }

  /**
   * Ends the channel after what has been sent, sends that wait for room included. Again is nothing.
   */
  close(): void {
    this.#state.closeSender()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
