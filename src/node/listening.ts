import { channel } from 'node:diagnostics_channel'
import { lookup } from 'node:dns'
import { type AddressInfo, isIP, type Server } from 'node:net'
import { KernelError } from '../base/index.ts'
import { type ListenOptions, TcpListener, type TcpStream } from '../net/index.ts'
import { readArguments, refuseOptions } from './arguments.ts'
import {
  asError,
  listenError,
  nodeError,
  systemError,
  throwUncaught,
  validatePort,
} from './errors.ts'
import { Socket } from './socket.ts'
import type { CountingServer } from './socket-options.ts'
import { toAddressInfo } from './socket-parts.ts'

/** What a server of `node:net`, and whatever builds upon one, keeps to itself and its methods work by. */
interface NodeServer extends CountingServer {
  _handle: ListenHandle | null
  /** Another one since each `listen()` and `close()`, which makes those before void; some releases have none until we give it. */
  _listeningId?: number
  readonly _unref?: boolean
  readonly allowHalfOpen?: boolean
  readonly pauseOnConnect?: boolean
  readonly noDelay?: boolean
  readonly keepAlive?: boolean
  readonly keepAliveInitialDelay?: number
  readonly highWaterMark?: number
  /** Servers of `node:tls` have it, and those of `https` and `http2` that build upon them. */
  readonly setSecureContext?: unknown
}

/** Where and how to listen, with defaults filled in; a host of null is all addresses. */
interface Door {
  readonly host: string | null
  readonly port: number
  readonly backlog: number
  readonly reusePort: boolean
}

const UNSUPPORTED = ['path', 'fd', '_handle', 'handle']
const BACKLOG = 511
const serverSockets = channel('net.server.socket')

/**
 * Has a server listen on percore's sockets, with the arguments of `listen()`.
 *
 * What the server calls its handle is ours from then on: so `close()`, `address()`, `ref()`, `getConnections()` and what subclasses
 * make of them are Node's own.
 */
export function listenWith(target: Server, args: readonly unknown[]): void {
  const server = target as NodeServer
  const { options, listener } = readArguments(args)
  if (server._handle) {
    const message = 'Listen method has been called more than once without closing.'
    throw nodeError(Error, 'ERR_SERVER_ALREADY_LISTEN', message)
  }
  const door = readDoor(options, args)
  if (listener !== null) server.once('listening', listener)
  if (options.signal !== undefined) closeOnAbort(server, options.signal as AbortSignal)
  const id = (server._listeningId ?? 0) + 1
  server._listeningId = id
  const isWanted = (): boolean => server._listeningId === id && !server._handle
  const listen = (addresses: readonly string[]): void =>
    whenClosed(server, () => {
      if (isWanted()) open(server, door, addresses)
    })
  const { host } = door
  if (host === null || isIP(host) !== 0) {
    listen(host === null ? ['::', '0.0.0.0'] : [host])
    return
  }
  lookup(host, (error, address) => {
    if (!isWanted()) return
    if (error) server.emit('error', error)
    else listen([address])
  })
}

/** @throws as {@link listenWith} says. */
function readDoor(options: Readonly<Record<string, unknown>>, args: readonly unknown[]): Door {
  refuseOptions('listen', options, UNSUPPORTED)
  if (options.ipv6Only) refuseOptions('listen', options, ['ipv6Only'])
  const isAny =
    args.length === 0 ||
    typeof args[0] === 'function' ||
    ('port' in options && (options.port === undefined || options.port === null))
  if (!isAny && options.port === undefined) {
    const message = `The argument 'options' must have the property "port" or "path". Received ${String(options)}`
    throw nodeError(TypeError, 'ERR_INVALID_ARG_VALUE', message)
  }
  const port = isAny ? 0 : validatePort(options.port)
  const { host, reusePort } = options
  const positional = [args[1], args[2]].map(Number).find((value) => value > 0)
  const given = Number(options.backlog) > 0 ? Number(options.backlog) : positional
  return {
    host: typeof host === 'string' && host !== '' ? host : null,
    port,
    backlog: given ?? BACKLOG,
    reusePort: Boolean(reusePort),
  }
}

/** Listens on the first of the addresses that the machine has. */
function open(server: NodeServer, door: Door, addresses: readonly string[]): void {
  const { port } = door
  for (const [index, address] of addresses.entries()) {
    try {
      begin(server, bind(server, door, address))
      return
    } catch (error) {
      const isMissing = error instanceof KernelError && MISSING.includes(error.code)
      if (isMissing && index < addresses.length - 1) continue
      process.nextTick(fail, server, listenError(error, { address, port }))
      return
    }
  }
}

/** What the kernel says where there is no IPv6. */
const MISSING: readonly string[] = ['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL', 'EPROTONOSUPPORT']

function bind(server: NodeServer, { port, backlog, reusePort }: Door, host: string): TcpListener {
  const options: ListenOptions = {
    host,
    port,
    backlog,
    reusePort,
    noDelay: server.noDelay === true,
  }
  return TcpListener.bindNow(options)
}

function begin(server: NodeServer, listener: TcpListener): void {
  server._handle = new ListenHandle(server, listener)
  if (server._unref) listener.unref()
  acceptAll(server, listener).catch((error: unknown) => {
    if (!listener.isClosed) process.nextTick(fail, server, systemError(error, 'accept'))
  })
  process.nextTick(tellListening, server)
}

function tellListening(server: NodeServer): void {
  if (server._handle) server.emit('listening')
}

function fail(server: NodeServer, error: Error): void {
  server.emit('error', error)
}

async function acceptAll(server: NodeServer, listener: TcpListener): Promise<void> {
  for await (const stream of listener) {
    try {
      take(server, stream)
    } catch (error) {
      throwUncaught(asError(error))
    }
  }
}

function take(server: NodeServer, stream: TcpStream): void {
  const { maxConnections } = server
  if (typeof maxConnections === 'number' && server._connections >= maxConnections) {
    drop(server, stream)
    return
  }
  server._connections++
  const socket = Socket.over(stream, {
    server,
    // Beneath TLS the end of the peer is its affair: it still has to send what was encrypted.
    allowHalfOpen: server.allowHalfOpen || typeof server.setSecureContext === 'function',
    pauseOnCreate: server.pauseOnConnect === true,
    keepAlive: server.keepAlive,
    keepAliveInitialDelay: server.keepAliveInitialDelay,
    highWaterMark: server.highWaterMark,
  })
  server.emit('connection', socket)
  if (serverSockets.hasSubscribers) serverSockets.publish({ socket })
}

function drop(server: NodeServer, stream: TcpStream): void {
  const local = toAddressInfo(stream.localAddress)
  const remote = stream.remoteAddress === null ? undefined : toAddressInfo(stream.remoteAddress)
  void stream.close()
  server.emit('drop', {
    localAddress: local.address,
    localPort: local.port,
    localFamily: local.family,
    remoteAddress: remote?.address,
    remotePort: remote?.port,
    remoteFamily: remote?.family,
  })
}

function closeOnAbort(server: Server, signal: AbortSignal): void {
  const close = (): void => void server.close()
  if (signal.aborted) {
    process.nextTick(close)
    return
  }
  signal.addEventListener('abort', close, { once: true })
  server.once('close', () => signal.removeEventListener('abort', close))
}

/** What a server of `node:net` asks of the handle that it listens by. */
class ListenHandle {
  readonly #server: NodeServer
  readonly #listener: TcpListener

  constructor(server: NodeServer, listener: TcpListener) {
    this.#server = server
    this.#listener = listener
  }

  close(): void {
    const server = this.#server
    beginClosing(server)
    void this.#listener.close().then(() => endClosing(server))
  }

  ref(): void {
    this.#listener.ref()
  }

  unref(): void {
    this.#listener.unref()
  }

  /** Fills in where it listens. */
  getsockname(out: Partial<AddressInfo>): number {
    Object.assign(out, toAddressInfo(this.#listener.address))
    return 0
  }
}

/** Of a server whose ports are not free yet. */
interface Closing {
  /** How many handles are being closed. */
  count: number
  /** What is to be done then. */
  readonly waiting: (() => void)[]
}

const closings = new WeakMap<NodeServer, Closing>()

/** The server is not to tell that it is closed while its port is still taken. */
function beginClosing(server: NodeServer): void {
  const closing = closings.get(server) ?? { count: 0, waiting: [] }
  closing.count++
  closings.set(server, closing)
  Object.defineProperty(server, '_emitCloseIfDrained', { value: () => {}, configurable: true })
}

function endClosing(server: NodeServer): void {
  const closing = closings.get(server)!
  closing.count--
  if (closing.count > 0) return
  closings.delete(server)
  Reflect.deleteProperty(server, '_emitCloseIfDrained')
  // Before it listens again, as it would not tell at all from then on.
  server._emitCloseIfDrained()
  for (const proceed of closing.waiting) proceed()
}

/** At once, if nothing is being closed. */
function whenClosed(server: NodeServer, proceed: () => void): void {
  const closing = closings.get(server)
  if (closing === undefined) proceed()
  else closing.waiting.push(proceed)
}
