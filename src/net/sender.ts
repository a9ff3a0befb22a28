import { NO_QUEUE, Runnable, RuntimeError, wrongType } from '../base/index.ts'
import {
  answerDone,
  bindCancellation,
  type Cancellable,
  type CancellationBinding,
  createDeferred,
  type Deferred,
  ListedWaiter,
  WaitList,
  type WaitListOwner,
  type WaitOptions,
} from '../executor/index.ts'
import {
  EAGAIN,
  ECANCELED,
  ECONNABORTED,
  ECONNRESET,
  EHOSTUNREACH,
  EINTR,
  ENETUNREACH,
  ETIMEDOUT,
  kernelError,
  MSG_NOSIGNAL,
} from '../kernel/index.ts'
import { Lease } from '../memory/index.ts'
import { encodeSend, NO_BUFFER, Operation, type SendArgs } from '../ring/index.ts'
import type { ChunkLender, SocketPort } from './socket-port.ts'

/** Smaller writes that have to wait are sent together. */
const COALESCED_BYTES_MAX = 4 * 1024
/** How much one send takes from a queue of small writes. */
const GATHERED_BYTES_MAX = 64 * 1024
/** How much of one large write is copied at a time. */
const COPIED_BYTES_MAX = 256 * 1024
/** Errors that end a connection of which no end has come; the kernel tells of one once. */
const BREAKS: ReadonlySet<number> = new Set([
  -ECONNABORTED,
  -ECONNRESET,
  -EHOSTUNREACH,
  -ENETUNREACH,
  -ETIMEDOUT,
])
/** What one send is asked for at most; its count must fit the result. */
const SENT_BYTES_MAX: number = 2 ** 30

/**
 * The sending side of a stream: writes in order, one operation at a time.
 *
 * Data that lies in I/O memory is sent from where it is; other data is copied there as it is its
 * turn, small writes that wait together.
 */
export class Sender extends Operation implements SendArgs {
  /** Whether a send is in flight. */
  isArmed = false
  /** Bytes that the kernel has taken. */
  sentBytes = 0
  /** With which of {@link BREAKS} it was told that the connection is broken, or 0. */
  brokenBy = 0
  readonly target: SocketPort
  // Not MSG_WAITALL: an error after a part of the data would then be lost, with the count as the result.
  readonly messageFlags: number = MSG_NOSIGNAL
  address = 0
  lengthBytes = 0
  #first: PendingWrite | null = null
  #last: PendingWrite | null = null
  #bounce: Lease | null = null
  #failure: Error | null = null
  #isCancelling = false
  /** Who waits until nothing is left to send. */
  #drains: WaitList<ListedWaiter<void>> | null = null

  constructor(socket: SocketPort) {
    super(NO_QUEUE)
    this.target = socket
  }

  write(
    data: Uint8Array | Lease,
    lender: ChunkLender | null,
    options: WaitOptions | undefined,
  ): Promise<void> {
    const { executor } = this.target.net
    let write: PendingWrite
    try {
      if (this.#failure !== null) throw this.#failure
      executor.assertOpen('write')
      write = idleWrites.pop() ?? new PendingWrite()
      write.take(this, data, lender, options)
    } catch (error) {
      return Promise.reject(error)
    }
    // Behind others it waits for its turn, as if it had bytes.
    if (write.lengthBytes === 0 && this.#first === null) {
      write.abandon()
      return answerDone(executor)
    }
    const promise = write.begin(executor.currentQueue())
    if (this.#last === null) this.#first = write
    else this.#last.following = write
    write.preceding = this.#last
    this.#last = write
    if (!this.isArmed) this.#start()
    return promise
  }

  /**
   * Resolves when nothing is left to send; null if there is nothing. Rejects if the rest failed.
   *
   * @throws as {@link bindCancellation} does.
   */
  drained(options: WaitOptions | undefined, action: string): Promise<void> | null {
    if (this.#first === null) return null
    const { executor } = this.target.net
    const waiter = new ListedWaiter<void>(executor)
    waiter.bindListed(executor, options, action)
    this.#drains ??= new WaitList(NOBODY)
    this.#drains.push(waiter)
    return waiter.promise
  }

  /** Fails every write from now on. */
  refuse(reason: Error): void {
    this.#failure ??= reason
  }

  /** @internal Stops a write: at once if none of it is with the kernel, else as soon as can be. */
  cancelWrite(write: PendingWrite): void {
    if (!write.isStaged) {
      this.#drop(write)
    } else if (!this.#isCancelling) {
      this.#isCancelling = true
      this.target.cancelOperation(this)
    }
  }

  close(reason: RuntimeError): void {
    this.#failure = reason
    // What is with the kernel keeps its memory until the completion.
    if (!this.isArmed) this.#failAll(reason)
  }

  override complete(result: number): void {
    this.isArmed = false
    this.#isCancelling = false
    const sentBytes = result > 0 ? result : 0
    this.address += sentBytes
    this.lengthBytes -= sentBytes
    this.#advance(sentBytes)
    if (BREAKS.has(result)) this.brokenBy = result
    if (this.target.isClosing) {
      this.#returnBounce()
      this.#failAll(this.#failure!)
      this.target.ended()
      return
    }
    if (result < 0 && result !== -EINTR && result !== -EAGAIN && result !== -ECANCELED) {
      this.#returnBounce()
      this.#failure = kernelError(result, this.target.describe('send'))
      this.#failAll(this.#failure)
      return
    }
    // What a short send has left is sent from where it was copied to, if all of it is still wanted.
    if (this.#dropCancelled() || this.lengthBytes === 0) this.#returnBounce()
    // What was dropped may have stood before empty writes.
    this.#advance(0)
    if (this.#first !== null) this.#start()
    else this.#endDrains()
  }

  override run(): void {}

  /** Counts bytes as sent, in order; empty writes behind them are done as well. */
  #advance(lengthBytes: number): void {
    this.sentBytes += lengthBytes
    let left = lengthBytes
    for (let write = this.#first; write !== null; write = this.#first) {
      const missing = write.lengthBytes - write.sentBytes
      write.isStaged = false
      if (left < missing) {
        write.sentBytes += left
        return
      }
      left -= missing
      this.#unlink(write)
      write.finish(null)
    }
  }

  /** Takes off what was cancelled or lost, while nothing is with the kernel; whether there was any. */
  #dropCancelled(): boolean {
    let hasDropped = false
    let next: PendingWrite | null
    for (let write = this.#first; write !== null; write = next) {
      next = write.following
      write.isStaged = false
      if (!write.isCancelled && !write.isLost) continue
      this.#drop(write)
      hasDropped = true
    }
    return hasDropped
  }

  #returnBounce(): void {
    if (this.#bounce === null) return
    this.target.net.returnBounce(this.#bounce)
    this.#bounce = null
  }

  /** Takes one off that was cancelled or lost; if it is cut in the middle, that ends the sending side. */
  #drop(write: PendingWrite): void {
    const isCut = write.sentBytes > 0
    const reason = write.isCancelled ? write.cancelReason : dataGone()
    this.#unlink(write)
    write.finish(reason)
    if (!isCut) return
    this.#failure = writeCut(reason)
    this.#failAll(this.#failure)
  }

  #unlink({ preceding, following }: PendingWrite): void {
    if (preceding === null) this.#first = following
    else preceding.following = following
    if (following === null) this.#last = preceding
    else following.preceding = preceding
  }

  /** Fails all that waits, since the next send cannot be made; a write that is cut ends the sending side. */
  #fail(first: PendingWrite, reason: Error): void {
    this.#returnBounce()
    if (first.sentBytes > 0) this.#failure = writeCut(reason)
    this.#failAll(reason)
  }

  #failAll(reason: Error): void {
    let write = this.#first
    this.#first = null
    this.#last = null
    while (write !== null) {
      const { following } = write
      write.finish(write.isCancelled ? write.cancelReason : reason)
      write = following
    }
    this.#drains?.fail(reason)
  }

  #endDrains(): void {
    const drains = this.#drains
    if (drains === null) return
    for (let next = drains.shift(); next !== null; next = drains.shift()) next.fulfil()
  }

  #start(): void {
    const first = this.#first!
    const left = first.lengthBytes - first.sentBytes
    const { ring } = this.target.net
    let base: number
    try {
      base = ring.begin()
    } catch (error) {
      this.#fail(first, error as Error)
      return
    }
    const isSmall = left < COALESCED_BYTES_MAX && first.following !== null
    if (this.#bounce !== null) {
      this.#stageRest(first)
    } else if (first.address !== 0 && !isSmall) {
      first.isStaged = true
      this.address = first.address + first.sentBytes
      this.lengthBytes = left < SENT_BYTES_MAX ? left : SENT_BYTES_MAX
    } else if (!this.#gather(first, left)) {
      return
    }
    encodeSend(ring.sqes, base, this)
    ring.commit(this)
    this.isArmed = true
  }

  /** Marks the writes whose bytes are left in the bounce buffer. */
  #stageRest(first: PendingWrite): void {
    let left = this.lengthBytes
    for (let write: PendingWrite | null = first; write !== null && left > 0; ) {
      write.isStaged = true
      left -= write.lengthBytes - write.sentBytes
      write = write.following
    }
  }

  /** Copies what the next send takes; false if there is no memory for it, and all has failed. */
  #gather(first: PendingWrite, left: number): boolean {
    const { net } = this.target
    let wanted = Math.min(left, COPIED_BYTES_MAX)
    for (let next = first.following; next !== null && wanted < GATHERED_BYTES_MAX; ) {
      wanted += next.lengthBytes
      next = next.following
    }
    let bounce: Lease
    try {
      bounce = net.takeBounce(
        first.following === null ? wanted : Math.min(wanted, COPIED_BYTES_MAX),
      )
    } catch (error) {
      this.#fail(first, error as Error)
      return false
    }
    const { bytes } = bounce
    let used = 0
    for (let write: PendingWrite | null = first; write !== null; write = write.following) {
      // A large one that needs no copy is sent by itself.
      if (write !== first && write.address !== 0 && write.lengthBytes >= COALESCED_BYTES_MAX) break
      if (used === bytes.length) break
      const start = write.sentBytes
      const end = Math.min(write.lengthBytes, start + bytes.length - used)
      bytes.set(
        start === 0 && end === write.data.length ? write.data : write.data.subarray(start, end),
        used,
      )
      used += end - start
      write.isStaged = end > start
    }
    this.#bounce = bounce
    this.address = bounce.address
    this.lengthBytes = used
    return true
  }
}

/** One call of write(), until all its bytes are sent. */
class PendingWrite extends Runnable implements Cancellable {
  data: Uint8Array = NO_DATA
  /** As it was when it was given. */
  lengthBytes = 0
  /** Where the data is for the kernel, or 0 if it has to be copied. */
  address = 0
  sentBytes = 0
  /** Whether some of it is with the kernel. */
  isStaged = false
  preceding: PendingWrite | null = null
  following: PendingWrite | null = null
  isCancelled = false
  cancelReason: unknown = null
  #sender: Sender | null = null
  #buffer = NO_BUFFER
  #pinned: Lease | null = null
  #writer: Deferred<void> | null = null
  #binding: CancellationBinding | null = null
  #failure: unknown = null

  constructor() {
    super(NO_QUEUE)
  }

  /** Whether the memory of its data was transferred, or made smaller, since it was given. */
  get isLost(): boolean {
    return this.data.length < this.lengthBytes
  }

  /** @throws {TypeError} for data of the wrong kind; as {@link bindCancellation} does. */
  take(
    sender: Sender,
    data: Uint8Array | Lease,
    lender: ChunkLender | null,
    options: WaitOptions | undefined,
  ): void {
    const { net } = sender.target
    const { buffers } = net
    this.#sender = sender
    if (data instanceof Uint8Array) {
      const leased = lender === null ? NO_BUFFER : lender.leasedBuffer(data)
      const buffer = leased === NO_BUFFER ? buffers.locate(data) : leased
      this.#binding = bindCancellation(net.executor, this, options, 'write')
      this.data = data
      this.lengthBytes = data.length
      // A stale chunk, given back before, is copied like foreign data: its bytes are anyone's.
      if (buffer === NO_BUFFER || !buffers.isInUse(buffer)) return
      buffers.retain(buffer)
      this.#buffer = buffer
      this.address = buffers.addressOf(buffer, data)
    } else if (data instanceof Lease) {
      const { bytes } = data
      this.#binding = bindCancellation(net.executor, this, options, 'write')
      this.data = bytes
      this.lengthBytes = bytes.length
      data.pin()
      this.#pinned = data
      this.address = data.address
    } else {
      throw wrongType('write', 'data', 'a Uint8Array or a Lease', data)
    }
  }

  begin(home: Runnable['home']): Promise<void> {
    this.home = home
    const writer = createDeferred<void>()
    this.#writer = writer
    return writer.promise
  }

  cancel(reason: unknown): void {
    if (this.isCancelled || this.#writer === null || this.data === NO_DATA) return
    this.isCancelled = true
    this.cancelReason = reason
    this.#sender!.cancelWrite(this)
  }

  /** Ends it: `failure` is null if all was sent. The memory is the writer's again. */
  finish(failure: unknown): void {
    this.#letGo()
    this.#failure = failure
    this.home.push(this)
  }

  /** Ends it before it has begun. */
  abandon(): void {
    this.#letGo()
    this.#binding?.end()
    this.#binding = null
    this.#keep()
  }

  override run(): void {
    const writer = this.#writer!
    const failure = this.#failure
    this.#binding?.end()
    this.#binding = null
    this.#writer = null
    this.#failure = null
    this.#keep()
    if (failure === null) writer.resolve()
    else writer.reject(failure)
  }

  // Nobody knows it any more: neither a sender nor what could cancel it.
  #keep(): void {
    this.#sender = null
    this.home = NO_QUEUE
    if (idleWrites.length < IDLE_WRITES_MAX) idleWrites.push(this)
  }

  #letGo(): void {
    if (this.#buffer !== NO_BUFFER) {
      this.#sender!.target.net.release(this.#buffer)
      this.#buffer = NO_BUFFER
    }
    this.#pinned?.unpin()
    this.#pinned = null
    this.data = NO_DATA
    this.lengthBytes = 0
    this.address = 0
    this.sentBytes = 0
    this.isStaged = false
    this.preceding = null
    this.following = null
    this.isCancelled = false
    this.cancelReason = null
  }
}

const NO_DATA = new Uint8Array(0)
/** For the next writes of any stream of this thread, as most streams are idle most of the time. */
const idleWrites: PendingWrite[] = []
const IDLE_WRITES_MAX = 1024
/** Who gives up lets nobody else go on. */
const NOBODY: WaitListOwner = { waiterLeft(): void {} }

function dataGone(): RuntimeError {
  return new RuntimeError(
    'ERR_BUFFER_RELEASED',
    'Cannot write as data must keep its memory until it is sent: it has fewer bytes now',
  )
}

function writeCut(cause: unknown): RuntimeError {
  return new RuntimeError(
    'ERR_HANDLE_CLOSED',
    'Cannot write as the stream must be whole: a write ended after a part of it was sent',
    { cause },
  )
}
