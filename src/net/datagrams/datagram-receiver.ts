import { assert, NO_QUEUE, type RuntimeError } from '../../base/index.ts'
import {
  bindCancellation,
  type Cancellable,
  type CancellationBinding,
  checkCancellation,
  madeInTurn,
  newPromise,
  refuse,
  rejectFrom,
  type TaskQueue,
  takeResolve,
  type WaitOptions,
} from '../../executor/index.ts'
import {
  EAGAIN,
  ECANCELED,
  EINTR,
  ENOBUFS,
  IORING_CQE_F_MORE,
  kernelError,
  MSG_TRUNC,
} from '../../kernel/index.ts'
import { RetryTimer } from '../../reactor/index.ts'
import { encodeReceiveMessage, encodeReceiveMessages, Operation } from '../../ring/index.ts'
import {
  ARM,
  actionOf,
  CONSUME_BEGINS,
  CONSUME_READY,
  DUE,
  END,
  FREE,
  GO_ON,
  GO_ON_READY,
  isCancellable,
  isWaiting,
  nextReader,
  QUEUE,
  READ,
  READ_READY,
  READY,
  REFUSE,
  type ReaderEvent,
  type ReaderState,
  SETTLING,
  STARVED,
  stateOf,
  TURN,
} from '../receiving/receive-states.ts'
import type { Address } from '../values/address.ts'
import type { Datagram, DatagramLease } from './datagram.ts'
import {
  alreadyRead,
  type DatagramConsumption,
  type DatagramSource,
} from './datagram-consumption.ts'
import { DatagramInbox } from './datagram-inbox.ts'
import type { DatagramPort, DatagramSide } from './datagram-port.ts'
import { OneMessage } from './one-message.ts'
import { headBytesOf } from './received-message.ts'

/** What a reader wants. */
export type DatagramWant = 0 | 1 | 2 | 3 | 4 | 5 | 6
export const NOTHING = 0
export const RECEIVE = 1
export const RECEIVE_STEP = 2
export const BORROW = 3
export const BORROW_STEP = 4
export const PEEK = 5
export const CONSUME = 6

/** A socket that nobody reads stops receiving once so much memory is held for it, or so many messages; */
const HELD_BYTES_MAX: number = 512 * 1024
const HELD_MESSAGES_MAX = 256
/** one whose reader is about to take them once that is so many times as much: stopping for each burst would cost more. */
const DUE_FACTOR = 4
/** it receives again when so much of either is left. */
const LOW_PART = 4
const READER_MASK = 7
/** A receive is in flight. */
const ARMED = 16
/** It was asked to end, as too much waits to be read. */
const STOPPING = 32
/** Its receive does not keep the program alive. */
const UNREFERENCED = 64

type Resolve = (value: unknown) => void

/** Told of the lease that a step of an iteration gives. */
export interface DatagramKeeper {
  keep(lease: DatagramLease): void
}

interface ReaderExtra {
  binding: CancellationBinding | null
  readonly keeper: DatagramKeeper | null
  isCancelled: boolean
  cancelReason: unknown
}

/**
 * The receiving side of a datagram socket: one operation that goes on by itself, one reader at a time, which goes by the table of
 * `receiving/receive-states.ts`. An error of the kernel is told to one reader, and the socket goes on.
 */
export class DatagramReceiver<A extends Address>
  extends Operation
  implements Cancellable, DatagramSource, DatagramSide
{
  readonly #port: DatagramPort
  readonly #inbox: DatagramInbox<A>
  readonly #headBytes: number
  /** {@link ReaderState}, and bits. */
  #state = 0
  #failure: Error | null = null
  #closed: Error | null = null
  #want: DatagramWant = NOTHING
  #client: Resolve | DatagramConsumption | null = null
  #extra: ReaderExtra | null = null
  /** Where the kernel receives to that does not go on by itself. */
  #one: OneMessage | null = null
  #onConsumed: (() => void) | null = null
  /** Why nothing more is received, once what is on its way has come. */
  #ending: Error | null = null

  constructor(port: DatagramPort) {
    super(NO_QUEUE)
    this.#port = port
    const { pool, layout, datagramBytesMax } = port
    this.#headBytes = headBytesOf(layout)
    this.#inbox = new DatagramInbox<A>({ pool, book: port.ring.book, layout, datagramBytesMax })
    port.sides.push(this)
  }

  get isBusy(): boolean {
    return (this.#state & ARMED) !== 0
  }

  get isRead(): boolean {
    return this.#want !== NOTHING
  }

  whenConsumed(): Promise<void> | null {
    if (this.#want !== CONSUME) return null
    return new Promise((resolve) => {
      this.#onConsumed = resolve
    })
  }

  get #reader(): ReaderState {
    return (this.#state & READER_MASK) as ReaderState
  }

  read(
    want: DatagramWant,
    options: WaitOptions | undefined,
    keeper: DatagramKeeper | null,
  ): Promise<unknown> {
    const { executor } = this.#port.net
    const action = 'receive'
    const isReady = this.#isReady()
    const event = isReady ? READ_READY : READ
    if (this.#refuses(event)) return refuse(alreadyRead(action))
    try {
      executor.assertOpen(action)
      if (isReady && executor.takeReadyBudget()) {
        checkCancellation(executor, options, action)
        return Promise.resolve(this.#take(want, keeper))
      }
      this.#bind(options, keeper, action)
    } catch (error) {
      return refuse(error)
    }
    const promise = newPromise<unknown>()
    this.#client = takeResolve<unknown>()
    this.#want = want
    this.home = executor.currentQueue()
    this.#tell(event)
    return promise
  }

  /** @throws {RuntimeError} `ERR_STILL_HELD`, `ERR_EXECUTOR_CLOSED`; as {@link bindCancellation} does. */
  consume(consumption: DatagramConsumption, options: WaitOptions | undefined): void {
    const { executor } = this.#port.net
    const event = this.#isReady() ? CONSUME_READY : CONSUME_BEGINS
    if (this.#refuses(event)) throw alreadyRead('consume')
    executor.assertOpen('consume')
    this.#bind(options, null, 'consume')
    this.#client = consumption
    this.#want = CONSUME
    this.runsUserCode = true
    const queue = executor.currentQueue()
    queue.consumptionCount++
    this.home = queue
    this.#tell(event)
  }

  nextDatagram(): Datagram<A> | null {
    if (!this.#mayHand()) return null
    const datagram = this.#inbox.take()
    this.#armIfLow()
    return datagram
  }

  nextLease(): DatagramLease<A> | null {
    if (!this.#mayHand()) return null
    const lease = this.#inbox.takeLease()
    this.#armIfLow()
    return lease
  }

  goOn(): void {
    // What is pending then stays so.
    if (this.#port.net.executor.isClosed) return
    this.#tell(this.#extra?.isCancelled === true || this.#isReady() ? GO_ON_READY : GO_ON)
  }

  fail(failure: unknown): void {
    this.#endWith(failure)
    this.goOn()
  }

  cancel(reason: unknown): void {
    if (!isCancellable(this.#reader) || this.#extra?.isCancelled === true) return
    this.#endWith(reason)
    this.#tell(READY)
  }

  override executorCloses(reason: RuntimeError): void {
    this.cancel(reason)
  }

  /** Whether a receive keeps the program alive. */
  setReferenced(isReferenced: boolean): void {
    if (isReferenced === ((this.#state & UNREFERENCED) === 0)) return
    this.#state ^= UNREFERENCED
    if (!this.isBusy) return
    const { ring, executor } = this.#port.net
    if (isReferenced) executor.liveness.heed(ring.index)
    else executor.liveness.passOver(ring.index)
  }

  /** Receives no more: readers get what has come, then are told so, as by a close. The kernel's answer to the cancel comes last. */
  end(reason: Error): void {
    if (this.#ending !== null || this.#closed !== null) return
    this.#ending = reason
    if (this.isBusy) {
      if ((this.#state & STOPPING) === 0) this.#port.cancelOperation(this)
      this.#state |= STOPPING
      return
    }
    this.#closed = reason
    this.#tell(READY)
  }

  close(reason: Error): void {
    this.#closed = reason
    this.#failure = null
    this.#inbox.clear()
    if (!this.isBusy) this.#leaveMemory()
    else this.#port.cancelOperation(this)
    this.#tell(READY)
  }

  override complete(result: number, flags: number): void {
    const port = this.#port
    if (this.#one !== null) this.#putOne(result)
    else if (port.pool.buffers.take(result, flags)) this.#put(result)
    if ((flags & IORING_CQE_F_MORE) !== 0) {
      this.#stopIfFull()
    } else {
      const { net } = port
      const wasStopping = (this.#state & STOPPING) !== 0
      if ((this.#state & UNREFERENCED) !== 0) net.executor.liveness.heed(net.ring.index)
      this.#state &= ~(ARMED | STOPPING)
      if (!port.isClosing && result < 0) this.#end(result, wasStopping)
      this.#closed ??= this.#ending
      if (port.isClosing) this.#leaveMemory()
      port.ended()
    }
    this.#tell(this.#isReady() ? READY : STARVED)
  }

  override run(): void {
    const want = this.#want
    this.#tell(TURN)
    if (want === CONSUME) {
      this.#deliver(this.#client as DatagramConsumption)
      return
    }
    const resolve = this.#client as Resolve
    const extra = this.#endRead()
    if (extra?.isCancelled === true) {
      rejectFrom(resolve, extra.cancelReason)
      return
    }
    try {
      resolve(this.#take(want, extra === null ? null : extra.keeper))
    } catch (error) {
      rejectFrom(resolve, error)
    }
  }

  #deliver(consumption: DatagramConsumption): void {
    const extra = this.#extra
    if (extra?.isCancelled === true) {
      this.#endConsumption(consumption, extra.cancelReason)
    } else if (this.#inbox.isEmpty) {
      // The caller that closes the socket does not want to be told that it failed.
      const failure = this.#failure
      this.#failure = null
      this.#endConsumption(consumption, this.#port.isClosing ? null : failure)
    } else {
      try {
        if (consumption.deliver(this)) this.goOn()
      } catch (error) {
        if (!this.#port.net.executor.isClosed) this.#endConsumption(consumption, error)
      }
    }
  }

  #endConsumption(consumption: DatagramConsumption, error: unknown): void {
    this.runsUserCode = false
    const queue = this.home as TaskQueue
    queue.consumptionCount--
    this.#tell(END)
    this.#endRead()
    consumption.end(error)
    // Unless `onEnd` has begun another one.
    if (this.#want !== CONSUME) this.#onConsumed?.()
  }

  #endRead(): ReaderExtra | null {
    const extra = this.#extra
    this.#want = NOTHING
    this.#client = null
    this.#extra = null
    extra?.binding?.end()
    return extra
  }

  #bind(options: WaitOptions | undefined, keeper: DatagramKeeper | null, action: string): void {
    const binding = bindCancellation(this.#port.net.executor, this, options, action)
    if (binding === null && keeper === null) return
    this.#extra = { binding, keeper, isCancelled: false, cancelReason: null }
  }

  #isReady(): boolean {
    return !this.#inbox.isEmpty || this.#failure !== null || this.#closed !== null
  }

  /** Whether a consumer that was called before in the same turn gets one more. */
  #mayHand(): boolean {
    return !this.#inbox.isEmpty && this.#extra?.isCancelled !== true
  }

  #refuses(event: ReaderEvent): boolean {
    return actionOf(nextReader(this.#reader, event)) === REFUSE
  }

  #tell(event: ReaderEvent): void {
    const next = nextReader(this.#reader, event)
    const action = actionOf(next)
    assert(action !== REFUSE, 'a reader that is refused was refused before')
    this.#state = (this.#state & ~READER_MASK) | stateOf(next)
    if (action === ARM) this.#arm()
    else if (action === QUEUE) this.home.push(this)
  }

  #take(want: DatagramWant, keeper: DatagramKeeper | null): unknown {
    const inbox = this.#inbox
    if (inbox.isEmpty) return this.#answerWithout(want)
    if (want === PEEK) return inbox.peek()
    const isLease = want === BORROW || want === BORROW_STEP
    const value = isLease ? inbox.takeLease() : inbox.take()
    if (want === BORROW_STEP) keeper!.keep(value as DatagramLease)
    this.#armIfLow()
    return want === RECEIVE_STEP || want === BORROW_STEP ? { value, done: false } : value
  }

  /** Closing ends an iteration, as nothing else does. */
  #answerWithout(want: DatagramWant): unknown {
    const failure = this.#failure
    this.#failure = null
    if (failure !== null) throw failure
    if (want === RECEIVE_STEP || want === BORROW_STEP) return { value: undefined, done: true }
    throw this.#closed!
  }

  #put(endBytes: number): void {
    const { pool, isClosing } = this.#port
    const { buffer } = pool.buffers.piece
    if (isClosing) {
      pool.giveBack(buffer)
      return
    }
    this.#count(endBytes)
    this.#inbox.put(buffer, endBytes)
    // A reader that is to take it in its next turn would gain nothing from a copy.
    if (this.#want === NOTHING && pool.isScarce) this.#inbox.copyOut()
  }

  #putOne(result: number): void {
    if (result < 0 || this.#port.isClosing) return
    const message = this.#one!.copy(result)
    this.#count(message.length)
    this.#inbox.putCopy(message)
  }

  #count(messageBytes: number): void {
    this.#port.receivedCount++
    this.#port.net.home.counters[17]! += messageBytes - this.#headBytes // COUNTER_BYTES_RECEIVED
  }

  #arm(): void {
    const { net, ring, layout, pool } = this.#port
    if (this.isBusy) return
    let base: number
    try {
      if (!net.isMultishot) this.#one ??= new OneMessage(this.#port)
      base = net.ring.begin()
    } catch (error) {
      this.#refuse(error)
      return
    }
    this.#state |= ARMED
    const { sqes } = net.ring
    const target = this.#port
    if (this.#one !== null) {
      encodeReceiveMessage(sqes, base, {
        target,
        header: this.#one.prepare(),
        messageFlags: MSG_TRUNC,
      })
    } else {
      encodeReceiveMessages(sqes, base, {
        target,
        header: ring.templateFor(layout),
        messageFlags: MSG_TRUNC,
        bufferGroup: pool.buffers.groupId,
      })
    }
    net.ring.commit(this)
    if ((this.#state & UNREFERENCED) !== 0) net.executor.liveness.passOver(net.ring.index)
  }

  /** The ring takes no more for now: a reader is told, and tries again; for a consumer we do. */
  #refuse(reason: unknown): void {
    if (!isWaiting(this.#reader)) return
    if (this.#want === CONSUME) {
      const retry = new RetryTimer(() => !this.#isReady() && this.#tell(STARVED), {
        onClose: (closed) => this.executorCloses(closed),
      })
      retry.schedule(this.#port.net.executor.timers)
      return
    }
    this.#endWith(reason)
    this.#tell(READY)
  }

  #endWith(reason: unknown): void {
    this.#extra ??= { binding: null, keeper: null, isCancelled: false, cancelReason: null }
    this.#extra.isCancelled = true
    this.#extra.cancelReason = reason
  }

  #leaveMemory(): void {
    this.#one?.release()
    this.#one = null
  }

  #isAbove(part: number): boolean {
    const { heldBytes, messageCount } = this.#inbox
    return heldBytes * part >= HELD_BYTES_MAX || messageCount * part >= HELD_MESSAGES_MAX
  }

  /** Receives again before all is taken, for who goes on reading. */
  #armIfLow(): void {
    if ((this.#state & ARMED) !== 0 || this.#failure !== null || this.#closed !== null) return
    if (this.#reader === FREE && !this.#inbox.isEmpty) return
    if (!this.#isAbove(LOW_PART)) this.#arm()
  }

  #stopIfFull(): void {
    const isDue = this.#reader === DUE || this.#reader === SETTLING
    if ((this.#state & STOPPING) !== 0 || !this.#isAbove(isDue ? 1 / DUE_FACTOR : 1)) return
    this.#state |= STOPPING
    this.#port.cancelOperation(this)
  }

  #end(result: number, wasStopping: boolean): void {
    const { pool } = this.#port
    if (result === -ENOBUFS) {
      if (this.#want !== NOTHING && !this.#isReady()) pool.refill()
    } else if (result !== -EAGAIN && result !== -EINTR && !(result === -ECANCELED && wasStopping)) {
      this.#failure = madeInTurn(kernelError(result, this.#port.describe('recvmsg')))
    }
  }
}
