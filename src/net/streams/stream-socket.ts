import { isBytes, wrongBytes } from '../../base/index.ts'
import { refuse, type WaitOptions } from '../../executor/index.ts'
import { Lease } from '../../memory/index.ts'
import type { ByteSink, ByteSource } from '../../streams/index.ts'
import {
  type ChunkConsumer,
  Consumption,
  type LeaseConsumer,
  validateConsumer,
} from '../receiving/consumption.ts'
import { ChunkIterator, LeaseIterator } from '../receiving/read-iterators.ts'
import { READ_CHUNK, READ_INTO, READ_LEASE } from '../receiving/reads.ts'
import { shutDown } from '../sockets/shut-down.ts'
import type { Socket } from '../sockets/socket.ts'
import {
  applyBufferBytes,
  bufferBytesOf,
  RECEIVE_BUFFER,
  SEND_BUFFER,
} from '../sockets/stream-settings.ts'
import { type StreamTimeouts, StreamWatch } from '../sockets/stream-watch.ts'
import type { Address } from '../values/address.ts'

/** A consumer of what streams of a kind receive: chunks, or leases; see {@link StreamSocket.consume}. */
export type StreamConsumer<Stream extends StreamSocket = StreamSocket> =
  | ChunkConsumer<Stream>
  | LeaseConsumer<Stream>

/**
 * A connection that carries bytes both ways, in order: what is the same for TCP and Unix streams.
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
 */
export abstract class StreamSocket
  implements AsyncIterable<Uint8Array>, AsyncDisposable, ByteSource, ByteSink
{
  /** @internal */
  protected readonly socket: Socket

  /** @internal */
  constructor(socket: Socket) {
    this.socket = socket
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
    return readFrom(this.socket, READ_CHUNK, options, null) as Promise<Uint8Array | null>
  }

  /**
   * Borrows the next chunk, or null at the end of the stream: up to 16 KiB, of a busy stream up to 256 KiB.
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
    return readFrom(this.socket, READ_LEASE, options, null) as Promise<Lease | null>
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
    return readFrom(this.socket, READ_INTO, options, target) as Promise<number>
  }

  /**
   * Chunk by chunk until the end of the stream, each the caller's for good; leaving the loop does not
   * close the stream.
   */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return new ChunkIterator(this.socket.receiving())
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
    return new LeaseIterator(this.socket.receiving())
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
  consume(consumer: StreamConsumer<this>, options?: WaitOptions): void {
    validateConsumer('consume', consumer)
    if (this.socket.isClosing) throw this.socket.closedError('consume')
    this.socket.receiving().consume(new Consumption(this, consumer), options)
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
    if (this.socket.isClosing) return refuse(this.socket.closedError('write'))
    return this.socket.sending().write(data, options)
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

  /** Gives up what is unsent, and ends the connection. */
  abstract abort(): Promise<void>

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
    return shutDown(this.socket, options)
  }

  /**
   * Ends the connection: pending reads and writes reject with `ERR_HANDLE_CLOSED`, and what the kernel
   * has taken is still sent, unless the peer sent something that the kernel still holds: then it is
   * reset. Resolves when the descriptor is gone; again is nothing.
   */
  close(): Promise<void> {
    return this.socket.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** The number of its descriptor, for system calls of others; -1 once it is closed, or given away. */
  get fd(): number {
    return this.socket.isClosed ? -1 : this.socket.fd
  }

  /** Whether it was closed here, by itself or with its executor; not whether the peer has gone. */
  get isClosed(): boolean {
    return this.socket.isClosed
  }

  /** @throws {RuntimeError} `ERR_HANDLE_CLOSED` */
  abstract get localAddress(): Address

  /** The peer; null if it had gone before it could be asked. */
  abstract get remoteAddress(): Address | null

  /** Bytes received, be they read or not. */
  get bytesRead(): number {
    return this.socket.bytesRead
  }

  /** Bytes that the kernel has taken. */
  get bytesWritten(): number {
    return this.socket.bytesWritten
  }

  /** Has a read or consumer that waits keep the program alive, as they do unless {@link unref} is called. */
  ref(): this {
    this.socket.receiving().setReferenced(true)
    return this
  }

  /**
   * Lets the program end although a read or consumer waits; while something else keeps it alive they go on as
   * before. What is being written keeps it alive all the same. O(1), like `unref()` of a socket of `node:net`.
   */
  unref(): this {
    this.socket.receiving().setReferenced(false)
    return this
  }

  /**
   * Limits how long it may be without progress; what is not given stays as it is, and null is no limit, as streams begin.
   *
   * After `readMs` without data the read that waits rejects, or a consumption ends, with `ERR_TASK_TIMEOUT`; nothing is
   * lost, and the next read goes on. After `writeMs` in which the peer has taken nothing, the writes that wait reject with it, and as
   * with those that are cancelled: a write of which a part was sent is cut there. After `idleMs` without a byte in either
   * direction the stream is reset and closed, and who waits is rejected with it, a consumer told. Later calls reject
   * with `ERR_HANDLE_CLOSED`, of which it is the cause.
   *
   * Checked with one timer, by counts of bytes: up to a quarter late, never early, and free for streams without. While a consumer
   * takes a chunk, or a write stands in line for memory, it does not wait for the peer. Not taken along by {@link TcpStream.detach}.
   *
   * @throws {RangeError} for limits that are not above 0 and finite; {@link TypeError} for options that are not known.
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`
   *
   * @example Give up on a peer that says nothing
   * ```ts run
   * import { TcpListener, TcpStream } from 'percore/net'
   *
   * await using listener = await TcpListener.bind({ port: 0 })
   * await using client = await TcpStream.connect({ port: listener.address.port })
   * client.setTimeouts({ readMs: 20, idleMs: 60_000 })
   * await client.read().catch((error) => console.log(error.code)) // ERR_TASK_TIMEOUT
   * ```
   */
  setTimeouts(timeouts: StreamTimeouts): void {
    if (this.socket.isClosing) throw this.socket.closedError('set timeouts')
    const watch = this.socket.watch ?? new StreamWatch(this.socket)
    // First, as it may find one over that is not given, and close.
    this.socket.watch = watch
    watch.set(timeouts)
  }

  /** What the kernel holds for the reader; it doubles the value, for its own bookkeeping. */
  setReceiveBufferBytes(bytes: number): void {
    applyBufferBytes(this.socket, RECEIVE_BUFFER, bytes)
  }

  /** What the kernel holds for the peer; it doubles the value, for its own bookkeeping. */
  setSendBufferBytes(bytes: number): void {
    applyBufferBytes(this.socket, SEND_BUFFER, bytes)
  }

  receiveBufferBytes(): number {
    return bufferBytesOf(this.socket, RECEIVE_BUFFER)
  }

  sendBufferBytes(): number {
    return bufferBytesOf(this.socket, SEND_BUFFER)
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
