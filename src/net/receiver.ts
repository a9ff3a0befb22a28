import { KernelError, NO_QUEUE, RuntimeError } from '../base/index.ts'
import {
  bindCancellation,
  type Cancellable,
  type CancellationBinding,
  checkCancellation,
  newPromise,
  takeResolve,
  type WaitOptions,
} from '../executor/index.ts'
import {
  EAGAIN,
  ECANCELED,
  EINTR,
  EINVAL,
  ENOBUFS,
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUFFER,
  IORING_CQE_F_MORE,
  kernelError,
} from '../kernel/index.ts'
import { RetryTimer } from '../reactor/index.ts'
import { encodeReceiveSelect, NO_BUFFER, Operation } from '../ring/index.ts'
import type { ConsumedSide, Consumption } from './consumption.ts'
import type { Inbox } from './inbox.ts'
import type { Starved } from './net-ring.ts'
import type { ChunkLender, SocketPort } from './socket-port.ts'

/** What a reader wants. */
const NOTHING = 0
export const READ_CHUNK = 1
export const READ_STEP = 2
export const READ_COPY = 3
export const READ_INTO = 4
/** Every chunk, one after another. */
const CONSUME = 5

/** A stream that nobody reads keeps about so many chunks; then it stops receiving. */
const QUEUED_MAX = 16
/** It receives again when this few are left. */
const QUEUED_LOW = 4
// What state it is in; bits.
/**
 * The reader's answer is certain, and a turn of its queue will give it; or a consumer has a chunk.
 * In either case the reader is not to be queued.
 */
const SETTLING = 1
/** The operation was asked to end, as too much waits to be read. */
const STOPPING = 2
/** It waits for a buffer to come back. */
const STARVED = 4
const AT_END = 8
/** A receive is in flight. */
const ARMED = 16

type Resolve = (value: unknown) => void

/** What few readers need. */
interface ReaderExtra {
  binding: CancellationBinding | null
  readonly into: Uint8Array | null
  /** Whether it ends with a reason: a cancellation, or the failure of a consumer. */
  isCancelled: boolean
  cancelReason: unknown
}

/**
 * The receiving side of a stream: one operation that goes on by itself, one reader at a time.
 *
 * Chunks lie in the buffers that the kernel picked until they are read, and the one read last until
 * the next read. Nothing is lost when a read is cancelled: what ends is the wait, not the operation.
 */
export class Receiver extends Operation implements Cancellable, ChunkLender, ConsumedSide, Starved {
  readonly #socket: SocketPort
  /** Null while no chunk waits and none is lent. */
  #inbox: Inbox | null = null
  #state = 0
  #failure: Error | null = null
  #want = NOTHING
  // Of a promise one end is kept, as idle connections are many: see reject().
  #reader: Resolve | Consumption | null = null
  #extra: ReaderExtra | null = null

  constructor(socket: SocketPort) {
    super(NO_QUEUE)
    this.#socket = socket
  }

  /** Whether a receive is in flight. */
  get isArmed(): boolean {
    return (this.#state & ARMED) !== 0
  }

  /** Whether `data` is the chunk that was read last, and which buffer it is in. */
  leasedBuffer(data: Uint8Array): number {
    const buffer = this.#inbox === null ? NO_BUFFER : this.#inbox.lentBuffer
    if (buffer === NO_BUFFER) return NO_BUFFER
    return this.#socket.net.buffers.lastView(buffer) === data ? buffer : NO_BUFFER
  }

  /** Reads the next chunk as `want` says; `into` for {@link READ_INTO} alone. */
  read(want: number, options: WaitOptions | undefined, into: Uint8Array | null): Promise<unknown> {
    const { executor } = this.#socket.net
    if (this.#want !== NOTHING) return Promise.reject(alreadyRead('read'))
    try {
      executor.assertOpen('read')
    } catch (error) {
      return Promise.reject(error)
    }
    this.#releaseLease()
    const isReady = this.#isReady()
    if (isReady && executor.takeReadyBudget()) {
      try {
        checkCancellation(executor, options, 'read')
        return Promise.resolve(this.#take(want, into))
      } catch (error) {
        return Promise.reject(error)
      }
    }
    try {
      this.#bind(options, into, 'read')
    } catch (error) {
      return Promise.reject(error)
    }
    const promise = newPromise<unknown>()
    this.#reader = takeResolve<unknown>()
    this.#want = want
    this.home = executor.currentQueue()
    if (isReady) this.#settleLater()
    else this.#arm()
    return promise
  }

  /**
   * Hands every chunk to a consumer, each in a turn of the current queue.
   *
   * @throws {RuntimeError} `ERR_STILL_HELD`, `ERR_EXECUTOR_CLOSED`; as {@link bindCancellation} does.
   */
  consume(consumption: Consumption, options: WaitOptions | undefined): void {
    const { executor } = this.#socket.net
    if (this.#want !== NOTHING) throw alreadyRead('consume')
    executor.assertOpen('consume')
    this.#bind(options, null, 'consume')
    this.#releaseLease()
    this.#reader = consumption
    this.#want = CONSUME
    this.runsUserCode = true
    this.home = executor.currentQueue()
    if (this.#isReady()) this.#settleLater()
    else this.#arm()
  }

  /** The consumer is done with its chunk. */
  goOn(): void {
    // What is pending then stays so.
    if (this.#socket.net.executor.isClosed) return
    this.#releaseLease()
    this.#state &= ~SETTLING
    if (this.#extra?.isCancelled === true || this.#isReady()) this.#settleLater()
    else this.#arm()
  }

  /** The consumer failed, which ends the consumption. */
  fail(failure: unknown): void {
    this.#endWith(failure)
    this.goOn()
  }

  cancel(reason: unknown): void {
    const isSettling = (this.#state & SETTLING) !== 0
    // A consumer that has a chunk keeps it, and is told when it is done.
    if (this.#want === NOTHING || (isSettling && this.#want !== CONSUME)) return
    if (this.#extra!.isCancelled) return
    this.#endWith(reason)
    if (!isSettling) this.#settleLater()
  }

  feed(): void {
    this.#state &= ~STARVED
    this.rearm()
  }

  /** Receives, if somebody waits for that. */
  rearm(): void {
    if (this.#want !== NOTHING && (this.#state & SETTLING) === 0 && !this.#isReady()) this.#arm()
  }

  close(reason: RuntimeError): void {
    this.#failure = reason
    this.#releaseLease()
    const inbox = this.#inbox
    if (inbox !== null) {
      while (inbox.hasChunk) this.#socket.net.release(inbox.shift())
      this.#leaveIfFree(inbox)
    }
    if ((this.#state & STARVED) !== 0) this.#socket.net.forget(this)
    this.#state &= ~STARVED
    if (this.#want !== NOTHING && (this.#state & SETTLING) === 0) this.#settleLater()
  }

  override complete(result: number, flags: number): void {
    if ((flags & IORING_CQE_F_BUFFER) !== 0) this.#put(flags >>> IORING_CQE_BUFFER_SHIFT, result)
    if ((flags & IORING_CQE_F_MORE) !== 0) {
      if (this.#inbox !== null) this.#stopIfFull(this.#inbox)
    } else {
      const wasStopping = (this.#state & STOPPING) !== 0
      this.#state &= ~(ARMED | STOPPING)
      if (this.#socket.isClosing) this.#socket.ended()
      else if (result <= 0) this.#end(result, wasStopping)
    }
    if (this.#want === NOTHING || (this.#state & SETTLING) !== 0) return
    if (this.#isReady()) this.#settleLater()
    else this.#arm()
  }

  override run(): void {
    const want = this.#want
    if (want === CONSUME) {
      this.#deliver(this.#reader as Consumption)
      return
    }
    const resolve = this.#reader as Resolve
    const extra = this.#endRead()
    if (extra !== null) {
      if (extra.isCancelled) {
        reject(resolve, extra.cancelReason)
        return
      }
    }
    try {
      resolve(this.#take(want, extra === null ? null : extra.into))
    } catch (error) {
      reject(resolve, error)
    }
  }

  /** Gives a consumer its next chunk, or tells it the end. */
  #deliver(consumption: Consumption): void {
    const extra = this.#extra
    if (extra?.isCancelled === true) {
      this.#endConsumption(consumption, extra.cancelReason)
      return
    }
    if (this.#inbox?.hasChunk !== true) {
      // Who closes the stream does not want to be told that it failed.
      this.#endConsumption(consumption, this.#socket.isClosing ? null : this.#failure)
      return
    }
    try {
      const chunk = this.#take(READ_CHUNK, null) as Uint8Array<ArrayBuffer>
      if (consumption.take(chunk, this)) this.goOn()
    } catch (error) {
      if (!this.#socket.net.executor.isClosed) this.#endConsumption(consumption, error)
    }
  }

  #endConsumption(consumption: Consumption, error: unknown): void {
    this.#releaseLease()
    this.runsUserCode = false
    this.#endRead()
    consumption.end(error)
  }

  /** There is no reader any more; returns what was particular to the one there was. */
  #endRead(): ReaderExtra | null {
    const extra = this.#extra
    this.#want = NOTHING
    this.#reader = null
    this.#extra = null
    this.#state &= ~SETTLING
    if (extra !== null) extra.binding?.end()
    return extra
  }

  /** @throws as {@link bindCancellation} does. */
  #bind(options: WaitOptions | undefined, into: Uint8Array | null, action: string): void {
    const binding = bindCancellation(this.#socket.net.executor, this, options, action)
    if (binding === null && into === null) return
    this.#extra = { binding, into, isCancelled: false, cancelReason: null }
  }

  /** Gives the chunk that was read last back. */
  #releaseLease(): void {
    const inbox = this.#inbox
    if (inbox === null || inbox.lentBuffer === NO_BUFFER) return
    const buffer = inbox.lentBuffer
    inbox.lentBuffer = NO_BUFFER
    this.#leaveIfFree(inbox)
    this.#socket.net.release(buffer)
  }

  #leaveIfFree(inbox: Inbox): void {
    if (!inbox.isFree) return
    this.#inbox = null
    this.#socket.net.keepInbox(inbox)
  }

  #isReady(): boolean {
    return this.#inbox?.hasChunk === true || (this.#state & AT_END) !== 0 || this.#failure !== null
  }

  #settleLater(): void {
    this.#state |= SETTLING
    this.home.push(this)
  }

  #put(buffer: number, lengthBytes: number): void {
    const { net } = this.#socket
    net.buffers.receive(buffer)
    if (lengthBytes <= 0 || this.#socket.isClosing) {
      net.release(buffer)
      return
    }
    this.#socket.bytesRead += lengthBytes
    this.#inbox ??= net.takeInbox()
    this.#inbox.put(buffer, lengthBytes)
  }

  /**
   * The answer to a reader: a chunk, or the end.
   *
   * @throws the failure that ended the stream; `ERR_BUFFER_RELEASED`, and keeps the data.
   */
  #take(want: number, into: Uint8Array | null): unknown {
    const inbox = this.#inbox
    if (inbox?.hasChunk !== true) {
      if (this.#failure !== null) throw this.#failure
      return want === READ_STEP ? { value: undefined, done: true } : want === READ_INTO ? 0 : null
    }
    const { net } = this.#socket
    const { buffer, startBytes, endBytes } = inbox
    const view =
      startBytes === 0
        ? net.buffers.view(buffer, endBytes)
        : net.buffers.slice(buffer, startBytes, endBytes)
    if (want === READ_INTO) return this.#copyInto(into!, view, inbox)
    inbox.shift()
    this.#armIfLow()
    if (want === READ_COPY) {
      const copy = view.slice()
      this.#leaveIfFree(inbox)
      net.release(buffer)
      return copy
    }
    inbox.lentBuffer = buffer
    return want === READ_STEP ? { value: view, done: false } : view
  }

  #copyInto(into: Uint8Array, view: Uint8Array, inbox: Inbox): number {
    // It was not empty when the read began: its memory was transferred, or made smaller.
    if (into.length === 0) throw targetGone()
    const lengthBytes = Math.min(into.length, view.length)
    into.set(view.subarray(0, lengthBytes))
    inbox.startBytes += lengthBytes
    if (inbox.startBytes < inbox.endBytes) return lengthBytes
    const buffer = inbox.shift()
    this.#leaveIfFree(inbox)
    this.#socket.net.release(buffer)
    this.#armIfLow()
    return lengthBytes
  }

  #arm(): void {
    const { net } = this.#socket
    if ((this.#state & (ARMED | STARVED)) !== 0) return
    const { ring } = net
    let base: number
    try {
      base = ring.begin()
    } catch (error) {
      this.#refuse(error)
      return
    }
    this.#state |= ARMED
    encodeReceiveSelect(ring.sqes, base, {
      target: this.#socket,
      bufferGroup: net.buffers.groupId,
      multishot: net.isMultishot,
    })
    ring.commit(this)
  }

  /** The ring takes no more for now: a reader is told, and tries again; for a consumer we do. */
  #refuse(reason: unknown): void {
    // Who has an answer to come has not waited for this one.
    if (this.#want === NOTHING || (this.#state & SETTLING) !== 0) return
    if (this.#want === CONSUME && reason instanceof KernelError) {
      new RetryTimer(() => this.rearm()).schedule(this.#socket.net.executor.reactor)
      return
    }
    this.#endWith(reason)
    this.#settleLater()
  }

  #endWith(reason: unknown): void {
    this.#extra ??= { binding: null, into: null, isCancelled: false, cancelReason: null }
    this.#extra.isCancelled = true
    this.#extra.cancelReason = reason
  }

  #armIfLow(): void {
    if ((this.#state & (ARMED | AT_END | STARVED)) !== 0 || this.#failure !== null) return
    if ((this.#inbox?.restCount ?? 0) < QUEUED_LOW && !this.#socket.net.isScarce) this.#arm()
  }

  #stopIfFull({ restCount }: Inbox): void {
    if (restCount === 0 || (this.#state & STOPPING) !== 0) return
    const limit = this.#socket.net.isScarce ? 1 : QUEUED_MAX
    if (restCount < limit) return
    this.#state |= STOPPING
    this.#socket.cancelOperation(this)
  }

  #end(result: number, wasStopping: boolean): void {
    const { net } = this.#socket
    if (result === 0) {
      // If the sender was told that the connection is broken, this is not the peer's end of the stream.
      const brokenBy = this.#socket.brokenBy
      if (brokenBy === 0) this.#state |= AT_END
      else this.#failure = kernelError(brokenBy, this.#socket.describe('recv'))
    } else if (result === -ENOBUFS) {
      const isWanted = this.#want !== NOTHING && !this.#isReady() && (this.#state & SETTLING) === 0
      if (isWanted && !net.findBuffer(this)) this.#state |= STARVED
    } else if (result === -EINVAL && net.isMultishot) {
      net.isMultishot = false
    } else if (result !== -EAGAIN && result !== -EINTR && !(result === -ECANCELED && wasStopping)) {
      this.#failure = kernelError(result, this.#socket.describe('recv'))
    }
  }
}

function alreadyRead(action: string): RuntimeError {
  return new RuntimeError(
    'ERR_STILL_HELD',
    `Cannot ${action} as a stream must have one reader at a time: it has one`,
  )
}

function targetGone(): RuntimeError {
  return new RuntimeError(
    'ERR_BUFFER_RELEASED',
    'Cannot read as target must keep its memory until then: it has 0 bytes now',
  )
}

// Through the one end that is kept, which takes two microtasks more.
function reject(resolve: Resolve, reason: unknown): void {
  resolve(Promise.reject(reason))
}
