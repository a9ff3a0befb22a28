import { type BlockList, Server as NodeServer } from 'node:net'
import { listenWith } from './listening.ts'
import type { OnReadOptions } from './reading.ts'
import type { Socket } from './socket.ts'
import { readBlockList } from './socket-parts.ts'

/** What a server may be told as it is made; as in `net.createServer()`. */
export interface ServerOptions {
  /** Whether sockets stay writable after the peer's end; false if not given. */
  readonly allowHalfOpen?: boolean | undefined
  /** Whether sockets read nothing until they are resumed; false if not given. */
  readonly pauseOnConnect?: boolean | undefined
  readonly noDelay?: boolean | undefined
  readonly keepAlive?: boolean | undefined
  readonly keepAliveInitialDelay?: number | undefined
  readonly highWaterMark?: number | undefined
  /** Whose connections are closed as they come. */
  readonly blockList?: BlockList | undefined
}

/** Given each connection. */
export type ConnectionListener = (socket: Socket) => void

/**
 * A server that does what `net.Server` does, and is one, but for its sockets, which are percore's.
 *
 * `listen()` takes what that of `node:net` takes, but descriptors and handles; without a host `address()` is known at once. What
 * is done for each connection runs in the task queue that called `listen()`. In a worker of `node:cluster` it listens by
 * itself: give `reusePort`.
 *
 * @example
 * ```ts run
 * import { once } from 'node:events'
 * import type { AddressInfo } from 'node:net'
 * import { connect, Server } from 'percore/node'
 *
 * const server = new Server((socket) => socket.end('hello')).listen(0, '127.0.0.1')
 * await once(server, 'listening')
 * for await (const chunk of connect((server.address() as AddressInfo).port)) console.log(String(chunk))
 * server.close()
 * ```
 */
export class Server extends NodeServer {
  /** @throws {TypeError} `ERR_INVALID_ARG_TYPE` */
  constructor(listener?: ConnectionListener)
  constructor(options?: ServerOptions, listener?: ConnectionListener)
  constructor(first?: ServerOptions | ConnectionListener, second?: ConnectionListener) {
    const options = typeof first === 'function' ? {} : first
    const listener = typeof first === 'function' ? first : second
    super(options as object)
    const blockList = readBlockList(options ?? {})
    if (blockList !== undefined) Object.assign(this, { blockList })
    if (listener !== undefined) this.on('connection', listener as unknown as () => void)
  }

  /**
   * Listens, as `net.Server.listen()` does: `(options, listener)`, `(port, host, backlog, listener)`, or
   * `(path, backlog, listener)` for a Unix socket.
   *
   * @throws {TypeError} `ERR_INVALID_ARG_VALUE`; {RangeError} `ERR_SOCKET_BAD_PORT`; {Error} `ERR_SERVER_ALREADY_LISTEN`;
   * {RuntimeError} `ERR_UNSUPPORTED` for descriptors and handles.
   */
  override listen(...args: unknown[]): this {
    listenWith(this, args)
    return this
  }
}

/**
 * A server on percore's sockets: `net.createServer()`.
 *
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`
 */
export function createServer(
  options?: ServerOptions | ConnectionListener,
  listener?: ConnectionListener,
): Server {
  return typeof options === 'function' ? new Server(options) : new Server(options, listener)
}

export type { OnReadOptions }
