import {
  optionNames,
  RuntimeError,
  showAs,
  validateDurationMs,
  validateFunction,
  validateOptions,
  wrongType,
} from '../../base/index.ts'
import { type Executor, executor, type Task } from '../../executor/index.ts'
import { sleep } from '../../time/index.ts'
import type { StreamSocket } from '../streams/stream-socket.ts'
import type { Address } from '../values/address.ts'
import { StreamListener } from './stream-listener.ts'

/** Serves a connection: it is closed when its promise has settled. `signal` is aborted when the server stops. */
export type ServeStream<Stream extends StreamSocket> = (
  stream: Stream,
  signal: AbortSignal,
) => unknown

/** How connections are served. */
export interface ServeOptions {
  /**
   * Called with what the function throws for a connection. Not given, that is an unhandled rejection, unless the peer has gone
   * (`ECONNRESET`, `EPIPE`, `ECONNABORTED`, `ETIMEDOUT`).
   */
  readonly onError?: (error: unknown) => void
}

/** How a server stops. */
export interface ServerStopOptions {
  /** How long connections may take to come to their end, in milliseconds; 10,000 if not given. */
  readonly deadlineMs?: number
}

const SERVE_NAMES = optionNames<ServeOptions>({ onError: true })
const STOP_NAMES = optionNames<ServerStopOptions>({ deadlineMs: true })
const DEADLINE_MS = 10_000
const PEER_CODES: readonly unknown[] = ['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ETIMEDOUT']

/**
 * Serves all that a listener accepts: a function is called for each connection, as a task of the current queue. The listener
 * is the server's from now on.
 *
 * @throws {TypeError} for arguments of the wrong kind.
 *
 * @example Stop without cutting anybody off who comes to an end within a second
 * ```ts run
 * import { serve, TcpListener, TcpStream } from 'percore/net'
 *
 * const server = serve(await TcpListener.bind({ port: 0 }), async (stream) => {
 *   for await (const chunk of stream) await stream.write(chunk)
 * })
 * await using client = await TcpStream.connect({ port: server.listener.address.port })
 * await client.write(new Uint8Array([1, 2, 3]))
 * await client.shutdown()
 * console.log(await client.read(), await server.stop({ deadlineMs: 1000 })) // …, 0
 * ```
 */
export function serve<Stream extends StreamSocket, Where extends Address>(
  listener: StreamListener<Stream, Where>,
  serveStream: ServeStream<Stream>,
  options: ServeOptions = {},
): StreamServer<Stream, Where> {
  const action = 'serve a listener'
  if (!(listener instanceof StreamListener)) {
    throw wrongType(action, 'listener', 'a listener of streams', listener)
  }
  validateFunction(action, 'serveStream', serveStream)
  validateOptions(action, options, SERVE_NAMES)
  const { onError = null } = options
  if (onError !== null) validateFunction(action, 'onError', onError)
  return new StreamServer(executor(), listener, { serveStream, onError })
}

/** What {@link serve} has made: connections that are served, until it is stopped. Belongs to its executor. */
export class StreamServer<Stream extends StreamSocket, Where extends Address = Address>
  implements AsyncDisposable
{
  static {
    showAs(
      StreamServer,
      (server) =>
        `StreamServer of ${server.connectionCount}${server.isStopping ? ', stopping' : ''}`,
    )
  }

  readonly listener: StreamListener<Stream, Where>
  readonly #executor: Executor
  readonly #serveStream: ServeStream<Stream>
  readonly #onError: ((error: unknown) => void) | null
  readonly #controller = new AbortController()
  readonly #connections = new Map<Task<void>, Stream>()
  #onIdle: (() => void) | null = null
  #stopped: Promise<number> | null = null

  /** @internal */
  constructor(
    current: Executor,
    listener: StreamListener<Stream, Where>,
    parts: {
      readonly serveStream: ServeStream<Stream>
      readonly onError: ((error: unknown) => void) | null
    },
  ) {
    this.#executor = current
    this.listener = listener
    this.#serveStream = parts.serveStream
    this.#onError = parts.onError
    void this.#accept()
  }

  /** Connections that are being served. */
  get connectionCount(): number {
    return this.#connections.size
  }

  /** Whether {@link stop} was called. */
  get isStopping(): boolean {
    return this.#stopped !== null
  }

  /**
   * Takes no new connections, lets those that are there come to their end, and breaks off those that have not by the deadline:
   * their tasks are cancelled, and their peers told that they were broken off, by `ECONNRESET` over TCP.
   *
   * What was accepted by the call is served; what the kernel holds in the backlog then is refused. Functions are told by
   * their signal. Resolves when no connection is left, with how many were broken off. Again is the first call's.
   *
   * @throws {TypeError | RangeError} for options of the wrong kind.
   */
  async stop(options: ServerStopOptions = {}): Promise<number> {
    const action = 'stop a server'
    validateOptions(action, options, STOP_NAMES)
    const { deadlineMs = DEADLINE_MS } = options
    validateDurationMs(action, 'deadlineMs', deadlineMs)
    this.#stopped ??= this.#stop(deadlineMs)
    return await this.#stopped
  }

  /** {@link stop}, with the deadline that is given where none is. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #accept(): Promise<void> {
    for await (const stream of this.listener) this.#begin(stream)
  }

  #begin(stream: Stream): void {
    const task = this.#executor.spawnInto(this.#executor.currentQueue(), () =>
      this.#serveOne(stream),
    )
    this.#connections.set(task, stream)
    const end = (): void => {
      this.#connections.delete(task)
      if (this.#connections.size === 0) this.#onIdle?.()
    }
    task.then(end, end)
  }

  async #serveOne(stream: Stream): Promise<void> {
    const { signal } = this.#controller
    try {
      await this.#serveStream(stream, signal)
    } catch (error) {
      this.#tell(error, stream)
    } finally {
      await stream.close()
    }
  }

  #tell(error: unknown, stream: Stream): void {
    // It was broken off, or has let the reason of its signal through, as was asked of it.
    if (this.isStopping && (stream.isClosed || error === this.#controller.signal.reason)) return
    const { code } = (error ?? {}) as { code?: unknown }
    if (this.#onError !== null) this.#onError(error)
    else if (!PEER_CODES.includes(code)) void Promise.reject(error)
  }

  async #stop(deadlineMs: number): Promise<number> {
    const accepted = this.listener.takeAccepted()
    const closing = this.listener.close()
    for (const stream of accepted) this.#begin(stream)
    this.#controller.abort(
      new RuntimeError('ERR_HANDLE_CLOSED', 'Cannot go on as the server must run: it is stopping'),
    )
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve
    })
    let brokenCount = 0
    if (this.#connections.size > 0) {
      const early = new AbortController()
      const late = sleep(deadlineMs, { signal: early.signal }).then(
        () => true,
        () => false,
      )
      if (await Promise.race([idle.then(() => false), late])) {
        brokenCount = this.#connections.size
        await this.#breakOff()
      }
      early.abort()
    }
    await closing
    return brokenCount
  }

  /** Ends all that is left, whatever its functions wait for. */
  async #breakOff(): Promise<void> {
    const left = [...this.#connections]
    await Promise.all(
      left.map(async ([task, stream]) => {
        void task.cancel()
        await stream.abort()
      }),
    )
  }
}
