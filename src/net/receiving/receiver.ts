import { assert, KernelError, NO_QUEUE, type RuntimeError } from '../../base/index.ts'
import {
  bindCancellation,
  type Cancellable,
  checkCancellation,
  madeInTurn,
  newPromise,
  refuse,
  rejectFrom,
  type TaskQueue,
  takeResolve,
  type WaitOptions,
} from '../../executor/index.ts'
import { ENOBUFS, IORING_CQE_F_MORE, kernelError } from '../../kernel/index.ts'
import type { Lease } from '../../memory/index.ts'
import { type BufferPiece, Operation } from '../../ring/index.ts'
import type { Inbox } from '../memory/inbox.ts'
import type { ReceivePool } from '../memory/receive-pool.ts'
import type { SocketPort } from '../memory/socket-port.ts'
import type { ConsumedSide, Consumption } from './consumption.ts'
import {
  answerAtEnd,
  CONSUME,
  CONSUME_LEASES,
  detached,
  isHarmless,
  NOTHING,
  READ_CHUNK,
  READ_LEASE,
  type ReaderExtra,
  type ReadTarget,
  type ReceivedRest,
  restOf,
  takeAll,
  takeFrom,
  takenError,
} from './reads.ts'
import { LARGE, noteReceived, wantsLarge, withoutLarge } from './receive-sizes.ts'
import {
  ARM,
  ARMED,
  AT_END,
  actionOf,
  BEGUN,
  CONSUME_BEGINS,
  CONSUME_READY,
  END,
  GO_ON,
  GO_ON_READY,
  HALT,
  HALTED,
  HELD_BUFFERS_LOW,
  HELD_BUFFERS_MAX,
  isCancellable,
  isWaiting,
  LENT,
  nextReader,
  QUEUE,
  READ,
  READ_READY,
  READER_MASK,
  READY,
  REFUSE,
  RESUME,
  type ReaderEvent,
  type ReaderState,
  STARVED,
  STOPPING,
  stateOf,
  TURN,
  UNREFERENCED,
} from './receive-states.ts'
import { chooseSize, confirmLarge, rearmLater, submitReceive } from './submit-receive.ts'

type Resolve = (value: unknown) => void

/**
 * The receiving side of a stream: one operation that goes on by itself, one reader at a time.
 *
 * What was received waits in an {@link Inbox} until it is read. A read that is cancelled loses nothing, as its wait ends alone.
 */
export class Receiver extends Operation implements Cancellable, ConsumedSide {
  readonly #socket: SocketPort
  /** Null while nothing waits to be read. */
  #inbox: Inbox | null = null
  /** {@link ReaderState}, and bits. */
  #state = 0
  #failure: Error | null = null
  #want = NOTHING
  // Of a promise one end is kept, as idle connections are many: see rejectFrom().
  #client: Resolve | Consumption | null = null
  #extra: ReaderExtra | null = null

  constructor(socket: SocketPort) {
    super(NO_QUEUE)
    this.#socket = socket
  }

  /** Whether a receive is in flight. */
  get isArmed(): boolean {
    return (this.#state & ARMED) !== 0
  }

  /** Of which what is in flight or waits to be read is. */
  get #pool(): ReceivePool {
    return this.#socket.net.poolOf((this.#state & LARGE) !== 0)
  }

  get hasWaitingReader(): boolean {
    return isWaiting(this.#reader)
  }

  get #reader(): ReaderState {
    return (this.#state & READER_MASK) as ReaderState
  }

  /** Reads what `want` says; `target` for {@link READ_INTO} and {@link READ_LEASE_STEP} alone. */
  read(want: number, options: WaitOptions | undefined, target: ReadTarget): Promise<unknown> {
    const { executor } = this.#socket.net
    const isReady = this.isReady()
    const event = isReady ? READ_READY : READ
    if (this.#refuses(event)) return refuse(this.#takenError('read'))
    try {
      executor.assertOpen('read')
      if (isReady && executor.takeReadyBudget()) {
        checkCancellation(executor, options, 'read')
        return Promise.resolve(this.#take(want, target))
      }
      this.#bind(options, target, 'read')
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

  /**
   * Hands every chunk to a consumer, each in a turn of the current queue.
   *
   * @throws {RuntimeError} `ERR_STILL_HELD`, `ERR_EXECUTOR_CLOSED`; as {@link bindCancellation} does.
   */
  consume(consumption: Consumption, options: WaitOptions | undefined): void {
    const { executor } = this.#socket.net
    const event = this.isReady() ? CONSUME_READY : CONSUME_BEGINS
    if (this.#refuses(event)) throw this.#takenError('consume')
    executor.assertOpen('consume')
    this.#bind(options, null, 'consume')
    this.#client = consumption
    this.#want = consumption.takesLeases ? CONSUME_LEASES : CONSUME
    this.runsUserCode = true
    const queue = executor.currentQueue()
    queue.consumptionCount++
    this.home = queue
    this.#tell(event)
  }

  /** The consumer is done with its chunk. */
  goOn(): void {
    // What is pending then stays so.
    if (this.#socket.net.executor.isClosed) return
    const isReady = this.#extra?.isCancelled === true || this.isReady()
    if (!isReady) this.#socket.watch?.readBegins()
    this.#tell(isReady ? GO_ON_READY : GO_ON)
  }

  /** The consumer failed, which ends the consumption. */
  fail(failure: unknown): void {
    this.#endWith(failure)
    this.goOn()
  }

  cancel(reason: unknown): void {
    // A consumer that has a chunk keeps it, and is told when it is done.
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
    if (!this.isArmed) return
    const { ring, executor } = this.#socket.net
    if (isReferenced) executor.liveness.heed(ring.index)
    else executor.liveness.passOver(ring.index)
  }

  /** Receives, if somebody waits for that. */
  rearm(): void {
    if (!this.isReady()) this.#tell(STARVED)
  }

  /**
   * Lets nobody read until {@link resume}, or for good; what comes meanwhile is kept.
   *
   * @throws {RuntimeError} `ERR_STILL_HELD` while there is a reader; `ERR_HANDLE_CLOSED` if it is halted.
   */
  halt(action: string): void {
    if (this.#refuses(HALT)) throw this.#takenError(action)
    this.#tell(HALT)
  }

  /** @throws {RuntimeError} `ERR_HANDLE_CLOSED` */
  assertNotHalted(action: string): void {
    if (this.#reader === HALTED && (this.#state & LENT) === 0) throw detached(action)
  }

  /** Whether descriptors that came may be lost: by a receive, or with what another thread has received. */
  get hasBegun(): boolean {
    return (this.#state & BEGUN) !== 0 || this.#inbox !== null
  }

  /** Lets a reader receive by itself, of a side where nothing is ready. @throws as {@link halt} does. */
  lend(action: string): void {
    this.halt(action)
    this.#state |= LENT
  }

  /** Its reader is done: with so many bytes, the end for 0, or `-errno`. */
  takeBack(result: number): void {
    this.#state &= ~LENT
    this.#tell(RESUME)
    if (result > 0) this.#count(result)
    else this.#end(result, true)
  }

  /** Asks the receive in flight to end, of a side that is halted: the socket is told when it has. */
  stop(): void {
    assert(this.#reader === HALTED, 'what is stopped is halted, or it would begin again')
    if ((this.#state & ARMED) === 0) return
    this.#state |= STOPPING
    this.#socket.cancelOperation(this)
  }

  resume(): void {
    this.#tell(RESUME)
  }

  /** Takes out all that waits to be read, and what comes after it. */
  takeRest(): ReceivedRest {
    assert(this.#reader === HALTED && !this.isArmed, 'nothing more comes behind the rest')
    const bytes = takeAll(this.#inbox)
    this.#leaveIfEmpty()
    return restOf(bytes, (this.#state & AT_END) !== 0, this.#failure)
  }

  /** Begins with what another side has left. */
  restore({ bytes, hasEnded, errno }: ReceivedRest): void {
    assert(this.#state === 0 && this.#inbox === null, 'a side begins with the rest of another')
    if (bytes.length > 0) {
      this.#inbox = this.#socket.net.pool.takeInbox()
      this.#inbox.putCopy(bytes)
    }
    if (hasEnded) this.#state |= AT_END
    if (errno !== 0) this.#failure = kernelError(errno, this.#socket.describe('recv'))
  }

  close(reason: RuntimeError): void {
    this.#failure = reason
    this.#inbox?.clear()
    this.#leaveIfEmpty()
    this.#tell(READY)
  }

  override complete(result: number, flags: number): void {
    const { buffers } = this.#pool
    for (let has = buffers.take(result, flags); has; has = buffers.takeNext())
      this.#put(buffers.piece)
    if ((flags & IORING_CQE_F_MORE) !== 0) {
      this.#stopIfFullOrGrown()
    } else {
      const { net } = this.#socket
      const wasStopping = (this.#state & STOPPING) !== 0
      if ((this.#state & UNREFERENCED) !== 0) net.executor.liveness.heed(net.ring.index)
      this.#state &= ~(ARMED | STOPPING)
      if (!this.#socket.isClosing && result <= 0) this.#end(result, wasStopping)
      this.#socket.ended()
    }
    this.#tell(this.isReady() ? READY : STARVED)
  }

  override run(): void {
    const want = this.#want
    this.#tell(TURN)
    if (want >= CONSUME) {
      this.#deliver(this.#client as Consumption)
      return
    }
    const resolve = this.#client as Resolve
    const extra = this.#endRead()
    if (extra?.isCancelled === true) {
      rejectFrom(resolve, extra.cancelReason)
      return
    }
    try {
      resolve(this.#take(want, extra === null ? null : extra.target))
    } catch (error) {
      rejectFrom(resolve, error)
    }
  }

  /** Gives a consumer its next chunk, or tells it the end. */
  #deliver(consumption: Consumption): void {
    const extra = this.#extra
    if (extra?.isCancelled === true) {
      this.#endConsumption(consumption, extra.cancelReason)
      return
    }
    if (this.#inbox === null) {
      // The caller that closes the stream does not want to be told that it failed.
      this.#endConsumption(consumption, this.#socket.isClosing ? null : this.#failure)
      return
    }
    try {
      if (this.#hand(consumption)) this.goOn()
    } catch (error) {
      if (!this.#socket.net.executor.isClosed) this.#endConsumption(consumption, error)
    }
  }

  /** @throws what the consumer throws. */
  #hand(consumption: Consumption): boolean {
    return this.#want === CONSUME
      ? consumption.takeChunk(this.#take(READ_CHUNK, null) as Uint8Array, this)
      : consumption.takeLease(this.#take(READ_LEASE, null) as Lease, this)
  }

  #endConsumption(consumption: Consumption, error: unknown): void {
    this.runsUserCode = false
    const queue = this.home as TaskQueue
    queue.consumptionCount--
    this.#tell(END)
    this.#endRead()
    consumption.end(error)
  }

  /** There is no reader any more; returns what was particular to the one there was. */
  #endRead(): ReaderExtra | null {
    const extra = this.#extra
    this.#want = NOTHING
    this.#client = null
    this.#extra = null
    if (extra !== null) extra.binding?.end()
    return extra
  }

  /** @throws as {@link bindCancellation} does. */
  #bind(options: WaitOptions | undefined, target: ReadTarget, action: string): void {
    const binding = bindCancellation(this.#socket.net.executor, this, options, action)
    this.#socket.watch?.readBegins()
    if (binding === null && target === null) return
    this.#extra = { binding, target, isCancelled: false, cancelReason: null }
  }

  #takenError(action: string): RuntimeError {
    return takenError(action, this.#reader === HALTED && (this.#state & LENT) === 0)
  }

  #count(lengthBytes: number): void {
    this.#socket.bytesRead += lengthBytes
    this.#socket.net.home.counters[17]! += lengthBytes // COUNTER_BYTES_RECEIVED
  }

  #leaveIfEmpty(): void {
    const inbox = this.#inbox
    if (inbox?.isEmpty !== true) return
    this.#inbox = null
    this.#pool.keepInbox(inbox)
  }

  /** Whether a reader is answered at once: data, the end, a failure. */
  isReady(): boolean {
    return this.#inbox !== null || (this.#state & AT_END) !== 0 || this.#failure !== null
  }

  #refuses(event: ReaderEvent): boolean {
    return actionOf(nextReader(this.#reader, event)) === REFUSE
  }

  /** Goes where the table says, and does what that says. */
  #tell(event: ReaderEvent): void {
    const next = nextReader(this.#reader, event)
    const action = actionOf(next)
    assert(action !== REFUSE, 'a reader that is refused was refused before')
    this.#state = (this.#state & ~READER_MASK) | stateOf(next)
    if (action === ARM) this.#arm()
    else if (action === QUEUE) this.home.push(this)
  }

  #put(piece: BufferPiece): void {
    const pool = this.#pool
    const { net, isClosing } = this.#socket
    const lengthBytes = piece.endBytes - piece.startBytes
    if (lengthBytes === 0 || isClosing) {
      pool.giveBack(piece.buffer)
      return
    }
    this.#count(lengthBytes)
    this.#state = noteReceived(this.#state, lengthBytes, net.pool.bufferBytes)
    this.#inbox ??= pool.takeInbox()
    this.#inbox.put(piece)
    // A reader that is to take it in its next turn would gain nothing from a copy.
    if (this.#want === NOTHING && pool.isScarce) this.#inbox.copyOut()
  }

  /**
   * The answer to a reader: data, or the end. @throws the failure that ended the stream; `ERR_BUFFER_RELEASED`, and keeps the data.
   */
  #take(want: number, target: ReadTarget): unknown {
    const inbox = this.#inbox
    if (inbox === null) {
      if (this.#failure !== null) throw this.#failure
      return answerAtEnd(want)
    }
    const answer = takeFrom(inbox, want, target)
    this.#leaveIfEmpty()
    this.#armIfLow()
    return answer
  }

  #arm(): void {
    if ((this.#state & ARMED) !== 0) return
    // What waits together is of one pool.
    if (this.#inbox === null) this.#state = chooseSize(this.#state, this.#socket.net)
    try {
      submitReceive(this, this.#socket, this.#state)
    } catch (error) {
      this.#refuse(error)
      return
    }
    this.#state |= ARMED | BEGUN
  }

  /** The ring takes no more for now: a reader is told, and tries again; for a consumer we do. */
  #refuse(reason: unknown): void {
    // A reader whose answer is on its way did not wait for this receive.
    if (!isWaiting(this.#reader)) return
    if (this.#want >= CONSUME && reason instanceof KernelError) {
      rearmLater(this, this.#socket)
      return
    }
    this.#endWith(reason)
    this.#tell(READY)
  }

  #endWith(reason: unknown): void {
    this.#extra ??= { binding: null, target: null, isCancelled: false, cancelReason: null }
    this.#extra.isCancelled = true
    this.#extra.cancelReason = reason
  }

  #armIfLow(): void {
    if ((this.#state & (ARMED | AT_END)) !== 0 || this.#failure !== null) return
    const inbox = this.#inbox
    if (inbox !== null) {
      if ((this.#state & LARGE) !== 0 || wantsLarge(this.#state)) return
      if (inbox.heldBytes > HELD_BUFFERS_LOW * this.#socket.net.pool.bufferBytes) return
    }
    this.#arm()
  }

  /** Of a receive that goes on by itself, into small buffers. */
  #stopIfFullOrGrown(): void {
    const inbox = this.#inbox
    const { net } = this.#socket
    if (inbox === null || (this.#state & STOPPING) !== 0) return
    if (inbox.heldBytes < HELD_BUFFERS_MAX * net.pool.bufferBytes) {
      this.#state = confirmLarge(this.#state, net)
      if (!wantsLarge(this.#state)) return
    }
    this.#state |= STOPPING
    this.#socket.cancelOperation(this)
  }

  #end(result: number, wasStopping: boolean): void {
    const { net } = this.#socket
    if (result === 0) {
      // If the sender was told that the connection is broken, this is not the peer's end of the stream.
      const brokenBy = this.#socket.brokenBy
      if (brokenBy === 0) this.#state |= AT_END
      else this.#failure = madeInTurn(kernelError(brokenBy, this.#socket.describe('recv')))
    } else if (result === -ENOBUFS) {
      // One that others took the large buffers from goes on in small ones.
      if ((this.#state & LARGE) !== 0) this.#state = withoutLarge(this.#state)
      else if (this.#want !== NOTHING && !this.isReady()) net.pool.refill()
    } else if (!isHarmless(result, wasStopping)) {
      this.#failure = madeInTurn(kernelError(result, this.#socket.describe('recv')))
    }
  }
}
