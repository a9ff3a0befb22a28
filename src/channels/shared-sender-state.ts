import { assert, wrongType } from '../base/index.ts'
import { type Executor, WaitList, type WaitListOwner, type WaitOptions } from '../executor/index.ts'
import { COUNTER_SENT } from '../stats/index.ts'
import type { BatchProgress } from './batch-progress.ts'
import { ChannelError } from './channel-error.ts'
import { Lot } from './lot.ts'
import { CONSUMER_WORDS, PeerLink, type PeerListener, PRODUCER_WORDS } from './peers.ts'
import { SharedWaiter } from './shared-wait.ts'
import type { ValueWriter } from './value-writer.ts'

export const SEND_ACTION = 'send to a shared channel'

/** Published at once when there are so many: about what costs as much as publishing. */
const LOT_MAX = 32
/**
 * A receiver that waits again is not told more often than this while a turn goes on sending: it costs a microsecond and
 * more, and what has been published meanwhile it finds all at once.
 */
const TELL_INTERVAL_NS = 10_000
/** A long batch to a receiver that keeps up lets other tasks go on after so many times that room was found. */
const ROUNDS_MAX = 32

/** The sending end of a shared channel: the ring's, those who wait for room, and how the peer is told. */
export class SharedSenderState<T> implements WaitListOwner, PeerListener {
  readonly home: Executor
  readonly writer: ValueWriter<T, unknown>
  readonly link: PeerLink
  /** No more is taken from users; what waits is still sent. */
  isClosing = false
  /** Told as somebody begins to wait for room, 1, and as nobody does any more, -1. */
  onBlocked: ((change: 1 | -1) => void) | null = null
  #isBlocked = false
  readonly #lot: Lot
  /** The turn whose first value went last; and when the receiver was last told of a full lot. */
  #firstTurn = -1
  #toldNs = Number.NEGATIVE_INFINITY
  readonly #senders = new WaitList<SendWaiter<T, unknown>>(this)

  constructor(home: Executor, writer: ValueWriter<T, unknown>, expectedId?: number) {
    this.home = home
    this.writer = writer
    this.#lot = new Lot(LOT_MAX, (isLast, count) => {
      this.#countSent(count)
      return this.#sendLot(isLast)
    })
    const { words } = writer.producer
    const parts = { words, self: PRODUCER_WORDS, peer: CONSUMER_WORDS, expectedId }
    this.link = new PeerLink(home, parts, this)
  }

  /** Lets the receiver know of this end; {@link cancel} instead leaves it to others. */
  open(): void {
    this.link.open()
  }

  /** Leaves the end to others: nobody has heard of this one. */
  cancel(): void {
    this.link.cancel()
    this.writer.producer.unclaim()
  }

  /** Why nothing can be sent any more, or null. */
  get refusal(): Refusal | null {
    if (this.isClosing) return 'sender'
    if (this.link.isPeerEnded) return 'peer'
    return this.writer.producer.isConsumerClosed ? 'receiver' : null
  }

  get hasWaiters(): boolean {
    return this.#senders.length > 0
  }

  /** Whether nothing can be sent any more, as far as this end knows without a fence: {@link refusal} says why. */
  get isKnownRefusing(): boolean {
    return this.isClosing || this.link.isPeerEnded || this.writer.producer.isConsumerKnownClosed
  }

  /** @throws {ChannelError} */
  assertSendable(value: T): void {
    if (this.isKnownRefusing) this.#throwRefusal(value)
  }

  /** Stages a value, if nobody is before it and there is room. */
  tryStage(packed: unknown): boolean {
    const { writer } = this
    if (this.#senders.length > 0 || !writer.stage(packed)) return false
    if (this.#lot.isEmpty && this.#isFirstOfTurn()) {
      this.#countSent(1)
      this.flush()
    } else this.#lot.add()
    return true
  }

  /** Stages a part of a batch, likewise; returns how many there are of it then. */
  tryStageBatch(packed: ArrayLike<unknown>, from: number): number {
    if (this.#senders.length > 0) return from
    const next = this.writer.stageBatch(packed, from)
    if (next === from) return from
    this.#countSent(next - from)
    this.flush()
    return next
  }

  /** Waits in line; throws as binding does. */
  wait(waiter: SendWaiter<T, unknown>, options: WaitOptions | undefined): Promise<void> {
    waiter.bindListed(this.home, options, SEND_ACTION)
    this.#senders.push(waiter)
    if (this.#senders.length === 1) this.#pump()
    return waiter.promise
  }

  /** Fails all who wait. */
  refuseWaiting(refusal: Refusal): void {
    this.#refuseAll(refusal)
    this.#noteBlocked()
  }

  /** Publishes what is staged, and tells the receiver if it waits for that. */
  flush(): void {
    this.#sendLot(true)
  }

  close(): void {
    if (this.isClosing) return
    this.isClosing = true
    if (this.#senders.length > 0) this.#pump()
    else this.#end()
  }

  collect(): void {
    this.#pump()
  }

  peerEnded(): void {
    this.#pump()
  }

  // The next one may need less.
  waiterLeft(): void {
    this.#pump()
  }

  /** The first goes at once, so that a receiver that waits has it, or wakes up, while more are sent: these go in lots. */
  #isFirstOfTurn(): boolean {
    const turn = this.home.turnSequence
    if (turn === this.#firstTurn) return false
    this.#firstTurn = turn
    return true
  }

  /** Publishes; whether the receiver knows all that it wants to. */
  #sendLot(isLast: boolean): boolean {
    const { producer } = this.writer
    if (producer.isClosed) return true
    producer.publish()
    if (!producer.hasItemRequest) return true
    if (!isLast && !this.#isTellingDue()) return false
    if (producer.takeItemRequest()) this.link.ring()
    return true
  }

  #isTellingDue(): boolean {
    const nowNs = this.home.nowNs()
    if (nowNs - this.#toldNs < TELL_INTERVAL_NS) return false
    this.#toldNs = nowNs
    return true
  }

  #pump(): void {
    this.#sendWaiting()
    this.#noteBlocked()
  }

  #noteBlocked(): void {
    const isBlocked = this.#senders.length > 0
    if (this.#isBlocked === isBlocked) return
    this.#isBlocked = isBlocked
    this.onBlocked?.(isBlocked ? 1 : -1)
  }

  /** Sends for those who wait, as far as there is room, and has the receiver tell of more. */
  #sendWaiting(): void {
    const { producer } = this.writer
    if (producer.isClosed) return
    let rounds = 0
    for (let first = this.#senders.first; first !== null; first = this.#senders.first) {
      if (this.link.isPeerEnded || producer.isConsumerClosed) {
        this.#refuseAll(this.link.isPeerEnded ? 'peer' : 'receiver')
        break
      }
      const isDone = first.stageMore(this.writer)
      this.#countSent(first.takeStagedCount())
      if (isDone) {
        this.#senders.shift()
        first.fulfil()
        continue
      }
      this.flush()
      if (++rounds > ROUNDS_MAX) {
        this.link.ringSelf()
        return
      }
      if (!producer.requestRoom(first.cellsWanted(this.writer))) return
    }
    this.flush()
    if (this.isClosing) this.#end()
  }

  #throwRefusal(value: T): void {
    const { refusal } = this
    assert(refusal !== null, 'what is known to refuse does')
    throw refusalError(refusal, value)
  }

  #countSent(count: number): void {
    this.home.io.control.counters[COUNTER_SENT]! += count
  }

  #refuseAll(refusal: Refusal): void {
    const senders = this.#senders
    for (let sender = senders.shift(); sender !== null; sender = senders.shift())
      sender.refuse(refusal)
  }

  #end(): void {
    const { producer } = this.writer
    assert(this.#senders.length === 0, 'what waits is sent before the end')
    if (producer.isClosed) return
    producer.close()
    if (producer.takeItemRequest()) this.link.ring()
    this.link.detach()
  }
}

/** Who keeps a value from being sent. */
export type Refusal = 'sender' | 'receiver' | 'peer' | 'inbox'

/** Somebody who waits for room. */
export abstract class SendWaiter<T, P> extends SharedWaiter<void> {
  /** Stages what there is room for; whether that was the last. */
  abstract stageMore(writer: ValueWriter<T, P>): boolean
  /** How many values are staged of which this was not asked before. */
  abstract takeStagedCount(): number
  abstract cellsWanted(writer: ValueWriter<T, P>): number
  abstract refuse(refusal: Refusal): void
}

/** Waits for room for one value. */
export class ValueSendWaiter<T, P> extends SendWaiter<T, P> {
  readonly #value: T
  readonly #packed: P
  #done = 0
  #isStaged = false

  constructor(home: Executor, value: T, packed: P) {
    super(home)
    this.#value = value
    this.#packed = packed
  }

  override stageMore(writer: ValueWriter<T, P>): boolean {
    this.#done = writer.stageFrom(this.#packed, this.#done)
    this.#isStaged = this.#done === writer.sizeOf(this.#packed)
    return this.#isStaged
  }

  override takeStagedCount(): number {
    return this.#isStaged ? 1 : 0
  }

  override cellsWanted(writer: ValueWriter<T, P>): number {
    return writer.cellsFor(this.#packed, this.#done)
  }

  override refuse(refusal: Refusal): void {
    this.fail(refusalError(refusal, this.#value))
  }
}

/** Waits for room for many, which go as there is some. */
export class BatchSendWaiter<T, P> extends SendWaiter<T, P> {
  readonly #progress: BatchProgress<T, P>

  constructor(home: Executor, progress: BatchProgress<T, P>) {
    super(home)
    this.#progress = progress
  }

  override stageMore(writer: ValueWriter<T, P>): boolean {
    return this.#progress.stageMore(writer)
  }

  override takeStagedCount(): number {
    return this.#progress.takeStagedCount()
  }

  override cellsWanted(writer: ValueWriter<T, P>): number {
    return this.#progress.cellsWanted(writer)
  }

  override refuse(refusal: Refusal): void {
    super.fail(refusalError(refusal, this.#progress.takeRest()))
  }

  override fail(reason: unknown): void {
    const isClose = reason === this.waits.closeReason
    super.fail(isClose ? reason : interruptedError(this.#progress.takeRest(), reason))
  }
}

/** @throws {TypeError} for what is no array, or like one. */
export function assertBatch(values: unknown): void {
  const isBatch =
    typeof values === 'object' &&
    values !== null &&
    typeof (values as ArrayLike<unknown>).length === 'number'
  if (!isBatch) throw wrongType(SEND_ACTION, 'values', 'an array', values)
}

/** What is left of a batch whose wait was ended. */
export function interruptedError<V>(rest: V, cause: unknown): ChannelError<V> {
  const message = `Cannot ${SEND_ACTION} all of a batch as its wait must come to its end: it was cancelled`
  return new ChannelError('ERR_TASK_CANCELLED', message, rest, { cause })
}

/** The error of a send that someone refuses. */
export function refusalError<V>(refusal: Refusal, value: V): ChannelError<V> {
  if (refusal === 'peer') {
    const why = "the receiver's thread must go on: it has ended"
    return new ChannelError('ERR_PEER_ENDED', `Cannot ${SEND_ACTION} as ${why}`, value)
  }
  if (refusal === 'inbox') {
    const why = 'a shard that sends must receive as well: it has left unreceived as much as it may'
    return new ChannelError('ERR_LIMIT_EXCEEDED', `Cannot ${SEND_ACTION} as ${why}`, value)
  }
  const why = `both ends must be open: the ${refusal} was closed`
  return new ChannelError('ERR_CHANNEL_CLOSED', `Cannot ${SEND_ACTION} as ${why}`, value)
}
