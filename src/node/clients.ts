/** What clients of the ecosystem call for a connection. */
import { isIP, type Socket as NodeSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type ConnectionOptions, connect as startTls, type TLSSocket } from 'node:tls'
import { type Listener, refuseOptions } from './arguments.ts'
import { connect } from './connect.ts'
import type { ConnectOptions } from './connect-options.ts'
import { nodeError } from './errors.ts'
import { validateTimeout } from './idle-timeout.ts'
import type { SocketOptions } from './socket-options.ts'

/**
 * TLS over a socket of percore: `tls.connect()`, and what `createConnection` of an `https.Agent` is to be.
 *
 * @throws as {@link Socket.connect} and `tls.connect()` do.
 */
export function connectTls(
  options: Omit<ConnectionOptions, 'port'> & ConnectOptions,
  listener?: Listener,
): TLSSocket {
  const { host = 'localhost', servername } = options
  const socket = connect(options as ConnectOptions & SocketOptions)
  // Without a name of the server, as a server that has several certificates goes by that.
  const name = servername ?? (isIP(host) === 0 ? host : undefined)
  const secure = startTls(
    {
      ...(options as ConnectionOptions),
      ...(name !== undefined && { servername: name }),
      socket: socket as unknown as NodeSocket,
    },
    listener,
  )
  // The end of the peer is the affair of TLS, which has asked by now what its own is to do.
  socket.allowHalfOpen = true
  return secure
}

/** What undici asks for, of a connector. */
export interface UndiciConnectOptions {
  readonly hostname: string
  readonly protocol: string
  readonly port: string
  readonly servername?: string | null | undefined
}

/** Told of the connection, or why there is none. */
export type UndiciCallback = (
  ...result: [error: Error, socket: null] | [error: null, socket: NodeSocket]
) => void

/** As undici's own connector. */
const CONNECT_TIMEOUT_MS = 10_000

/**
 * What undici's `connect` option is to be: `new Agent({ connect: undiciConnect() })`.
 *
 * `options` are those of `tls.connect()` and {@link connect}, for all connections. `timeout` is how long a connection may take,
 * with its TLS, in milliseconds; 10 seconds if not given, and 0 is without limit.
 *
 * @throws {TypeError} `ERR_INVALID_ARG_TYPE`, {RangeError} `ERR_OUT_OF_RANGE` for `timeout`; as {@link Socket.connect} does,
 * when undici connects.
 */
export function undiciConnect(
  options: Partial<ConnectionOptions & ConnectOptions> = {},
): (target: UndiciConnectOptions, callback: UndiciCallback) => void {
  const { timeout = CONNECT_TIMEOUT_MS, ...rest } = options
  const timeoutMs = validateTimeout(timeout)
  return ({ hostname, protocol, port, servername }, callback) => {
    const isSecure = protocol === 'https:'
    const where = { ...rest, host: hostname, port: port || (isSecure ? 443 : 80) }
    const name = servername ?? undefined
    const socket = isSecure
      ? connectTls({
          ALPNProtocols: ['http/1.1'],
          ...where,
          ...(name !== undefined && { servername: name }),
        } as ConnectOptions)
      : connect({ noDelay: true, ...where } as ConnectOptions)
    const limit = timeoutMs === 0 ? undefined : setTimeout(expire, timeoutMs, socket, timeoutMs)
    const onError = (error: Error): void => {
      clearTimeout(limit)
      callback(error, null)
    }
    socket.once('error', onError)
    socket.once(isSecure ? 'secureConnect' : 'connect', () => {
      clearTimeout(limit)
      socket.off('error', onError)
      callback(null, socket as unknown as NodeSocket)
    })
  }
}

function expire(socket: Duplex, timeoutMs: number): void {
  const message = `Connect Timeout Error (timeout: ${timeoutMs}ms)`
  const error = nodeError(Error, 'UND_ERR_CONNECT_TIMEOUT', message)
  error.name = 'ConnectTimeoutError'
  socket.destroy(error)
}

/** What ioredis says of where to connect to. */
interface RedisOptions {
  readonly host?: string | undefined
  readonly port?: number | undefined
  /** A Unix socket, in place of host and port. */
  readonly path?: string | undefined
  readonly family?: number | undefined
  /** Given for TLS: what `tls.connect()` takes, if anything; its host and port come first. */
  readonly tls?: ConnectionOptions | true | null | undefined
}

/** What `RedisConnector` has no way to do. */
const REDIS_UNSUPPORTED = ['sentinels']

/**
 * What the `Connector` option of ioredis is to be: `new Redis({ port, Connector: RedisConnector })`.
 *
 * ioredis makes one for each of its clients, with the options of that; with `tls` it talks TLS.
 */
export class RedisConnector {
  readonly #options: RedisOptions
  #socket: NodeSocket | null
  #isConnecting: boolean

  /** @throws {RuntimeError} `ERR_UNSUPPORTED` for `sentinels`. */
  constructor(options: object) {
    refuseOptions(
      'make a connector for Redis',
      options as Readonly<Record<string, unknown>>,
      REDIS_UNSUPPORTED,
    )
    this.#options = options as RedisOptions
    this.#socket = null
    this.#isConnecting = false
  }

  /** Whether a server that answers is the one that was asked for: of one address it is. */
  check(): boolean {
    return true
  }

  /** @throws as {@link Socket.connect} and `tls.connect()` do. */
  connect(): Promise<NodeSocket> {
    this.#isConnecting = true
    return new Promise((resolve, reject) => {
      process.nextTick(() => {
        if (!this.#isConnecting) {
          reject(new Error('Connection is closed.'))
          return
        }
        try {
          this.#socket = this.#open()
          resolve(this.#socket)
        } catch (error) {
          reject(error as Error)
        }
      })
    })
  }

  disconnect(): void {
    this.#isConnecting = false
    this.#socket?.end()
  }

  #open(): NodeSocket {
    const { host, port = 6379, path, family, tls } = this.#options
    const where = { host, port, path, family, noDelay: true }
    if (!tls) return connect(where) as unknown as NodeSocket
    return connectTls({ ...where, ...(tls as object) })
  }
}
