import { showAs } from '../base/index.ts'
import { answerDone, checkCancellation, refuse, type WaitOptions } from '../executor/index.ts'
import { BatchProgress } from './batch-progress.ts'
import { ChannelError } from './channel-error.ts'
import {
  assertBatch,
  BatchSendWaiter,
  SEND_ACTION,
  type SharedSenderState,
  ValueSendWaiter,
} from './shared-sender-state.ts'
import { takeLeft } from './take-back.ts'
import type { ValueReader } from './value-reader.ts'

/**
 * The end of a shared channel that values go into; any number of tasks of its thread may use it.
 *
 * Made by {@link attachSender}. What is sent is seen by the receiver at the end of the turn at the latest. Close it: a
 * thread that ends without leaves the receiver with `ERR_PEER_ENDED` rather than with the end.
 */
export class SharedSender<T> implements Disposable {
  static {
    showAs(SharedSender, (sender) => {
      const state = sender.isClosed ? 'closed' : 'open'
      return `SharedSender ${sender.length} of ${sender.capacity}, ${state}`
    })
  }

  /** How many values there is room for. */
  readonly capacity: number
  readonly #state: SharedSenderState<T>
  readonly #unitCells: number
  readonly #openLeft: () => ValueReader<T>

  /** @internal Use {@link attachSender}. */
  constructor(state: SharedSenderState<T>, capacity: number, openLeft: () => ValueReader<T>) {
    this.#state = state
    this.capacity = capacity
    this.#unitCells = state.writer.producer.capacity / capacity
    this.#openLeft = openLeft
  }

  /** About how many values wait for the receiver, those that take more room than others counted as several. */
  get length(): number {
    const { producer } = this.#state.writer
    return Math.ceil((producer.capacity - producer.countFree()) / this.#unitCells)
  }

  /**
   * Whether there is no room for a value of the channel's `valueBytes`, or others wait for room: where it is false,
   * {@link trySend} of what is no longer than that does not fail with `ERR_CHANNEL_FULL`. O(1).
   */
  get isFull(): boolean {
    return this.#state.hasWaiters || this.#state.writer.isFull
  }

  /** Whether nothing more can be sent: either end is closed, or the receiver's thread has ended. */
  get isClosed(): boolean {
    return this.#state.refusal !== null
  }

  /**
   * Waits for room, first come, first served, and puts `value` in.
   *
   * Rejects with a {@link ChannelError} that has the value: `ERR_CHANNEL_CLOSED` if either end is closed, or the
   * receiver is while it waits, `ERR_PEER_ENDED` if the receiver's thread has ended; with what the codec throws; and as
   * {@link WaitOptions} say: the value is then not sent. O(1); answered at once while there is room, within the turn's
   * budget. Who waits keeps the program alive. `bytes` may be used again at once.
   */
  send(value: T, options?: WaitOptions): Promise<void> {
    const state = this.#state
    const { home } = state
    try {
      state.assertSendable(value)
      const packed = state.writer.pack(value)
      checkCancellation(home, options, SEND_ACTION)
      if (state.tryStage(packed)) return answerDone(home)
      return state.wait(new ValueSendWaiter(home, value, state.writer.keep(packed)), options)
    } catch (error) {
      return refuse(error)
    }
  }

  /**
   * Puts `value` in if there is room. O(1).
   *
   * @throws {ChannelError} with the value: `ERR_CHANNEL_CLOSED`, `ERR_PEER_ENDED`; `ERR_CHANNEL_FULL` if there is no
   * room, as there never is for what is larger than half of the channel's memory: {@link send} takes that.
   */
  trySend(value: T): void {
    const state = this.#state
    state.assertSendable(value)
    const packed = state.writer.pack(value)
    if (state.tryStage(packed)) return
    // It may have closed since.
    state.assertSendable(value)
    const why = state.writer.isWhole(packed)
      ? 'it must have room: it has too little'
      : 'the value must be at most half as long as its memory: await send() instead'
    throw new ChannelError('ERR_CHANNEL_FULL', `Cannot ${SEND_ACTION} as ${why}`, value)
  }

  /**
   * Sends many, in their order and with nothing in between, for less than as many {@link send}; resolves when all are
   * in. The array, and `bytes` in it, may be used again at once.
   *
   * Rejects with a {@link ChannelError} whose value is an array of those that were not sent: of the codes of
   * {@link send}, or `ERR_TASK_CANCELLED` where the wait was ended, whose reason is its cause. What the codec throws
   * comes before any is sent. O(values).
   */
  sendBatch(values: ArrayLike<T>, options?: WaitOptions): Promise<void> {
    const state = this.#state
    const { home } = state
    try {
      assertBatch(values)
      state.assertSendable(values as never)
      const packed = state.writer.packBatch(values)
      checkCancellation(home, options, SEND_ACTION)
      const sentCount = state.tryStageBatch(packed, 0)
      if (sentCount === packed.length) return answerDone(home)
      const progress = new BatchProgress(state.writer, values, packed, sentCount)
      return state.wait(new BatchSendWaiter(home, progress), options)
    } catch (error) {
      return refuse(error)
    }
  }

  /**
   * Puts in as many as there is room for, from the first on; returns how many. O(those).
   *
   * @throws {ChannelError} `ERR_CHANNEL_CLOSED`, `ERR_PEER_ENDED`, with all of them.
   */
  trySendBatch(values: ArrayLike<T>): number {
    const state = this.#state
    assertBatch(values)
    state.assertSendable(values as never)
    return state.tryStageBatch(state.writer.packBatch(values), 0)
  }

  /** Shows the receiver what was sent so far, now rather than at the end of the turn: before a long computation. */
  flush(): void {
    this.#state.flush()
  }

  /**
   * Ends the channel after what has been sent, sends that wait for room included. Again is nothing.
   */
  close(): void {
    this.#state.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /**
   * Takes back what was sent and not received, once the receiver has closed or its thread has ended: the oldest
   * first. Of what a thread that crashed was busy with, some may be among them. Empty before; O(those).
   *
   * @throws {ChannelError} `ERR_VALUE_UNREADABLE` where the codec cannot decode some of them: all others are its value,
   * and what the codec threw for each is in its cause, an `AggregateError`.
   */
  takeBack(): T[] {
    const { link, writer } = this.#state
    if (!link.lookForPeer() && !writer.producer.isConsumerClosed) return []
    this.#state.flush()
    return takeLeft(this.#openLeft())
  }
}
