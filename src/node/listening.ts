import { channel } from 'node:diagnostics_channel'
import { lookup } from 'node:dns'
import { chmodSync, statSync } from 'node:fs'
import { isIP, type Server } from 'node:net'
import { KernelError } from '../base/index.ts'
import {
  type ListenOptions,
  TcpListener,
  TcpStream,
  UnixListener,
  type UnixStream,
} from '../net/index.ts'
import { readArguments, refuseOptions } from './arguments.ts'
import { Ends } from './ends.ts'
import {
  asError,
  listenError,
  nodeError,
  systemError,
  throwUncaught,
  validatePort,
} from './errors.ts'
import { type NodeServer, PathHandle, PortHandle, whenClosed } from './listen-handles.ts'
import { Socket } from './socket.ts'
import { familyOf, isBlocked, toUnixEndpoint } from './socket-parts.ts'

/** Where and how to listen, with defaults filled in; a host of null is all addresses. */
interface Door {
  readonly host: string | null
  readonly port: number
  readonly backlog: number
  readonly reusePort: boolean
  readonly ipv6Only: boolean
}

const UNSUPPORTED = ['fd', '_handle', 'handle']
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
  const path = readPath(options)
  const door = path === null ? readDoor(options, args) : null
  if (listener !== null) server.once('listening', listener)
  if (options.signal !== undefined) closeOnAbort(server, options.signal as AbortSignal)
  const id = (server._listeningId ?? 0) + 1
  server._listeningId = id
  const isWanted = (): boolean => server._listeningId === id && !server._handle
  if (door === null) {
    whenClosed(server, () => {
      if (isWanted()) listenLocally(server, path!, options)
    })
    return
  }
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

/** Where a port is given as well, that counts. */
function readPath(options: Readonly<Record<string, unknown>>): string | null {
  refuseOptions('listen', options, UNSUPPORTED)
  const { path, port } = options
  const isGiven = typeof path === 'string' && path !== ''
  return isGiven && (port === undefined || port === null) ? path : null
}

/** @throws as {@link listenWith} says. */
function readDoor(options: Readonly<Record<string, unknown>>, args: readonly unknown[]): Door {
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
    ipv6Only: Boolean(options.ipv6Only),
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

function bind(server: NodeServer, door: Door, host: string): TcpListener {
  const { port, backlog, reusePort, ipv6Only } = door
  const options: ListenOptions = {
    host,
    port,
    backlog,
    reusePort,
    ipv6Only,
    noDelay: server.noDelay === true,
  }
  return TcpListener.bindNow(options)
}

function begin(server: NodeServer, listener: TcpListener): void {
  server._handle = new PortHandle(server, listener)
  if (server._unref) listener.unref()
  serve(server, listener)
}

/** By a path, which takes a while, as the name of a socket that nobody has is taken over. */
function listenLocally(
  server: NodeServer,
  path: string,
  options: Readonly<Record<string, unknown>>,
): void {
  const backlog = Number(options.backlog) > 0 ? Number(options.backlog) : BACKLOG
  const handle = new PathHandle(server, bindPath(path, backlog, options))
  server._handle = handle
  server._pipeName = path
  handle.whenBound().then(
    (listener) => {
      if (server._handle !== handle) return
      if (server._unref) listener.unref()
      serve(server, listener)
    },
    (error) => {
      if (server._handle !== handle) return
      server._handle = null
      process.nextTick(fail, server, listenError(error, { address: path, port: -1 }))
    },
  )
}

/** Lets everybody connect, if it is to. */
async function bindPath(
  path: string,
  backlog: number,
  { readableAll, writableAll }: Readonly<Record<string, unknown>>,
): Promise<UnixListener> {
  const listener = await UnixListener.bind({ ...toUnixEndpoint(path), backlog })
  const added = (readableAll ? 0o444 : 0) | (writableAll ? 0o222 : 0)
  try {
    if (added !== 0) chmodSync(path, (statSync(path).mode & 0o777) | added)
  } catch (error) {
    await listener.close()
    throw error
  }
  return listener
}

function serve(server: NodeServer, listener: TcpListener | UnixListener): void {
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

async function acceptAll(server: NodeServer, listener: TcpListener | UnixListener): Promise<void> {
  for await (const stream of listener) {
    try {
      take(server, stream)
    } catch (error) {
      throwUncaught(asError(error))
    }
  }
}

function take(server: NodeServer, stream: TcpStream | UnixStream): void {
  if (
    stream instanceof TcpStream &&
    isBlocked(server.blockList, stream.remoteAddress?.host ?? '')
  ) {
    void stream.close()
    return
  }
  const { maxConnections } = server
  if (typeof maxConnections === 'number' && server._connections >= maxConnections) {
    drop(server, stream)
    return
  }
  server._connections++
  const socket = Socket.over(stream, {
    server,
    allowHalfOpen: server.allowHalfOpen === true,
    pauseOnCreate: server.pauseOnConnect === true,
    keepAlive: server.keepAlive,
    keepAliveInitialDelay: server.keepAliveInitialDelay,
    highWaterMark: server.highWaterMark,
  })
  server.emit('connection', socket)
  // Beneath TLS, which has asked by now, the end of the peer is its affair: it still has to send what was encrypted.
  if (typeof server.setSecureContext === 'function') socket.allowHalfOpen = true
  if (serverSockets.hasSubscribers) serverSockets.publish({ socket })
}

function drop(server: NodeServer, stream: TcpStream | UnixStream): void {
  const ends = new Ends()
  const local = ends.localOf(stream)
  const remote = ends.remoteOf(stream)
  void stream.close()
  // Of a Unix socket nothing is told.
  if (local === null) {
    server.emit('drop')
    return
  }
  server.emit('drop', {
    localAddress: local.host,
    localPort: local.port,
    localFamily: familyOf(local),
    remoteAddress: remote?.host,
    remotePort: remote?.port,
    remoteFamily: familyOf(remote),
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
