import {
  type Executor,
  executor,
  ListedWaiter,
  WaitList,
  type WaitListOwner,
  type WaitOptions,
} from '../executor/index.ts'
import { ChannelError } from './channel-error.ts'
import { ItemQueue } from './item-queue.ts'

export const SEND_ACTION = 'send to a channel'
export const RECEIVE_ACTION = 'receive from a channel'

/**
 * What the two ends of a channel share.
 *
 * Items wait for receivers, or receivers for items, never both; senders wait only while it is full.
 * An item is handed to its receiver in the same step in which that is taken off the list, so that
 * neither is lost by a cancellation that comes later.
 */
export class ChannelState<T> implements WaitListOwner {
  readonly capacity: number
  isSenderClosed = false
  isReceiverClosed = false
  readonly #items = new ItemQueue<T>()
  readonly #receivers = new WaitList<ItemWaiter<T, unknown>>(this)
  readonly #senders = new WaitList<SendWaiter<T>>(this)

  constructor(capacity: number) {
    this.capacity = capacity
  }

  get length(): number {
    return this.#items.length
  }

  get isFull(): boolean {
    return this.#items.length >= this.capacity
  }

  /** Whether nothing will ever come out again. */
  get isEnded(): boolean {
    return this.isReceiverClosed || (this.isSenderClosed && this.#items.length === 0)
  }

  /** How both ends show themselves. */
  describe(): string {
    const isClosed = this.isSenderClosed || this.isReceiverClosed
    return `${this.length} of ${this.capacity}, ${isClosed ? 'closed' : 'open'}`
  }

  /** @throws {ChannelError} `ERR_CHANNEL_CLOSED` */
  assertSendable(value: T): void {
    if (this.isSenderClosed || this.isReceiverClosed) {
      throw closedError(value, this.isReceiverClosed ? 'receiver' : 'sender')
    }
  }

  /** Gives the item to the receiver that has waited for longest, else keeps it; there must be room. */
  put(value: T): void {
    const receiver = this.#receivers.shift()
    if (receiver === null) this.#items.push(value)
    else receiver.deliver(value)
  }

  /** Takes the oldest item, of which there must be one; the longest waiting sender fills the gap. */
  take(): T {
    const value = this.#items.shift()
    const sender = this.#senders.shift()
    if (sender !== null) {
      this.#items.push(sender.value)
      sender.fulfil(undefined)
    }
    return value
  }

  /** Waits for room, with the value; throws as binding does. */
  waitForRoom(value: T, options: WaitOptions | undefined): Promise<void> {
    const current = executor()
    const waiter = new SendWaiter(current, value)
    waiter.bindListed(current, options, SEND_ACTION)
    this.#senders.push(waiter)
    return waiter.promise
  }

  /** Waits for an item; throws as binding does. */
  waitForItem<R>(
    waiter: ItemWaiter<T, R>,
    current: Executor,
    options: WaitOptions | undefined,
  ): Promise<R> {
    waiter.bindListed(current, options, RECEIVE_ACTION)
    this.#receivers.push(waiter as ItemWaiter<T, unknown>)
    return waiter.promise
  }

  closeSender(): void {
    this.isSenderClosed = true
    // Receivers wait only while there are no items, and then no sender waits either.
    this.#endReceivers()
  }

  closeReceiver(): void {
    this.isReceiverClosed = true
    this.#endReceivers()
    this.#items.clear()
    const senders = this.#senders
    for (let sender = senders.shift(); sender !== null; sender = senders.shift())
      sender.fail(closedError(sender.value, 'receiver'))
  }

  // Room and items are handed over as they come: what a waiter leaves behind nobody waits for.
  waiterLeft(): void {}

  #endReceivers(): void {
    const receivers = this.#receivers
    for (let receiver = receivers.shift(); receiver !== null; receiver = receivers.shift())
      receiver.end()
  }
}

/** A receiver that waits for an item: `R` is the form in which it is wanted. */
export abstract class ItemWaiter<T, R> extends ListedWaiter<R> {
  abstract deliver(value: T): void
  abstract end(): void
}

class SendWaiter<T> extends ListedWaiter<void> {
  readonly value: T

  constructor(current: Executor, value: T) {
    super(current)
    this.value = value
  }
}

function closedError<T>(value: T, end: 'sender' | 'receiver'): ChannelError<T> {
  return new ChannelError(
    'ERR_CHANNEL_CLOSED',
    `Cannot ${SEND_ACTION} as both ends must be open: the ${end} was closed`,
    value,
  )
}
