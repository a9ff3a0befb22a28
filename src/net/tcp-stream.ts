import {
  isBytes,
  optionNames,
  showAs,
  validateBoolean,
  validateOptions,
  wrongBytes,
} from '../base/index.ts'
import {
  checkCancellation,
  executor,
  refusalOf,
  refuse,
  type WaitOptions,
} from '../executor/index.ts'
import { Lease } from '../memory/index.ts'
import type { ByteSink, ByteSource } from '../streams/index.ts'
import { formatAddress, type SocketAddress, validateEndpoint, validateFamily } from './address.ts'
import { connectFirst } from './connect-race.ts'
import {
  type ChunkConsumer,
  Consumption,
  type LeaseConsumer,
  validateConsumer,
} from './consumption.ts'
import { adoptSocket, detachSocket, discardTicket } from './hand-over.ts'
import { netRingFor } from './net-ring.ts'
import { ChunkIterator, LeaseIterator } from './read-iterators.ts'
import { READ_CHUNK, READ_INTO, READ_LEASE } from './reads.ts'
import { remainingOptions, resolveHost } from './resolve.ts'
import { shutDown } from './shut-down.ts'
import type { Socket } from './socket.ts'
import { setLinger } from './socket-options.ts'
import {
  applyBufferBytes,
  applyKeepAlive,
  applyLinger,
  applyNoDelay,
  bufferBytesOf,
  RECEIVE_BUFFER,
  SEND_BUFFER,
} from './stream-settings.ts'
import type { DetachOptions, TcpStreamTicket } from './stream-ticket.ts'

/** Where to connect to, and for how long to try. */
export interface ConnectOptions extends WaitOptions {
  /** An address or a name; `localhost` if not given. */
  readonly host?: string
  readonly port: number
  /** Restricts the look-up of a name, so that the address of a listener or stream can be given as it is; any if not given. */
  readonly family?: SocketAddress['family']
  /** Whether to send small writes at once (TCP_NODELAY); true if not given, unlike in `node:net`. */
  readonly noDelay?: boolean
}

const CONNECT_NAMES = optionNames<ConnectOptions>({
  host: true,
  port: true,
  family: true,
  noDelay: true,
  signal: true,
  timeoutMs: true,
})

/** A consumer of what a stream receives: chunks, or leases; see {@link TcpStream.consume}. */
export type StreamConsumer = ChunkConsumer<TcpStream> | LeaseConsumer<TcpStream>

/**
 * A TCP connection.
 *
 * **Reading.** What {@link read} and iterating give is the caller's for good. What has come is given at
 * once, up to 64 KiB a chunk. {@link readLease}, {@link leases} and a consumer with `onLease` borrow the
 * memory that the kernel wrote to instead, which spares the copy; see {@link Lease}. There is one reader at
 * a time. A read that is cancelled or times out loses no data. A stream that nobody reads stops
 * receiving once 256 KiB are held for it and what was on its way then has come (at most 1 MiB more), so that its
 * peer has to wait. Many idle streams are best read by {@link consume}.
 *
 * **Writing.** {@link write} resolves when the kernel has taken all bytes; until then the data must
 * not be changed. Writes go out in the order of the calls, small ones that wait together. Leases are
 * sent without a copy, be they on chunks of this or another stream, or allocated.
 *
 * A stream is a source and a sink of `percore/streams` too: {@link pull}, {@link push} and {@link end} are what readers
 * of lines, pipes and adapters call.
 *
 * Belongs to the executor that made it. One made in a latency-sensitive task queue uses the latency
 * ring for good. A stream must be closed; breaking out of an iteration does not.
 *
 * @example Ask, and read the answer
 * ```ts run
 * import { TcpListener, TcpStream } from 'percore/net'
 *
 * await using listener = await TcpListener.bind({ port: 0 })
 * const accepting = listener.accept()
 * await using client = await TcpStream.connect({ port: listener.address.port })
 * await using server = await accepting
 * await client.write(new TextEncoder().encode('ping'))
 * const chunk = await server.read()
 * console.log(chunk?.length)
 * ```
 */
export class TcpStream implements AsyncIterable<Uint8Array>, AsyncDisposable, ByteSource, ByteSink {
  static {
    showAs(TcpStream, (stream) => {
      const remote = stream.remoteAddress
      const peer = remote === null ? 'unknown peer' : formatAddress(remote)
      return `TcpStream ${peer} ${stream.isClosed ? 'closed' : 'open'}`
    })
  }

  readonly #socket: Socket

  /** @internal */
  constructor(socket: Socket) {
    this.#socket = socket
  }

  /**
   * Connects to the address of the host that answers first.
   *
   * Its addresses are tried in turn, IPv6 and IPv4 alternating, each as soon as the one before has failed, or
   * beside it after 250 ms (RFC 8305). All others are closed then.
   *
   * @throws {KernelError} of the first address, such as `ECONNREFUSED`, with an `AggregateError` of all
   * that were tried as its cause if they are several; what the look-up throws.
   * @throws {RuntimeError} `ERR_TASK_TIMEOUT` after `timeoutMs`, all addresses together.
   * @throws {TypeError | RangeError} for options of the wrong kind.
   */
  static async connect(options: ConnectOptions): Promise<TcpStream> {
    const action = 'connect'
    validateOptions(action, options, CONNECT_NAMES)
    const { host = 'localhost', port, family, noDelay = true, signal, timeoutMs } = options
    validateEndpoint(action, host, port, 1)
    validateFamily(action, family, host)
    validateBoolean(action, 'noDelay', noDelay)
    const refusal = refusalOf(action)
    if (refusal !== null) return refusal
    const current = executor()
    const net = netRingFor(current, current.currentQueue())
    const startNs = current.nowNs()
    const wait = { signal, timeoutMs }
    checkCancellation(current, wait, action)
    const addresses = await resolveHost(current, { host, port, family }, wait)
    const left = remainingOptions(current, wait, startNs, action)
    const whole = `connect to ${host}, port ${port}`
    const race = { net, addresses, noDelay, options: left, action: whole }
    return new TcpStream(await connectFirst(race))
  }

  /**
   * Takes over a connection that another thread of the process has given away: see {@link detach}.
   *
   * What had come there is read first, in order. The counts of bytes go on, and options that were set stay.
   *
   * @throws {RuntimeError} `ERR_TICKET_SPENT` unless the ticket is good, which it is once: it was adopted or discarded,
   * the thread that made it has ended, or it is of another process. `ERR_EXECUTOR_CLOSED`; what the first socket of a
   * thread needs and does not get, and then the ticket is still good.
   * @throws {TypeError | RangeError} for what is no ticket.
   */
  static adopt(ticket: TcpStreamTicket): TcpStream {
    return new TcpStream(adoptSocket(ticket))
  }

  /**
   * Closes the connection of a ticket that nobody is to adopt any more, on any thread; false if it was adopted, or
   * is closed already. Attaches no executor.
   *
   * @throws {TypeError | RangeError} for what is no ticket.
   */
  static discard(ticket: TcpStreamTicket): boolean {
    return discardTicket(ticket)
  }

  /**
   * The next chunk, which is the caller's for good, or null at the end of the stream.
   *
   * Copies what has come, up to 64 KiB.
   *
   * @throws {KernelError} such as `ECONNRESET`.
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`; `ERR_STILL_HELD` while another read is pending.
   */
  read(options?: WaitOptions): Promise<Uint8Array | null> {
    return readFrom(this.#socket, READ_CHUNK, options, null) as Promise<Uint8Array | null>
  }

  /**
   * Borrows the next chunk, up to 16 KiB, or null at the end of the stream.
   *
   * The lease is the caller's to release (`using`). It holds memory that is there for all streams of the
   * thread: while leases hold half of that, further ones are on copies, so that others go on.
   *
   * @throws as {@link read}.
   *
   * @example Pass on what comes, without a copy
   * ```ts run
   * import { TcpListener, TcpStream } from 'percore/net'
   *
   * await using listener = await TcpListener.bind({ port: 0 })
   * const accepting = listener.accept()
   * await using client = await TcpStream.connect({ port: listener.address.port })
   * await using server = await accepting
   * await client.write(new TextEncoder().encode('ping'))
   * using lease = await server.readLease()
   * if (lease !== null) await server.write(lease)
   * console.log((await client.read())?.length)
   * ```
   */
  readLease(options?: WaitOptions): Promise<Lease | null> {
    return readFrom(this.#socket, READ_LEASE, options, null) as Promise<Lease | null>
  }

  /**
   * Copies what has come into `target`, as much as fits, once there is something; the count of bytes,
   * 0 at the end.
   *
   * @throws as {@link read}; {@link RangeError} if `target` is empty; `ERR_BUFFER_RELEASED` if its memory
   * is gone when there is something, which then stays for the next read.
   */
  readInto(target: Uint8Array, options?: WaitOptions): Promise<number> {
    if (!isBytes(target)) {
      return Promise.reject(wrongBytes('read', 'target', target))
    }
    if (target.length === 0) {
      return Promise.reject(
        new RangeError('Cannot read as target must not be empty: it has 0 bytes'),
      )
    }
    return readFrom(this.#socket, READ_INTO, options, target) as Promise<number>
  }

  /**
   * Chunk by chunk until the end of the stream, each the caller's for good; leaving the loop does not
   * close the stream.
   */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return new ChunkIterator(this.#socket.receiving())
  }

  /**
   * The same with leases, without copies: each is released with the next step, or the end of the loop.
   *
   * What a lease was written to keeps its memory as long as it takes.
   *
   * @example Count what comes
   * ```ts run
   * import { TcpListener, TcpStream } from 'percore/net'
   *
   * await using listener = await TcpListener.bind({ port: 0 })
   * const accepting = listener.accept()
   * const client = await TcpStream.connect({ port: listener.address.port })
   * await using server = await accepting
   * await client.write(new TextEncoder().encode('ping'))
   * await client.close()
   * let count = 0
   * for await (const lease of server.leases()) count += lease.lengthBytes
   * console.log(count)
   * ```
   */
  leases(): AsyncIterableIterator<Lease, undefined> {
    return new LeaseIterator(this.#socket.receiving())
  }

  /**
   * Hands every chunk, or a lease on it, to `consumer`, one at a time, until the end of the stream: for
   * services with many connections that are mostly idle. A stream that waits so holds neither a promise nor a
   * suspended function, and less than half of the memory.
   *
   * The consumer is called in turns of the caller's task queue, as work of the caller's task and in its
   * asynchronous context, never before this returns. Each turn of the stream is one chunk, so that one
   * which always has data lets others go on. Until `onEnd` the consumer is the stream's reader, and
   * other reads are refused.
   *
   * It ends, and `onEnd` is called, at the end of the stream, by its close, with a failure, and when the
   * signal is aborted, `timeoutMs` from now have passed or the task is cancelled; in any case once the
   * chunk that is being taken is done with. What has come and was not handed over is the next
   * reader's. Like leaving a loop, ending does not close the stream.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`; `ERR_STILL_HELD` while the stream has a reader;
   * `ERR_EXECUTOR_CLOSED`.
   * @throws The signal's reason if it is aborted; `ERR_TASK_CANCELLED` if the task is.
   * @throws {TypeError | RangeError} for arguments of the wrong kind.
   *
   * @example Echo to whoever may come
   * ```ts run
   * import { type StreamConsumer, TcpListener, TcpStream } from 'percore/net'
   *
   * const echo: StreamConsumer = {
   *   onLease: (lease, stream) => stream.write(lease),
   *   onEnd: (_error, stream) => stream.close(),
   * }
   *
   * async function listen(listener: TcpListener): Promise<void> {
   *   for await (const stream of listener) stream.consume(echo)
   * }
   *
   * await using listener = await TcpListener.bind({ port: 0 })
   * void listen(listener)
   * await using client = await TcpStream.connect({ port: listener.address.port })
   * await client.write(new Uint8Array([1, 2, 3]))
   * console.log(await client.read())
   * ```
   */
  consume(consumer: StreamConsumer, options?: WaitOptions): void {
    validateConsumer('consume', consumer)
    if (this.#socket.isClosing) throw this.#socket.closedError('consume')
    this.#socket.receiving().consume(new Consumption(this, consumer), options)
  }

  /**
   * Sends all of `data`, which must not be changed until then. A lease may be released at once: its memory
   * stays until it is sent, without a copy. The bytes of a lease, given without it, are copied at once.
   * It waits its turn where there is no memory to copy to, however much is held by others.
   *
   * A write that is cancelled or times out before any of it was sent is withdrawn. If a part was sent
   * it is cut there, and the stream refuses further writes: the peer could not make sense of them.
   *
   * @throws {KernelError} such as `EPIPE` or `ECONNRESET`.
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED` once closed, shut down or cut; `ERR_BUFFER_RELEASED` if the
   * memory of `data` is gone when it is its turn.
   */
  write(data: Uint8Array | Lease, options?: WaitOptions): Promise<void> {
    if (this.#socket.isClosing) return refuse(this.#socket.closedError('write'))
    return this.#socket.sending().write(data, options)
  }

  /** {@link readLease}, by the name that a source has for it. */
  pull(options?: WaitOptions): Promise<Lease | null> {
    return this.readLease(options)
  }

  /** {@link write}, as a sink has it: a lease is the stream's from the call on, and released by it. */
  push(data: Uint8Array | Lease, options?: WaitOptions): Promise<void> {
    const written = this.write(data, options)
    // What is being sent keeps its memory.
    if (data instanceof Lease) data.release()
    return written
  }

  /** {@link shutdown}, by the name that a sink has for it; reading goes on. */
  end(options?: WaitOptions): Promise<void> {
    return this.shutdown(options)
  }

  /** {@link reset}, by the name that a sink has for it: the peer does not take what has come for the whole. */
  abort(): Promise<void> {
    return this.reset()
  }

  /**
   * Tells the peer that no more is coming, after all that was written; reading goes on.
   *
   * From the call on writes are refused. If it is cancelled or times out while earlier ones are being
   * sent these go on, and the peer is told nothing: call it again, or close.
   *
   * If the peer has left already it resolves, as there is nobody to be told.
   *
   * @throws {KernelError} that of a write before it which failed.
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED` if closed, or cut by a write before it.
   */
  shutdown(options?: WaitOptions): Promise<void> {
    return shutDown(this.#socket, options)
  }

  /**
   * Gives the connection away, to another thread of this process: posts nothing, but resolves to a ticket, plain data,
   * that {@link TcpStream.adopt} makes a stream of there.
   *
   * From the call on nobody else may read or write. Waits until what was written is with the kernel, then stops receiving;
   * what has come by then goes with the ticket, at most 1.25 MiB, and what comes later waits in the kernel. Nothing is
   * lost or doubled, and the peer sees nothing of it. Here the stream is then closed, and all that it was asked for
   * is `ERR_HANDLE_CLOSED`; leases on what it had received stay good.
   *
   * Whoever has the ticket is responsible: one that was not adopted keeps the connection open until it is
   * {@link discard}ed, or this thread ends (see {@link DetachOptions.outlivesThread}).
   *
   * If it fails, by its signal or time limit or that of a write, the stream is here as before.
   *
   * @throws {RuntimeError} `ERR_STILL_HELD` while a read is pending, a consumer is at it, or a shutdown under
   * way; `ERR_HANDLE_CLOSED`, also if it is closed meanwhile; `ERR_EXECUTOR_CLOSED`.
   * @throws {KernelError} that of a write before it which failed.
   *
   * @example Look at the first bytes, and let another thread do the rest
   * ```ts run
   * import { TcpListener, TcpStream } from 'percore/net'
   *
   * await using listener = await TcpListener.bind({ port: 0 })
   * const accepting = listener.accept()
   * await using client = await TcpStream.connect({ port: listener.address.port })
   * await client.write(new TextEncoder().encode('ping'))
   * const stream = await accepting
   * const chunk = await stream.read()
   * const ticket = await stream.detach()
   * const posted = structuredClone({ chunk, ticket }) // as worker.postMessage() does
   *
   * // On the other thread:
   * await using adopted = TcpStream.adopt(posted.ticket)
   * await adopted.write(posted.chunk!)
   * console.log((await client.read())?.length)
   * ```
   */
  detach(options: DetachOptions = {}): Promise<TcpStreamTicket> {
    return detachSocket(this.#socket, options)
  }

  /**
   * Ends the connection: pending reads and writes reject with `ERR_HANDLE_CLOSED`, and what the kernel
   * has taken is still sent, unless the peer sent something that the kernel still holds: then it is
   * reset. Resolves when the descriptor is gone; again is nothing.
   */
  close(): Promise<void> {
    return this.#socket.close()
  }

  /** Closes it at once and drops what is unsent; the peer's reads fail with `ECONNRESET`. */
  reset(): Promise<void> {
    const { isClosed, fd, net } = this.#socket
    if (!isClosed) setLinger(net.executor.kernel, fd, 0)
    return this.#socket.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Whether it was closed here, by itself or with its executor; not whether the peer has gone. */
  get isClosed(): boolean {
    return this.#socket.isClosed
  }

  /** @throws {RuntimeError} `ERR_HANDLE_CLOSED` */
  get localAddress(): SocketAddress {
    return this.#socket.localAddress
  }

  /** The peer; null if it had gone before it could be asked. */
  get remoteAddress(): SocketAddress | null {
    return this.#socket.remoteAddress
  }

  /** Bytes received, be they read or not. */
  get bytesRead(): number {
    return this.#socket.bytesRead
  }

  /** Bytes that the kernel has taken. */
  get bytesWritten(): number {
    return this.#socket.bytesWritten
  }

  /** Sends small writes at once (true, as streams are made), or lets the kernel gather them. */
  setNoDelay(enabled: boolean): void {
    applyNoDelay(this.#socket, enabled)
  }

  /** Probes an idle peer; `delayMs`, rounded up to a second, before the first probe. */
  setKeepAlive(enabled: boolean, delayMs = 0): void {
    applyKeepAlive(this.#socket, enabled, delayMs)
  }

  /** How long the kernel goes on sending after a close, in seconds; null for its own choice. */
  setLinger(seconds: number | null): void {
    applyLinger(this.#socket, seconds)
  }

  /** What the kernel holds for the reader; it doubles the value, for its own bookkeeping. */
  setReceiveBufferBytes(bytes: number): void {
    applyBufferBytes(this.#socket, RECEIVE_BUFFER, bytes)
  }

  /** What the kernel holds for the peer; it doubles the value, for its own bookkeeping. */
  setSendBufferBytes(bytes: number): void {
    applyBufferBytes(this.#socket, SEND_BUFFER, bytes)
  }

  receiveBufferBytes(): number {
    return bufferBytesOf(this.#socket, RECEIVE_BUFFER)
  }

  sendBufferBytes(): number {
    return bufferBytesOf(this.#socket, SEND_BUFFER)
  }
}

// Functions, not private methods: V8 gives an object that has any a word more.

function readFrom(
  socket: Socket,
  want: number,
  options: WaitOptions | undefined,
  into: Uint8Array | null,
): Promise<unknown> {
  if (socket.isClosing) return refuse(socket.closedError('read'))
  return socket.receiving().read(want, options, into)
}
