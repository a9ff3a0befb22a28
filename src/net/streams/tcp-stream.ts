import {
  optionNames,
  showAs,
  validateBoolean,
  validateInteger,
  validateOptions,
  validateString,
} from '../../base/index.ts'
import {
  checkCancellation,
  executor,
  type OwnedDescriptor,
  refusalOf,
  type WaitOptions,
} from '../../executor/index.ts'
import { netRingFor } from '../memory/net-ring.ts'
import { connectFirst } from '../sockets/connect-race.ts'
import { applyKeepAlive, applyLinger, applyNoDelay } from '../sockets/stream-settings.ts'
import {
  formatAddress,
  parseAddress,
  type SocketAddress,
  validateEndpoint,
  validateFamily,
} from '../values/address.ts'
import { remainingOptions, resolveHost } from '../values/resolve.ts'
import { setLinger } from '../values/socket-options.ts'
import type { DetachOptions, TcpStreamTicket } from '../values/stream-ticket.ts'
import { adoptSocket, detachSocket, discardTicket } from './hand-over.ts'
import { StreamSocket } from './stream-socket.ts'

/** Where to connect to, and for how long to try. */
export interface ConnectOptions extends WaitOptions {
  /** An address or a name; `localhost` if not given. */
  readonly host?: string
  readonly port: number
  /** Restricts the look-up of a name, so that the address of a listener or stream can be given as it is; any if not given. */
  readonly family?: SocketAddress['family']
  /** Whether to send small writes at once (TCP_NODELAY); true if not given, unlike in `node:net`. */
  readonly noDelay?: boolean
  /** The address of this machine to connect from, which decides the family; whichever leads there if not given. */
  readonly localHost?: string
  /** The port to connect from; whichever is free if not given. */
  readonly localPort?: number
}

const CONNECT_NAMES = optionNames<ConnectOptions>({
  host: true,
  port: true,
  family: true,
  noDelay: true,
  localHost: true,
  localPort: true,
  signal: true,
  timeoutMs: true,
})

/**
 * A TCP connection.
 *
 * What all streams do is told with {@link StreamSocket}: reading, writing, consuming, half-closing. A TCP stream has addresses,
 * options of TCP, a {@link reset}, and can be given to another thread.
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
export class TcpStream extends StreamSocket {
  static {
    showAs(TcpStream, (stream) => {
      const remote = stream.remoteAddress
      const peer = remote === null ? 'unknown peer' : formatAddress(remote)
      return `TcpStream ${peer} ${stream.isClosed ? 'closed' : 'open'}`
    })
  }

  /**
   * Connects to the address of the host that answers first.
   *
   * Its addresses are tried in turn, IPv6 and IPv4 alternating, each as soon as the one before has failed, or
   * beside it after 250 ms (RFC 8305). All others are closed then.
   *
   * @throws {KernelError} of the first address, such as `ECONNREFUSED`, with an `AggregateError` of all
   * that were tried as its cause if they are several; what the look-up throws. `EADDRNOTAVAIL` or `EADDRINUSE` of `bind`
   * for a `localHost` or `localPort` that can't be had.
   * @throws {RuntimeError} `ERR_TASK_TIMEOUT` after `timeoutMs`, all addresses together.
   * @throws {TypeError | RangeError} for options of the wrong kind.
   */
  static async connect(options: ConnectOptions): Promise<TcpStream> {
    const action = 'connect'
    validateOptions(action, options, CONNECT_NAMES)
    const { host = 'localhost', port, noDelay = true, signal, timeoutMs } = options
    validateEndpoint(action, host, port, 1)
    validateFamily(action, options.family, host)
    validateBoolean(action, 'noDelay', noDelay)
    const local = readLocalEnd(action, options)
    const family = local.family ?? options.family
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
    const { localHost, localPort } = local
    const settings = { noDelay, localHost, localPort }
    const race = { net, addresses, settings, options: left, action: whole }
    return new TcpStream(await connectFirst(race))
  }

  /**
   * Takes over a connection that another thread of the process has given away: see {@link detach}; or one whose descriptor
   * came from elsewhere: see `UnixStream.receiveDescriptors()`.
   *
   * What had come there is read first, in order. The counts of bytes go on, and options that were set stay.
   *
   * @throws {RuntimeError} `ERR_TICKET_SPENT` unless the ticket is good, which it is once: it was adopted or discarded,
   * the thread that made it has ended, or it is of another process. `ERR_EXECUTOR_CLOSED`; what the first socket of a
   * thread needs and does not get, and then the ticket is still good.
   * @throws {RuntimeError} `ERR_UNSUPPORTED` for a descriptor of something else, or that came to another thread, and
   * `ERR_HANDLE_CLOSED` for one that is gone.
   * @throws {TypeError | RangeError} for what is neither.
   */
  static adopt(from: TcpStreamTicket | OwnedDescriptor): TcpStream {
    return new TcpStream(adoptSocket(from, 'TcpStream'))
  }

  /**
   * Closes the connection of a ticket that nobody is to adopt any more, on any thread; false if it was adopted, or
   * is closed already. Attaches no executor.
   *
   * @throws {TypeError | RangeError} for what is no ticket.
   */
  static discard(ticket: TcpStreamTicket): boolean {
    return discardTicket(ticket, 'TcpStream')
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
    return detachSocket<TcpStreamTicket>(this.socket, 'TcpStream', options)
  }

  /** Closes it at once and drops what is unsent; the peer's reads fail with `ECONNRESET`. */
  reset(): Promise<void> {
    const { isClosed, fd, net } = this.socket
    if (!isClosed) setLinger(net.executor.kernel, fd, 0)
    return this.socket.close()
  }

  /** {@link reset}, by the name that a sink has for it: the peer does not take what has come for the whole. */
  override abort(): Promise<void> {
    return this.reset()
  }

  /** @throws {RuntimeError} `ERR_HANDLE_CLOSED` */
  override get localAddress(): SocketAddress {
    return this.socket.localAddress as SocketAddress
  }

  /** The peer; null if it had gone before it could be asked. */
  override get remoteAddress(): SocketAddress | null {
    return this.socket.remoteAddress as SocketAddress | null
  }

  /** Sends small writes at once (true, as streams are made), or lets the kernel gather them. */
  setNoDelay(enabled: boolean): void {
    applyNoDelay(this.socket, enabled)
  }

  /** Probes an idle peer; `delayMs`, rounded up to a second, before the first probe. */
  setKeepAlive(enabled: boolean, delayMs = 0): void {
    applyKeepAlive(this.socket, enabled, delayMs)
  }

  /** How long the kernel goes on sending after a close, in seconds; null for its own choice. */
  setLinger(seconds: number | null): void {
    applyLinger(this.socket, seconds)
  }
}

/** Where to connect from, and the family that this leaves. @throws {TypeError | RangeError} */
function readLocalEnd(
  action: string,
  { host = 'localhost', family, localHost, localPort = 0 }: ConnectOptions,
): { localHost: string | null; localPort: number; family: SocketAddress['family'] | undefined } {
  validateInteger(action, 'localPort', localPort, { min: 0, max: 65_535 })
  if (localHost === undefined) return { localHost: null, localPort, family: undefined }
  validateString(action, 'localHost', localHost)
  const address = parseAddress(localHost, localPort)
  if (address === null) {
    throw new RangeError(
      `Cannot ${action} as localHost must be an address: current value is ${JSON.stringify(localHost)}`,
    )
  }
  if (family !== undefined && family !== address.family) {
    throw new RangeError(
      `Cannot ${action} as localHost must be an address of family ${family}: current value is ${localHost}`,
    )
  }
  validateFamily(action, address.family, host)
  return { localHost: address.host, localPort, family: address.family }
}
