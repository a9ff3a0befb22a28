import { assert, showAs } from '../base/index.ts'
import {
  ClosingWaiter,
  checkCancellation,
  executor,
  madeInTurn,
  refusalOf,
  refuse,
  type TaskQueue,
  WaitList,
  type WaitOptions,
} from '../executor/index.ts'
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
} from '../kernel/index.ts'
import { RetryTimer } from '../reactor/index.ts'
import { encodeAccept, type Target } from '../ring/index.ts'
import { COUNTER_ACCEPTS, COUNTER_CONNECTIONS } from '../stats/index.ts'
import { AcceptOperation } from './accept-operation.ts'
import { type AcceptWaiter, StepWaiter, StreamWaiter } from './accept-waiter.ts'
import { formatAddress, parseAddress, type SocketAddress } from './address.ts'
import { listen } from './bind-listener.ts'
import { openStreamSocket } from './connect.ts'
import { type ListenerConfiguration, type ListenOptions, readListenOptions } from './listen.ts'
import { type NetRing, netRingFor } from './net-ring.ts'
import { resolveHost } from './resolve.ts'
import { joinListener, type TcpListenerShare, validateShare } from './share-listener.ts'
import { cancelOn, handleClosed, Socket, submitClose } from './socket.ts'
import { TcpStream } from './tcp-stream.ts'

/** Accepted connections that nobody has asked for yet; beyond that they stay with the kernel. */
const READY_MAX = 128
const READY_LOW = 32
/** How long to leave the kernel alone after it could not accept, for want of descriptors or memory. */
const FATAL: readonly number[] = [EBADF, ECANCELED, EFAULT, EINVAL, ENOTSOCK, EOPNOTSUPP]
const HARMLESS: readonly number[] = [EAGAIN, EINTR, ECONNABORTED]
const UNREFERENCED = { keepsAlive: false }
const NOT_SHARED = -1

/**
 * Accepts TCP connections: by {@link accept}, or `for await (const stream of listener)`.
 *
 * One operation goes on accepting by itself, from the first call on; what comes before it is asked
 * for waits in a bounded list, and is closed with the listener. Without descriptors or memory
 * {@link accept} rejects, an iteration waits, and both go on when there are some again.
 *
 * Belongs to the executor that made it, and must be closed; leaving an iteration does not. Until then it keeps
 * the program alive, as a server of `node:net` does, be anything accepted or not; see {@link unref}.
 *
 * @example Echo
 * ```ts run
 * import { TcpListener, TcpStream } from 'percore/net'
 *
 * async function serve(stream: TcpStream): Promise<void> {
 *   await using owned = stream
 *   for await (const chunk of owned) await owned.write(chunk)
 * }
 *
 * async function listen(listener: TcpListener): Promise<void> {
 *   for await (const stream of listener) void serve(stream)
 * }
 *
 * await using listener = await TcpListener.bind({ port: 0 })
 * void listen(listener)
 * await using client = await TcpStream.connect({ port: listener.address.port })
 * await client.write(new Uint8Array([1, 2, 3]))
 * console.log(await client.read())
 * ```
 */
export class TcpListener implements AsyncIterable<TcpStream>, AsyncDisposable {
  static {
    showAs(
      TcpListener,
      (listener) =>
        `TcpListener ${formatAddress(listener.address)} ${listener.isClosed ? 'closed' : 'listening'}`,
    )
  }

  /** What it is bound to, with the port that the kernel chose if it had to. */
  readonly address: SocketAddress
  readonly #net: NetRing
  readonly #target: Target
  readonly #operation: AcceptOperation
  readonly #waiters: WaitList<AcceptWaiter<unknown>>
  readonly #ready: number[] = []
  readonly #retry: RetryTimer
  #failure: Error | null = null
  #isArmed = false
  #isStopping = false
  #isReferenced = true
  /** Whether it keeps the program alive. */
  #isHolding = false
  #closed: ClosingWaiter | null = null
  /** The name by which other threads get a descriptor of its socket. */
  #shareName: number

  /** Takes over `fd`, which is tracked already. */
  private constructor(net: NetRing, fd: number, address: SocketAddress, shareName = NOT_SHARED) {
    this.#net = net
    this.#shareName = shareName
    this.#target = { fd, registered: false }
    this.address = address
    this.#operation = new AcceptOperation((result, flags) => this.#complete(result, flags))
    this.#retry = new RetryTimer(() => {
      if (this.#waiters.length > 0) this.#arm()
    }, UNREFERENCED)
    this.#waiters = new WaitList<AcceptWaiter<unknown>>({
      waiterLeft: () => this.#stopIfUnwanted(),
    })
    this.#updateHold()
  }

  /**
   * Listens.
   *
   * @throws {KernelError} such as `EADDRINUSE`, `EACCES`; what the look-up of a name throws.
   * @throws {RuntimeError} `ERR_TASK_TIMEOUT` after `timeoutMs`.
   * @throws {TypeError | RangeError} for options of the wrong kind.
   */
  static async bind(options: ListenOptions): Promise<TcpListener> {
    const action = 'listen'
    const configuration = readListenOptions(action, options)
    const { host, port, family } = configuration
    const { signal, timeoutMs } = options
    const refusal = refusalOf(action)
    if (refusal !== null) return refusal
    const current = executor()
    const wait = { signal, timeoutMs }
    checkCancellation(current, wait, action)
    const [address] = await resolveHost(current, { host, port, family }, wait)
    assert(address !== undefined, 'a host that was found has an address')
    try {
      return TcpListener.#begin(address, configuration)
    } catch (error) {
      return refuse(error)
    }
  }

  /**
   * The same at once, for a literal address: whoever calls it can ask for its port in the next line.
   *
   * @throws as {@link bind} does; {@link RangeError} for a host that would have to be looked up.
   */
  static bindNow(options: Omit<ListenOptions, keyof WaitOptions>): TcpListener {
    const configuration = readListenOptions('listen', options)
    const { host, port } = configuration
    const address = parseAddress(host, port)
    if (address !== null) return TcpListener.#begin(address, configuration)
    throw new RangeError(`Cannot listen now as host must be an address: current value is ${host}`)
  }

  /** @throws {KernelError} */
  static #begin(address: SocketAddress, configuration: ListenerConfiguration): TcpListener {
    const current = executor()
    const net = netRingFor(current, current.currentQueue())
    const fd = openStreamSocket(current, address)
    try {
      return new TcpListener(net, fd, listen(current, fd, address, configuration))
    } catch (error) {
      current.descriptors.closeFd(fd)
      throw error
    }
  }

  /**
   * A listener of this thread on a socket that another listener of the process is bound to, and {@link share}s.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED` once all that share the socket are closed; `ERR_EXECUTOR_CLOSED`.
   * @throws {KernelError} `EMFILE`
   * @throws {TypeError | RangeError} for what is no share.
   */
  static adopt(share: TcpListenerShare): TcpListener {
    const action = 'adopt a listener'
    validateShare(action, share)
    const current = executor()
    current.assertOpen(action)
    const net = netRingFor(current, current.currentQueue())
    const { fd, address } = joinListener(current, share, action)
    return new TcpListener(net, fd, address, share.name)
  }

  /**
   * Lets other threads of the process accept from the same socket: posts nothing, but returns plain data, which
   * {@link TcpListener.adopt} makes a listener of, as often as asked, while one that shares the socket is open.
   *
   * All of them are equal from then on: each is closed by itself, and by the end of its thread, and the others accept on.
   * With the last one the socket is closed. A connection goes to a thread that waits for one, in turns: one that is
   * busy takes none, unlike with `reusePort`, and one that ends loses none that others could still accept. In exchange
   * accepting costs a request for each connection.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`, `ERR_EXECUTOR_CLOSED`.
   *
   * @example Bind once, accept on every thread
   * ```ts run
   * import { TcpListener, TcpStream } from 'percore/net'
   *
   * await using listener = await TcpListener.bind({ port: 0 })
   * const posted = structuredClone(listener.share()) // as worker.postMessage(), or workerData, does
   *
   * // On the other thread:
   * await using other = TcpListener.adopt(posted)
   * const accepting = other.accept()
   * await using client = await TcpStream.connect({ port: other.address.port })
   * await using stream = await accepting
   * console.log(stream.remoteAddress?.port === client.localAddress.port)
   * ```
   */
  share(): TcpListenerShare {
    const action = 'share a listener'
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
    return { kind: 'TcpListener', name: this.#shareName, address: this.address }
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
  accept(options?: WaitOptions): Promise<TcpStream> {
    try {
      this.#net.executor.assertOpen('accept')
      const stream = this.#takeReady(options)
      if (stream !== null) return Promise.resolve(stream)
    } catch (error) {
      return refuse(error)
    }
    return this.#accept(new StreamWaiter(this.#net.executor), options)
  }

  /** Connection after connection, until the listener is closed. */
  [Symbol.asyncIterator](): AsyncIterator<TcpStream, undefined> {
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
    if (this.#isShared) current.descriptors.leaveFd(this.#shareName, this.#target.fd)
    this.#updateHold()
    if (this.#isArmed) {
      cancelOn(this.#net, this.#operation)
    } else {
      submitClose(this.#net, this.#target, this.#closed)
    }
    return this.#closed.promise
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
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

  #next(): Promise<IteratorResult<TcpStream, undefined>> {
    try {
      this.#net.executor.assertOpen('accept')
      const stream = this.#takeReady(undefined)
      if (stream !== null) return Promise.resolve({ value: stream, done: false })
    } catch (error) {
      return refuse(error)
    }
    return this.#accept(new StepWaiter(this.#net.executor), undefined)
  }

  /**
   * A connection that has come already, while the turn has budget: of many at once each would else leave
   * a waiter and its turn behind.
   *
   * @throws as {@link checkCancellation} does, and what makes no stream of it.
   */
  #takeReady(options: WaitOptions | undefined): TcpStream | null {
    const { executor: current } = this.#net
    if (this.#ready.length === 0 || !current.takeReadyBudget()) return null
    checkCancellation(current, options, 'accept')
    const fd = this.#ready.shift()!
    this.#armIfLow()
    return this.#open(fd, current.currentQueue())
  }

  #accept<T>(waiter: AcceptWaiter<T>, options: WaitOptions | undefined): Promise<T> {
    try {
      waiter.bindListed(this.#net.executor, options, 'accept')
    } catch (error) {
      return refuse(error)
    }
    const fd = this.#ready.shift()
    if (fd !== undefined) this.#grant(waiter as AcceptWaiter<unknown>, fd)
    else if (this.#failure !== null) waiter.end(this.#failure)
    else this.#waiters.push(waiter as AcceptWaiter<unknown>)
    this.#armIfLow()
    return waiter.promise
  }

  #updateHold(): void {
    // While it closes, its accept is in the background, and the close not yet submitted.
    const mustHold = this.#closed === null ? this.#isReferenced : this.#isArmed
    if (mustHold === this.#isHolding) return
    this.#isHolding = mustHold
    const { liveness } = this.#net.executor
    if (mustHold) liveness.hold()
    else liveness.letGo()
  }

  get #isShared(): boolean {
    return this.#shareName !== NOT_SHARED
  }

  #armIfLow(): void {
    if (this.#failure !== null) return
    // What one of several takes ahead the others could serve now.
    const isWanted = this.#isShared ? this.#waiters.length > 0 : this.#ready.length <= READY_LOW
    if (isWanted) this.#arm()
  }

  /** A caller has given up: what comes then is for other threads. */
  #stopIfUnwanted(): void {
    if (this.#isShared && this.#waiters.length === 0) this.#stop()
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
    encodeAccept(ring.sqes, base, { target: this.#target, multishot: !this.#isShared })
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
      submitClose(this.#net, this.#target, this.#closed)
      this.#updateHold()
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
    while (waiter !== null && !waiter.isTold) waiter = waiter.behind as AcceptWaiter<unknown> | null
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

  #grant(waiter: AcceptWaiter<unknown>, fd: number): void {
    try {
      waiter.grant(this.#open(fd, waiter.queue))
    } catch (error) {
      waiter.fail(error)
    }
  }

  /** @throws what the first socket of a ring needs and does not get; the descriptor is closed then. */
  #open(fd: number, queue: TaskQueue): TcpStream {
    const { executor: current } = this.#net
    try {
      const socket = new Socket(netRingFor(current, queue), fd, null)
      socket.lookUpRemote()
      const { counters } = socket.net.home
      counters[COUNTER_CONNECTIONS]!++
      counters[COUNTER_ACCEPTS]!++
      return new TcpStream(socket)
    } catch (error) {
      current.descriptors.closeFd(fd)
      throw error
    }
  }
}
