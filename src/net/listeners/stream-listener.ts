import { RuntimeError } from '../../base/index.ts'
import {
  ClosingWaiter,
  checkCancellation,
  madeInTurn,
  refuse,
  submitClose,
  type TaskQueue,
  WaitList,
  type WaitOptions,
} from '../../executor/index.ts'
import {
  EAGAIN,
  EBADF,
  ECANCELED,
  ECONNABORTED,
  EFAULT,
  EINTR,
  EINVAL,
  ENOTSOCK,
  EOPNOTSUPP,
  IORING_CQE_F_MORE,
  kernelError,
} from '../../kernel/index.ts'
import { RetryTimer } from '../../reactor/index.ts'
import { encodeAccept, type Target } from '../../ring/index.ts'
import { COUNTER_ACCEPTS, COUNTER_CONNECTIONS } from '../../stats/index.ts'
import { type NetRing, netRingFor } from '../memory/net-ring.ts'
import { AcceptOperation } from '../sockets/accept-operation.ts'
import { cancelOn, handleClosed, Socket } from '../sockets/socket.ts'
import type { StreamSocket } from '../streams/stream-socket.ts'
import { type Address, formatAddress } from '../values/address.ts'
import { NOTE_SENT } from '../values/received-message.ts'
import { type AcceptWaiter, StepWaiter, StreamWaiter } from './accept-waiter.ts'

/** Accepted connections that nobody has asked for yet; beyond that they stay with the kernel. */
const READY_MAX = 128
const READY_LOW = 32
/** After these nothing can be accepted any more; */
const FATAL: readonly number[] = [EBADF, ECANCELED, EFAULT, EINVAL, ENOTSOCK, EOPNOTSUPP]
/** after these at once, and after others, want of descriptors or memory, in a while. */
const HARMLESS: readonly number[] = [EAGAIN, EINTR, ECONNABORTED]
const UNREFERENCED = { keepsAlive: false }
const NOT_SHARED = -1

/** @internal What a listener takes over: a descriptor that listens, and is tracked already. */
export interface ListeningSocket<Where extends Address> {
  readonly net: NetRing
  readonly fd: number
  readonly address: Where
  /** The name by which other threads have descriptors of its socket, if they do. */
  readonly shareName?: number
  /** Whether another process may have descriptors of it; false if not given. */
  readonly isElsewhere?: boolean
}

/**
 * Accepts connections: by {@link accept}, or `for await (const stream of listener)`. What is the same for listeners of TCP
 * and Unix streams.
 *
 * One operation goes on accepting by itself, from the first call on; what comes before it is asked
 * for waits in a bounded list, and is closed with the listener. Without descriptors or memory
 * {@link accept} rejects, an iteration waits, and both go on when there are some again.
 *
 * Belongs to the executor that made it, and must be closed; leaving an iteration does not. Until then it keeps
 * the program alive, as a server of `node:net` does, be anything accepted or not; see {@link unref}.
 */
export abstract class StreamListener<Stream extends StreamSocket, Where extends Address = Address>
  implements AsyncIterable<Stream>, AsyncDisposable
{
  /** What it is bound to, with the port that the kernel chose if it had to. */
  readonly address: Where
  readonly #net: NetRing
  readonly #target: Target
  readonly #operation: AcceptOperation
  readonly #waiters: WaitList<AcceptWaiter<Stream>>
  readonly #ready: number[] = []
  readonly #retry: RetryTimer
  #failure: Error | null = null
  #isArmed = false
  #isStopping = false
  #isReferenced = true
  /** Whether it keeps the program alive. */
  #isHolding = false
  #isServed = false
  #closed: ClosingWaiter | null = null
  /** Whether its name is being removed: until that is done it listens, so that nobody takes it for a stale one. */
  #isLeavingName = false
  /** The name by which other threads get a descriptor of its socket. */
  #shareName: number
  /** Whether another process may accept from its socket. */
  #isElsewhere: boolean

  /** @internal */
  constructor({
    net,
    fd,
    address,
    shareName = NOT_SHARED,
    isElsewhere = false,
  }: ListeningSocket<Where>) {
    this.#net = net
    this.#shareName = shareName
    this.#isElsewhere = isElsewhere
    this.#target = { fd, registered: false }
    this.address = address
    this.#operation = new AcceptOperation((result, flags) => this.#complete(result, flags))
    this.#retry = new RetryTimer(() => {
      if (this.#waiters.length > 0) this.#arm()
    }, UNREFERENCED)
    this.#waiters = new WaitList<AcceptWaiter<Stream>>({
      waiterLeft: () => this.#stopIfUnwanted(),
    })
    this.#updateHold()
  }

  /** @internal The stream of an accepted connection. */
  protected abstract wrap(socket: Socket): Stream

  /** @internal Removes what it is found by, while it still listens and no other does; null if that is nothing. Never rejects. */
  protected leaveName(): Promise<void> | null {
    return null
  }

  /** @internal The name by which other threads of the process get descriptors of its socket, from now on. */
  protected shareSocket(action: string): number {
    this.#net.executor.assertOpen(action)
    if (this.#closed !== null) throw handleClosed(action)
    if (!this.#isShared) {
      const { fd } = this.#target
      const name = this.#net.executor.descriptors.shareFd(fd)
      if (name < 0) throw kernelError(name, { syscall: 'share', fd })
      this.#shareName = name
      // It would go on taking what others wait for; who waits here gets one that does not.
      this.#stop()
    }
    return this.#shareName
  }

  /** @internal Another process is to have its socket. */
  [NOTE_SENT](): void {
    this.#isElsewhere = true
    // As for other threads.
    this.#stop()
  }

  /** @internal Whether another process may accept from its socket. */
  protected get isElsewhere(): boolean {
    return this.#isElsewhere
  }

  /** The number of its descriptor, for system calls of others; -1 once it is closed. */
  get fd(): number {
    return this.isClosed ? -1 : this.#target.fd
  }

  /** Whether it was closed, by itself or with its executor. */
  get isClosed(): boolean {
    return this.#closed !== null || this.#net.executor.isClosed
  }

  /**
   * The next connection. Callers are served in the order of their calls.
   *
   * @throws {KernelError} `EMFILE`, `ENFILE`, `ENOMEM` or `ENOBUFS` if the kernel cannot accept now: the
   * connection stays in its backlog, and calls that follow wait for a while.
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`
   */
  accept(options?: WaitOptions): Promise<Stream> {
    try {
      this.#net.executor.assertOpen('accept')
      const stream = this.#takeReady(options)
      if (stream !== null) return Promise.resolve(stream)
    } catch (error) {
      return refuse(error)
    }
    return this.#accept(new StreamWaiter<Stream>(this.#net.executor), options)
  }

  /** Connection after connection, until the listener is closed. */
  [Symbol.asyncIterator](): AsyncIterator<Stream, undefined> {
    return {
      next: () => this.#next(),
      return: () => Promise.resolve({ value: undefined, done: true }),
    }
  }

  /**
   * Stops listening; accepted streams live on. Pending calls of {@link accept} reject with
   * `ERR_HANDLE_CLOSED`, iterations end. Resolves when the descriptor is gone; again is nothing.
   */
  close(): Promise<void> {
    if (this.#closed !== null) return this.#closed.promise
    const { executor: current } = this.#net
    // It has closed its descriptors.
    if (current.isClosed) return Promise.resolve()
    this.#closed = new ClosingWaiter(current)
    this.#failure = handleClosed('accept')
    current.timers.disarm(this.#retry)
    this.#endWaiters()
    for (const fd of this.#ready) current.descriptors.closeFd(fd)
    this.#ready.length = 0
    const isSharing =
      this.#isShared && current.descriptors.leaveFd(this.#shareName, this.#target.fd)
    const leaving = isSharing ? null : this.leaveName()
    this.#isLeavingName = leaving !== null
    leaving?.then(() => {
      this.#isLeavingName = false
      this.#closeIfDone()
    })
    this.#updateHold()
    if (this.#isArmed) cancelOn(this.#net, this.#operation)
    else this.#closeIfDone()
    return this.#closed.promise
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** @internal One takes all connections from now on. @throws {RuntimeError} if it is closed, or others take some. */
  beginServing(action: string): void {
    this.#net.executor.assertOpen(action)
    if (this.#closed !== null) throw handleClosed(action)
    if (this.#isServed || this.#waiters.length > 0) {
      const user = this.#isServed ? 'it has a server' : 'somebody waits for its next connection'
      throw new RuntimeError(
        'ERR_STILL_HELD',
        `Cannot ${action} as its connections must be for nobody else: ${user}`,
      )
    }
    this.#isServed = true
  }

  /** @internal What was accepted, and nobody has asked for: it is the caller's. */
  takeAccepted(): Stream[] {
    const queue = this.#net.executor.currentQueue()
    return this.#ready.splice(0).map((fd) => this.#open(fd, queue))
  }

  /** Keeps the program alive until it is closed, as listeners do unless {@link unref} is called. */
  ref(): this {
    this.#isReferenced = true
    this.#updateHold()
    return this
  }

  /**
   * Lets the program end though it listens, and although callers of {@link accept} wait; while something
   * else keeps the program alive it accepts as before. Like `unref()` of a server of `node:net`.
   *
   * @example
   * ```ts run
   * import { TcpListener } from 'percore/net'
   *
   * const listener = (await TcpListener.bind({ port: 0 })).unref()
   * void listener.accept() // the program ends all the same
   * ```
   */
  unref(): this {
    this.#isReferenced = false
    this.#updateHold()
    return this
  }

  #next(): Promise<IteratorResult<Stream, undefined>> {
    try {
      this.#net.executor.assertOpen('accept')
      const stream = this.#takeReady(undefined)
      if (stream !== null) return Promise.resolve({ value: stream, done: false })
    } catch (error) {
      return refuse(error)
    }
    return this.#accept(new StepWaiter<Stream>(this.#net.executor), undefined)
  }

  /**
   * A connection that has come already, while the turn has budget: of many at once each would else leave
   * a waiter and its turn behind.
   *
   * @throws as {@link checkCancellation} does, and what makes no stream of it.
   */
  #takeReady(options: WaitOptions | undefined): Stream | null {
    const { executor: current } = this.#net
    if (this.#ready.length === 0 || !current.takeReadyBudget()) return null
    checkCancellation(current, options, 'accept')
    const fd = this.#ready.shift()!
    this.#armIfLow()
    return this.#open(fd, current.currentQueue())
  }

  #accept<T>(waiter: AcceptWaiter<Stream, T>, options: WaitOptions | undefined): Promise<T> {
    try {
      waiter.bindListed(this.#net.executor, options, 'accept')
    } catch (error) {
      return refuse(error)
    }
    const fd = this.#ready.shift()
    if (fd !== undefined) this.#grant(waiter as AcceptWaiter<Stream>, fd)
    else if (this.#failure !== null) waiter.end(this.#failure)
    else this.#waiters.push(waiter as AcceptWaiter<Stream>)
    this.#armIfLow()
    return waiter.promise
  }

  /** Closes the descriptor once nothing is in flight on it, and nobody finds it any more. */
  #closeIfDone(): void {
    if (this.#isArmed || this.#isLeavingName) return
    submitClose(this.#net, this.#target, this.#closed!)
    this.#updateHold()
  }

  #updateHold(): void {
    // While it closes, its accept is in the background, and the close not yet submitted.
    const isEnding = this.#isArmed || this.#isLeavingName
    const mustHold = this.#closed === null ? this.#isReferenced : isEnding
    if (mustHold === this.#isHolding) return
    this.#isHolding = mustHold
    const { liveness } = this.#net.executor
    if (mustHold) liveness.hold()
    else liveness.letGo()
  }

  get #isShared(): boolean {
    return this.#shareName !== NOT_SHARED
  }

  /** Whether others may wait for connections of the same socket. */
  get #isOneOfSeveral(): boolean {
    return this.#isElsewhere || this.#isShared
  }

  #armIfLow(): void {
    if (this.#failure !== null) return
    // What one of several takes ahead the others could serve now.
    const isWanted = this.#isOneOfSeveral
      ? this.#waiters.length > 0
      : this.#ready.length <= READY_LOW
    if (isWanted) this.#arm()
  }

  /** A caller has given up: what comes then is for other threads. */
  #stopIfUnwanted(): void {
    if (this.#isOneOfSeveral && this.#waiters.length === 0) this.#stop()
  }

  #stop(): void {
    if (!this.#isArmed || this.#isStopping) return
    this.#isStopping = true
    cancelOn(this.#net, this.#operation)
  }

  #arm(): void {
    if (this.#isArmed || this.#retry.isArmed) return
    const { ring } = this.#net
    let base: number
    try {
      base = ring.begin()
    } catch (error) {
      // Also while reaping, where nobody could catch it.
      this.#tellOne(error as Error)
      return
    }
    this.#isArmed = true
    // Of requests that wait on one socket the kernel wakes the first, and one that goes on keeps its place: it would
    // get every connection, also while its thread is busy. One that is made anew for each waits behind the others.
    encodeAccept(ring.sqes, base, { target: this.#target, multishot: !this.#isOneOfSeveral })
    // What keeps the program alive is the listener.
    ring.commitOpeningBackground(this.#operation)
  }

  #complete(result: number, flags: number): void {
    const wasStopping = this.#isStopping
    const isLast = (flags & IORING_CQE_F_MORE) === 0
    if (isLast) {
      this.#isArmed = false
      this.#isStopping = false
    }
    if (result >= 0) this.#deliver(result)
    if (!isLast) return
    if (this.#closed !== null) {
      this.#closeIfDone()
      return
    }
    if (result < 0 && !(result === -ECANCELED && wasStopping)) this.#fail(result)
    if (this.#waiters.length > 0) this.#arm()
  }

  /** The kernel could not accept: one caller is told, and the next try has to wait. */
  #fail(result: number): void {
    if (HARMLESS.includes(-result)) return
    const error = madeInTurn(
      kernelError(result, {
        syscall: 'accept',
        fd: this.#target.fd,
        address: formatAddress(this.address),
      }),
    )
    if (FATAL.includes(-result)) {
      this.#failure = error
      this.#endWaiters()
      return
    }
    this.#tellOne(error)
  }

  /** Fails the oldest waiter that has not been told yet; the next try comes later. */
  #tellOne(error: Error): void {
    this.#retry.schedule(this.#net.executor.timers)
    let waiter = this.#waiters.first
    while (waiter !== null && !waiter.isTold) waiter = waiter.behind as AcceptWaiter<Stream> | null
    if (waiter === null) return
    this.#waiters.remove(waiter)
    waiter.fail(error)
  }

  #endWaiters(): void {
    const failure = this.#failure!
    for (let next = this.#waiters.shift(); next !== null; next = this.#waiters.shift()) {
      next.end(failure)
    }
  }

  #deliver(fd: number): void {
    if (this.#closed !== null) {
      this.#net.executor.descriptors.closeFd(fd)
      return
    }
    const waiter = this.#waiters.shift()
    if (waiter !== null) {
      this.#grant(waiter, fd)
      return
    }
    this.#ready.push(fd)
    if (this.#ready.length >= READY_MAX) this.#stop()
  }

  #grant(waiter: AcceptWaiter<Stream>, fd: number): void {
    try {
      waiter.grant(this.#open(fd, waiter.queue))
    } catch (error) {
      waiter.fail(error)
    }
  }

  /** @throws what the first socket of a ring needs and does not get; the descriptor is closed then. */
  #open(fd: number, queue: TaskQueue): Stream {
    const { executor: current } = this.#net
    try {
      const socket = new Socket(netRingFor(current, queue), fd, null)
      socket.lookUpRemote()
      const { counters } = socket.net.home
      counters[COUNTER_CONNECTIONS]!++
      counters[COUNTER_ACCEPTS]!++
      return this.wrap(socket)
    } catch (error) {
      current.descriptors.closeFd(fd)
      throw error
    }
  }
}
