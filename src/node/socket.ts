import { channel } from 'node:diagnostics_channel'
import type { AddressInfo, BlockList, Server, SocketReadyState } from 'node:net'
import { Duplex } from 'node:stream'
import { RuntimeError } from '../base/index.ts'
import { EALREADY, EISCONN, kernelError } from '../kernel/index.ts'
import { type SocketAddress, StreamSocket, TcpStream } from '../net/index.ts'
import { type Listener, readArguments, refuseOptions } from './arguments.ts'
import { type ConnectOptions, type Destination, readDestination } from './connect-options.ts'
import { Connecting } from './connecting.ts'
import { Ends } from './ends.ts'
import {
  abortError,
  asError,
  nodeError,
  placeError,
  systemError,
  throwUncaught,
  wrongArgument,
} from './errors.ts'
import { IdleTimeout, validateTimeout } from './idle-timeout.ts'
import { type OnReadOptions, Reading } from './reading.ts'
import type { AcceptedOptions, CountingServer, SocketOptions } from './socket-options.ts'
import {
  closedError,
  familyOf,
  readBlockList,
  refuseWrites,
  toAddressInfo,
} from './socket-parts.ts'
import { StreamSettings } from './stream-settings.ts'
import { type Callback, Writing } from './writing.ts'

const clientSockets = channel('net.client.socket')

/**
 * A socket that does what `net.Socket` does, on percore's sockets: what runs on the one runs on the other.
 *
 * A `Duplex` with the methods, properties, events and errors of `net.Socket`, over TCP and Unix sockets. Chunks are the listener's for good.
 * A listener or reader that is slow makes the peer wait; `write()` returns false, and 'drain' is emitted, by
 * `highWaterMark`. What is written must not be changed before its callback is called. Writes that are corked, or made
 * while another is under way, go out together.
 *
 * Belongs to the executor of its thread. It keeps the program alive while it is open, unless {@link unref} is called.
 *
 * @example
 * ```ts run
 * import { once } from 'node:events'
 * import type { AddressInfo } from 'node:net'
 * import { createServer, Socket } from 'percore/node'
 *
 * const server = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
 * await once(server, 'listening')
 * const client = new Socket().connect((server.address() as AddressInfo).port, '127.0.0.1')
 * client.end('ping')
 * for await (const chunk of client) console.log(String(chunk))
 * server.close()
 * ```
 */
export class Socket extends Duplex {
  /** Whether it connects: since {@link connect}, until 'connect' or an error. */
  connecting: boolean
  /** The idle timeout in milliseconds, once it was set. */
  timeout: number | undefined
  /** The server that has accepted it, or null; of `node:http` the server that serves it. */
  server: Server | null
  /** Addresses that it does not connect to. */
  readonly blockList: BlockList | undefined
  #stream: StreamSocket | null
  #connecting: Connecting | null
  readonly #onRead: OnReadOptions | null
  #reading: Reading
  readonly #writing: Writing
  readonly #idle: IdleTimeout
  #counting: CountingServer | null
  #ends: Ends
  #bytesRead: number
  #sentBytesSeen: number
  #isResetting: boolean
  readonly #settings: StreamSettings

  /** @throws {TypeError} `ERR_INVALID_ARG_TYPE`; {RuntimeError} `ERR_UNSUPPORTED` for a descriptor or handle. */
  constructor(options: SocketOptions = {}) {
    const given = options as Readonly<Record<string, unknown>>
    refuseOptions('make a socket', given, ['fd', 'handle'])
    if (given.objectMode || given.readableObjectMode || given.writableObjectMode) {
      const message = `The property 'options.objectMode' is not supported. Received true`
      throw nodeError(TypeError, 'ERR_INVALID_ARG_VALUE', message)
    }
    super({
      allowHalfOpen: Boolean(options.allowHalfOpen),
      autoDestroy: true,
      emitClose: false,
      ...(options.highWaterMark !== undefined && { highWaterMark: options.highWaterMark }),
    })
    this.connecting = false
    this.timeout = undefined
    this.server = null
    this.blockList = readBlockList(options)
    this.#stream = null
    this.#connecting = null
    const idle = new IdleTimeout(() => this.#tellIdle())
    this.#idle = idle
    this.#onRead = options.onread ?? null
    this.#reading = new Reading({ socket: this, idle }, this.#onRead)
    this.#writing = new Writing({ socket: this, idle })
    this.#counting = null
    this.#ends = new Ends()
    this.#bytesRead = 0
    this.#sentBytesSeen = 0
    this.#isResetting = false
    this.#settings = new StreamSettings(options)
    this.on('end', refuseWrites)
    if (options.signal !== undefined) this.#obey(options.signal)
  }

  /**
   * A socket over a stream that was accepted or connected elsewhere, which is the socket's from then on.
   *
   * @example Speak HTTP on a connection of one's own listener
   * ```ts run
   * import { createServer } from 'node:http'
   * import { TcpListener, TcpStream } from 'percore/net'
   * import { Socket } from 'percore/node'
   * import { ByteReader } from 'percore/streams'
   *
   * const http = createServer((request, response) => response.end(`path ${request.url}`))
   * await using listener = await TcpListener.bind({ port: 0 })
   * const accepting = listener.accept()
   * await using client = await TcpStream.connect({ port: listener.address.port })
   * http.emit('connection', Socket.over(await accepting))
   * await client.write(new TextEncoder().encode('GET /here HTTP/1.0\r\n\r\n'))
   * console.log(await new ByteReader(client).readLine())
   * ```
   */
  static over(stream: StreamSocket, options: AcceptedOptions = {}): Socket {
    if (!(stream instanceof StreamSocket)) {
      throw wrongArgument('"stream" argument', 'a TcpStream or a UnixStream', stream)
    }
    const socket = new Socket(options)
    socket.#stream = stream
    socket.#settings.applyTo(stream)
    if (options.server !== undefined) {
      socket.server = options.server
      socket.#counting = options.server
    }
    if (options.pauseOnCreate) socket.pause()
    else socket.read(0)
    return socket
  }

  /** Whether there is no connection: not yet, or no longer. */
  get pending(): boolean {
    return this.#stream === null || this.connecting
  }

  get readyState(): SocketReadyState {
    if (this.connecting) return 'opening'
    if (this.readable) return this.writable ? 'open' : 'readOnly'
    return this.writable ? 'writeOnly' : 'closed'
  }

  /** How many bytes wait to be sent. */
  get bufferSize(): number | undefined {
    return this.#stream === null ? undefined : this.writableLength
  }

  /** Bytes received, be they read or not. */
  get bytesRead(): number {
    return this.#stream?.bytesRead ?? this.#bytesRead
  }

  /** Bytes written, be they sent or not. */
  get bytesWritten(): number {
    return this.#writing.sentBytes + this.writableLength
  }

  get remoteAddress(): string | undefined {
    return this.#remoteEnd()?.host
  }

  get remotePort(): number | undefined {
    return this.#remoteEnd()?.port
  }

  /** `IPv4` or `IPv6` */
  get remoteFamily(): string | undefined {
    return familyOf(this.#remoteEnd())
  }

  get localAddress(): string | undefined {
    return this.#localEnd()?.host
  }

  get localPort(): number | undefined {
    return this.#localEnd()?.port
  }

  /** `IPv4` or `IPv6` */
  get localFamily(): string | undefined {
    return familyOf(this.#localEnd())
  }

  /** Where it is bound to; an object without properties while there is no connection. */
  address(): AddressInfo | Record<string, never> {
    const local = this.#localEnd()
    return local === null ? {} : toAddressInfo(local)
  }

  /**
   * Connects: `(options, listener)`, `(port, host, listener)`, or `(path, listener)` for a Unix socket. The listener is called once, at 'connect'.
   *
   * The addresses of a name are tried one after another, as `node:net` does; 'lookup' tells of each. A socket that is
   * closed may connect again.
   *
   * One that connects, or has connected, is destroyed by a second call, as Node's is: `EALREADY`, `EISCONN`.
   *
   * @throws {TypeError} `ERR_MISSING_ARGS`, `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_IP_ADDRESS`; {RangeError} `ERR_SOCKET_BAD_PORT`;
   * what a `lookup` of the caller's own throws.
   */
  connect(options: ConnectOptions, listener?: Listener): this
  connect(port: number | string, host?: string, listener?: Listener): this
  connect(port: number | string, listener?: Listener): this
  connect(path: string, listener?: Listener): this
  connect(...args: unknown[]): this {
    const { options, listener } = readArguments(args)
    const destination = readDestination(options)
    if (this.destroyed) this.#renew()
    if (Object.hasOwn(this, 'write')) Reflect.deleteProperty(this, 'write')
    if (listener !== null) this.once('connect', listener)
    if (options.noDelay !== undefined) this.#settings.noDelay = Boolean(options.noDelay)
    this.#idle.touch()
    this.connecting = true
    if (this.#stream !== null || this.#connecting !== null) {
      process.nextTick(() => this.#refuseSecond(destination))
      return this
    }
    const { blockList } = this
    const { noDelay } = this.#settings
    const connecting = new Connecting(this, { ...destination, noDelay, blockList })
    this.#connecting = connecting
    connecting.start().then(
      (stream) => this.#take(connecting, stream),
      (error: unknown) => this.#connecting === connecting && this.destroy(asError(error)),
    )
    return this
  }

  /**
   * Emits 'timeout' after so long without anything read or written; 0 switches that off. The socket stays open.
   *
   * @throws {TypeError} `ERR_INVALID_ARG_TYPE`; {RangeError} `ERR_OUT_OF_RANGE`.
   */
  setTimeout(timeoutMs: number, listener?: Listener): this {
    if (this.destroyed) return this
    this.timeout = validateTimeout(timeoutMs)
    if (listener !== undefined && typeof listener !== 'function') {
      throw wrongArgument('"callback" argument', 'of type function', listener)
    }
    this.#idle.set(timeoutMs)
    if (listener !== undefined && timeoutMs === 0) this.removeListener('timeout', listener)
    else if (listener !== undefined) this.once('timeout', listener)
    return this
  }

  /** Sends small writes at once, rather than let the kernel gather them; as soon as it is connected. */
  setNoDelay(enabled?: boolean): this {
    this.#settings.setNoDelay(enabled === undefined ? true : Boolean(enabled), this.#stream)
    return this
  }

  /** Probes an idle peer; as soon as it is connected. */
  setKeepAlive(enabled?: boolean, initialDelayMs?: number): this {
    const delayMs = enabled ? Math.max(0, ~~(initialDelayMs ?? 0)) : -1
    this.#settings.setKeepAlive(delayMs, this.#stream)
    return this
  }

  /** Keeps the program alive while it is open, as sockets do unless {@link unref} is called. */
  ref(): this {
    this.#settings.setReferenced(true, this.#stream)
    return this
  }

  /** Lets the program end although it is open. */
  unref(): this {
    this.#settings.setReferenced(false, this.#stream)
    return this
  }

  /** Destroys it once all that was written is sent. */
  destroySoon(): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', this.destroy)
  }

  /**
   * Closes the connection with a reset, once there is one: the peer's reads fail with `ECONNRESET`.
   *
   * @throws {TypeError} `ERR_INVALID_HANDLE_TYPE` for a Unix socket, which has no such thing.
   */
  resetAndDestroy(): this {
    if (this.#stream !== null && !(this.#stream instanceof TcpStream)) {
      throw nodeError(TypeError, 'ERR_INVALID_HANDLE_TYPE', 'This handle type cannot be sent')
    }
    if (this.connecting) {
      this.once('connect', () => this.#reset())
    } else if (this.#stream !== null) {
      this.#reset()
    } else {
      this.destroy(closedError('ERR_SOCKET_CLOSED', 'Socket is closed'))
    }
    return this
  }

  override pause(): this {
    this.#reading.hold()
    return super.pause()
  }

  override resume(): this {
    this.#reading.proceed()
    return super.resume()
  }

  override _read(): void {
    const stream = this.#stream
    if (stream !== null) this.#reading.start(stream)
    else this.once('connect', () => this._read())
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, callback: Callback): void {
    const stream = this.#stream
    if (stream === null) {
      this.#writeOnceConnected(callback, () => this._write(chunk, _encoding, callback))
      return
    }
    this.#idle.touch()
    this.#writing.write(stream, chunk, callback)
  }

  override _writev(pieces: { chunk: Uint8Array }[], callback: Callback): void {
    const stream = this.#stream
    if (stream === null) {
      this.#writeOnceConnected(callback, () => this._writev(pieces, callback))
      return
    }
    this.#idle.touch()
    this.#writing.writeAll(stream, pieces, callback)
  }

  override _final(callback: Callback): void {
    if (this.connecting) {
      this.once('connect', () => this._final(callback))
      return
    }
    const stream = this.#stream
    if (stream === null) {
      callback()
      return
    }
    stream.shutdown().then(
      () => callback(),
      // What is closed here meanwhile has nobody to tell.
      (error: unknown) =>
        callback(error instanceof RuntimeError ? null : systemError(error, 'shutdown')),
    )
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.connecting = false
    this.#connecting?.cancel()
    this.#connecting = null
    this.#idle.clear()
    const closed = this.#closeStream()
    callback(error)
    const tell = (): void => void this.emit('close', error !== null)
    // Behind 'error', which the callback has left for the next tick.
    closed.then(() => process.nextTick(tell))
    const counting = this.#counting
    if (counting === null) return
    this.#counting = null
    counting._connections--
    counting._emitCloseIfDrained()
  }

  async #closeStream(): Promise<void> {
    const stream = this.#stream
    if (stream === null) return
    this.#bytesRead = stream.bytesRead
    this.#stream = null
    const closed = this.#isResetting ? stream.abort() : stream.close()
    // It is done with its chunk.
    this.#reading.resume()
    await closed
  }

  /** It connects, or has connected: whoever wants it to be another one gets neither. */
  #refuseSecond({ host, port, path }: Destination): void {
    if (this.destroyed) return
    const error = kernelError(this.#stream === null ? -EALREADY : -EISCONN, { syscall: 'connect' })
    this.destroy(placeError(error, 'connect', { address: path ?? host, port }))
  }

  /** It has connected. */
  #take(connecting: Connecting, stream: StreamSocket): void {
    if (this.#connecting !== connecting) {
      void stream.close()
      return
    }
    this.#connecting = null
    this.#stream = stream
    this.connecting = false
    this.#settings.applyTo(stream)
    this.#idle.touch()
    try {
      this.emit('connect')
      this.emit('ready')
      if (clientSockets.hasSubscribers) clientSockets.publish({ socket: this })
      if (this.readable && !this.isPaused()) this.read(0)
    } catch (error) {
      throwUncaught(error)
    }
  }

  /** After it was destroyed it may connect again. */
  #renew(): void {
    const stream = this as unknown as { _undestroy(): void }
    stream._undestroy()
    this.#reading = new Reading({ socket: this, idle: this.#idle }, this.#onRead)
    this.#ends = new Ends()
    this.#isResetting = false
  }

  #reset(): void {
    this.#isResetting = true
    this.destroy()
  }

  #tellIdle(): void {
    const sentBytes = this.#stream?.bytesWritten ?? 0
    if (sentBytes !== this.#sentBytesSeen) {
      // The kernel goes on taking what was written.
      this.#sentBytesSeen = sentBytes
      if (this.writableLength > 0) {
        this.#idle.touch()
        return
      }
    }
    this.emit('timeout')
  }

  #writeOnceConnected(callback: Callback, write: Listener): void {
    if (!this.connecting) {
      callback(closedError('ERR_SOCKET_CLOSED', 'Socket is closed'))
      return
    }
    const onClose = (): void => {
      const message = 'Socket closed before the connection was established'
      callback(closedError('ERR_SOCKET_CLOSED_BEFORE_CONNECTION', message))
    }
    this.once('close', onClose)
    this.once('connect', () => {
      this.off('close', onClose)
      write()
    })
  }

  #remoteEnd(): SocketAddress | null {
    return this.#ends.remoteOf(this.connecting ? null : this.#stream)
  }

  #localEnd(): SocketAddress | null {
    return this.#ends.localOf(this.#stream)
  }

  #obey(signal: AbortSignal): void {
    const abort = (): void => void this.destroy(abortError(signal))
    if (signal.aborted) {
      process.nextTick(abort)
      return
    }
    signal.addEventListener('abort', abort, { once: true })
    this.once('close', () => signal.removeEventListener('abort', abort))
  }
}
