import { inspect } from 'node:util'
import {
  isPeerGone,
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
import { type Address, formatAddress } from '../values/address.ts'
import { StreamListener } from './stream-listener.ts'

/**
 * Serves a connection, which ends when its promise has settled: it is closed, or reset where that rejects. `signal` is aborted
 * when the server stops.
 */
export type ServeStream<Stream extends StreamSocket> = (
  stream: Stream,
  signal: AbortSignal,
) => unknown

/** How connections are served. */
export interface ServeOptions {
  /**
   * Called with what the function throws for a connection. Not given, the first that is not of a peer that has gone
   * (`ECONNRESET`, `EPIPE`, `ECONNABORTED`, `ETIMEDOUT`) is a warning of the process, and never a rejection: a peer may
   * cause it, and must not end the process.
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

/**
 * Serves all that a listener accepts: a function is called for each connection, as a task of the current queue. The listener
 * is the server's from now on.
 *
 * A connection whose function throws is reset, so that its peer does not take half of an answer for the whole; a Unix stream,
 * which has no reset, is closed. One whose function returns, or lets the reason of its signal through, is closed: what was
 * written is still sent.
 *
 * @throws {TypeError} for arguments of the wrong kind.
 * @throws {RuntimeError} `ERR_HANDLE_CLOSED` if the listener is closed; `ERR_STILL_HELD` while it is served, or others wait for
 * its connections.
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
  const current = executor()
  listener.beginServing(action)
  return new StreamServer(current, listener, { serveStream, onError })
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
  /** Aborted once it has stopped, and no deadline counts any more. */
  readonly #ended = new AbortController()
  #onEnd: (() => void) | null = null
  #stopped: Promise<number> | null = null
  /** How many were broken off; null before any deadline was over. */
  #brokenCount: number | null = null
  #hasWarned = false

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
   * their signal. Resolves when no connection is left, with how many were broken off. Again is the same, by the earliest
   * deadline of all calls.
   *
   * @throws {TypeError | RangeError} for options of the wrong kind.
   */
  async stop(options: ServerStopOptions = {}): Promise<number> {
    const action = 'stop a server'
    validateOptions(action, options, STOP_NAMES)
    const { deadlineMs = DEADLINE_MS } = options
    validateDurationMs(action, 'deadlineMs', deadlineMs)
    this.#stopped ??= this.#stop()
    void this.#breakOffAfter(deadlineMs)
    return await this.#stopped
  }

  /** {@link stop}, with the deadline that is given where none is. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #accept(): Promise<void> {
    try {
      for await (const stream of this.listener) this.#begin(stream)
    } catch (error) {
      // Whoever closes the executor knows that nobody is served any more.
      if (!this.#executor.isClosing) throw error
    }
  }

  #begin(stream: Stream): void {
    const task = this.#executor.spawnInto(this.#executor.currentQueue(), () =>
      this.#serveOne(stream),
    )
    this.#connections.set(task, stream)
    const end = (): void => {
      this.#connections.delete(task)
      if (this.#connections.size === 0) this.#onEnd?.()
    }
    task.then(end, end)
  }

  async #serveOne(stream: Stream): Promise<void> {
    const { signal } = this.#controller
    let isWhole = false
    try {
      await this.#serveStream(stream, signal)
      isWhole = true
    } catch (error) {
      // It has let the reason of its signal through, as was asked of it.
      isWhole = signal.aborted && error === signal.reason
      if (!isWhole) this.#tell(error, stream)
    } finally {
      await (isWhole ? stream.close() : stream.abort())
    }
  }

  #tell(error: unknown, stream: Stream): void {
    // It was broken off.
    if (this.#executor.isClosing || (this.isStopping && stream.isClosed)) return
    if (this.#onError !== null) {
      this.#onError(error)
      return
    }
    if (this.#hasWarned || isPeerGone(error)) return
    this.#hasWarned = true
    process.emitWarning(
      `A connection of ${formatAddress(this.listener.address)} failed, and nobody has asked; give onError to be told of further ones: ${inspect(error)}`,
      { type: 'ConnectionFailure' },
    )
  }

  async #stop(): Promise<number> {
    const accepted = this.listener.takeAccepted()
    const closing = this.listener.close()
    for (const stream of accepted) this.#begin(stream)
    this.#controller.abort(
      new RuntimeError('ERR_HANDLE_CLOSED', 'Cannot go on as the server must run: it is stopping'),
    )
    if (this.#connections.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onEnd = resolve
      })
    }
    this.#ended.abort()
    await closing
    return this.#brokenCount ?? 0
  }

  async #breakOffAfter(deadlineMs: number): Promise<void> {
    const { signal } = this.#ended
    // It rejects, too, where the caller's task is cancelled, which waits no longer then.
    await sleep(deadlineMs, { signal }).catch(() => {})
    if (signal.aborted || this.#brokenCount !== null) return
    this.#brokenCount = this.#connections.size
    await this.#breakOff()
    this.#onEnd?.()
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
