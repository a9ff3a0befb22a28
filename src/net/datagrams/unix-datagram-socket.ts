import { optionNames, showAs, validateOptions } from '../../base/index.ts'
import {
  checkCancellation,
  executor,
  refusalOf,
  refuse,
  type WaitOptions,
} from '../../executor/index.ts'
import { AF_UNIX, kernelError, SOCK_CLOEXEC, SOCK_DGRAM } from '../../kernel/index.ts'
import type { Lease } from '../../memory/index.ts'
import { type NetRing, netRingFor } from '../memory/net-ring.ts'
import { bindUnix, removeOwnFile } from '../sockets/bind-unix.ts'
import { connectSocket } from '../sockets/connect.ts'
import { formatAddress, type UnixAddress } from '../values/address.ts'
import { remainingOptions } from '../values/resolve.ts'
import { readUnixEndpoint, type UnixEndpoint } from '../values/unix-endpoint.ts'
import { encodeRaw, type RawAddress } from './address-book.ts'
import { DatagramPort } from './datagram-port.ts'
import { DatagramSocket, waitOf } from './datagram-socket.ts'
import { checkDatagramBytesMax } from './udp-options.ts'

/** What a Unix datagram socket is like. */
export interface UnixDatagramOptions {
  /**
   * The longest datagram that is received as a whole, up to 65,535; 8,192 if not given. The end of a longer one is lost, which is
   * told. Above 16,000 bytes each that waits takes 68 KiB.
   */
  readonly datagramBytesMax?: number
}

/** Where to receive; a signal or time limit ends the wait for who repairs the same name. */
export interface UnixDatagramBindOptions extends UnixEndpoint, UnixDatagramOptions, WaitOptions {}

/** Who to exchange datagrams with. */
export interface UnixDatagramConnectOptions extends UnixEndpoint, UnixDatagramOptions, WaitOptions {
  /** The name to receive answers at; without it it has none, and cannot be answered. */
  readonly local?: UnixEndpoint
}

/** Where to send to; a signal or time limit ends a send that waits. */
export interface UnixDatagramSendOptions extends WaitOptions {
  /** Not needed on a connected socket, or of a pair. */
  readonly to?: UnixEndpoint
}

const ENDPOINT = { path: true, abstractName: true, family: true } as const
const WAIT = { signal: true, timeoutMs: true } as const
const OPEN_NAMES = optionNames<UnixDatagramOptions>({ datagramBytesMax: true })
const BIND_NAMES = optionNames<UnixDatagramBindOptions>({
  ...ENDPOINT,
  ...WAIT,
  datagramBytesMax: true,
})
const CONNECT_NAMES = optionNames<UnixDatagramConnectOptions>({
  ...ENDPOINT,
  ...WAIT,
  datagramBytesMax: true,
  local: true,
})
const ENDPOINT_NAMES = optionNames<UnixEndpoint>(ENDPOINT)
const SEND_NAMES = optionNames<UnixDatagramSendOptions>({ ...WAIT, to: true })
const DATAGRAM_BYTES_USUAL = 8192
/** ABI: room for a struct sockaddr_un, in whole words of 64 bits. */
const NAME_BYTES = 112
/** They wait for their receiver, and one that goes before another that waits would change their order. */
const SENDS_MAX = 1
const UNNAMED: UnixAddress = { family: 'unix', path: null, abstractName: null }

/**
 * A Unix datagram socket: datagrams within the machine, in order and without loss.
 *
 * What all datagram sockets do is told with {@link DatagramSocket}. A send waits while its receiver has about ten unread; those behind
 * it wait as well, also to others. Room is told to who is connected; others try again after 1 ms, then after twice as long, up to 64 ms. Who has no name, as one that neither is bound nor was told a `local` name, can send, and not be
 * answered: the datagrams are from an address without path or abstract name.
 *
 * **The file of a path** is made, kept and removed as a {@link UnixListener}'s: one that nobody has is taken over, that of a live socket never,
 * and {@link close} removes it if it is still the same.
 *
 * @example Log to a socket of the machine
 * ```ts run
 * import { UnixDatagramSocket } from 'percore/net'
 *
 * const abstractName = `percore-log-${process.pid}`
 * await using log = await UnixDatagramSocket.bind({ abstractName })
 * await using client = await UnixDatagramSocket.connect({ abstractName })
 * await client.send(new TextEncoder().encode('started'))
 * const { data, from } = await log.receive()
 * console.log(data.length, from.path) // 7 null
 * ```
 */
export class UnixDatagramSocket extends DatagramSocket<UnixAddress> {
  static {
    showAs(UnixDatagramSocket, (socket) => {
      if (socket.isClosed) return 'UnixDatagramSocket closed'
      return `UnixDatagramSocket ${formatAddress(socket.localAddress)}`
    })
  }

  private constructor(port: DatagramPort) {
    super(port)
  }

  /**
   * Receives at a name, from anybody.
   *
   * @throws {KernelError} `EADDRINUSE` while somebody has that name, or where a file of another kind has the path; `EACCES`, `ENOENT`.
   * @throws {RuntimeError} `ERR_TASK_TIMEOUT` after `timeoutMs`.
   * @throws {TypeError | RangeError} for options of the wrong kind.
   */
  static override async bind(options: UnixDatagramBindOptions): Promise<UnixDatagramSocket> {
    const action = 'bind a socket'
    validateOptions(action, options, BIND_NAMES)
    const address = readUnixEndpoint(action, options)
    const bytesMax = readBytesMax(action, options)
    const { signal, timeoutMs } = options
    const refusal = refusalOf(action)
    if (refusal !== null) return refusal
    const current = executor()
    const wait = { signal, timeoutMs }
    checkCancellation(current, wait, action)
    const net = netRingFor(current, current.currentQueue())
    return new UnixDatagramSocket(await openNamed(net, address, { bytesMax, wait, action }))
  }

  /**
   * One without a name that is not connected: to send from.
   *
   * @throws {KernelError} `EMFILE`
   * @throws {RuntimeError} `ERR_EXECUTOR_CLOSED`
   */
  static open(options: UnixDatagramOptions = {}): UnixDatagramSocket {
    const action = 'open a socket'
    validateOptions(action, options, OPEN_NAMES)
    const current = executor()
    const net = netRingFor(current, current.currentQueue())
    return new UnixDatagramSocket(openNameless(net, readBytesMax(action, options), action))
  }

  /**
   * Exchanges datagrams with one name.
   *
   * @throws {KernelError} such as `ENOENT` where there is no such path, `ECONNREFUSED` where nobody has it, `EPROTOTYPE` for a
   * stream's, `EPERM` for one that is connected to another, `EACCES`.
   * @throws {RuntimeError} `ERR_TASK_TIMEOUT` after `timeoutMs`.
   * @throws {TypeError | RangeError} for options of the wrong kind.
   */
  static async connect(options: UnixDatagramConnectOptions): Promise<UnixDatagramSocket> {
    const action = 'connect'
    validateOptions(action, options, CONNECT_NAMES)
    const remote = readUnixEndpoint(action, options)
    const bytesMax = readBytesMax(action, options)
    const { signal, timeoutMs, local } = options
    if (local !== undefined) validateOptions(action, local, ENDPOINT_NAMES, 'local')
    const name = local === undefined ? null : readUnixEndpoint(action, local)
    const refusal = refusalOf(action)
    if (refusal !== null) return refusal
    const current = executor()
    const wait = { signal, timeoutMs }
    const startNs = current.nowNs()
    checkCancellation(current, wait, action)
    const net = netRingFor(current, current.currentQueue())
    const port =
      name === null
        ? openNameless(net, bytesMax, action)
        : await openNamed(net, name, { bytesMax, wait, action })
    try {
      await connectSocket(port, remote, remainingOptions(current, wait, startNs, action))
    } catch (error) {
      await port.close()
      throw error
    }
    port.remote = remote
    return new UnixDatagramSocket(port)
  }

  /**
   * Two sockets that are connected with each other, without names.
   *
   * @throws {KernelError} `EMFILE`
   * @throws {RuntimeError} `ERR_EXECUTOR_CLOSED`
   *
   * @example
   * ```ts run
   * import { UnixDatagramSocket } from 'percore/net'
   *
   * const [one, other] = UnixDatagramSocket.pair()
   * await one.send(new Uint8Array([1, 2, 3]))
   * console.log((await other.receive()).data)
   * await one.close()
   * await other.close()
   * ```
   */
  static pair(options: UnixDatagramOptions = {}): [UnixDatagramSocket, UnixDatagramSocket] {
    const action = 'open a pair of sockets'
    validateOptions(action, options, OPEN_NAMES)
    const bytesMax = readBytesMax(action, options)
    const current = executor()
    current.assertOpen(action)
    const net = netRingFor(current, current.currentQueue())
    const fds = new Int32Array(2)
    const opened = current.descriptors.openSocketPair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, fds)
    if (opened < 0) throw kernelError(opened, { syscall: 'socketpair' })
    const [one, other] = Array.from(fds, (fd) => {
      const port = createPort(net, fd, bytesMax)
      port.remote = UNNAMED
      return new UnixDatagramSocket(port)
    })
    return [one!, other!]
  }

  /**
   * Sends a datagram, which may be empty, once its receiver has room for it. The data must not be changed until then; a lease may be
   * released at once, and is sent without a copy.
   *
   * A send that is cancelled or times out is withdrawn, unless it was sent.
   *
   * @throws {KernelError} `EMSGSIZE` for more than the send buffer holds; `ECONNREFUSED` where the receiver has gone, `ENOENT`;
   * `ENOTCONN` without a name to send to, as a connected socket has none once it was told that its receiver has gone: connect another.
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`; `ERR_BUFFER_RELEASED`; `ERR_OUT_OF_MEMORY` where there is none for a whole datagram.
   * @throws {TypeError | RangeError} for arguments of the wrong kind.
   */
  send(data: Uint8Array | Lease, options?: UnixDatagramSendOptions): Promise<void> {
    let to: RawAddress | null = null
    let wait: WaitOptions | undefined
    try {
      if (options !== undefined) {
        validateOptions('send', options, SEND_NAMES)
        if (options.to !== undefined) to = this.#rawOf(options.to)
        wait = waitOf(options)
      }
    } catch (error) {
      return refuse(error)
    }
    return this.sendRaw(data, to, { segmentBytes: 0, wait })
  }

  /** @throws {RuntimeError} `ERR_HANDLE_CLOSED` */
  override get localAddress(): UnixAddress {
    return this.port.localAddress as UnixAddress
  }

  /** Who it is connected to, which is unnamed of a pair; or null. */
  override get remoteAddress(): UnixAddress | null {
    return this.port.remote as UnixAddress | null
  }

  #rawOf(to: UnixEndpoint): RawAddress {
    const known = this.port.ring.book.find(to as UnixAddress)
    // Of who has no name it is a family alone, which the kernel would take for any.
    if (known !== null && known.lengthBytes > 2) return known
    validateOptions('send', to, ENDPOINT_NAMES, 'to')
    return encodeRaw(readUnixEndpoint('send', to))
  }
}

function readBytesMax(action: string, options: UnixDatagramOptions): number {
  checkDatagramBytesMax(action, options.datagramBytesMax)
  return options.datagramBytesMax ?? DATAGRAM_BYTES_USUAL
}

/** @throws {KernelError} */
function openNameless(net: NetRing, bytesMax: number, action: string): DatagramPort {
  net.executor.assertOpen(action)
  const fd = net.executor.descriptors.openSocket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  if (fd < 0) throw kernelError(fd, { syscall: 'socket' })
  return createPort(net, fd, bytesMax)
}

/** @throws {KernelError} */
async function openNamed(
  net: NetRing,
  name: UnixAddress,
  {
    bytesMax,
    wait,
    action,
  }: { readonly bytesMax: number; readonly wait: WaitOptions; readonly action: string },
): Promise<DatagramPort> {
  const { fd, file } = await bindUnix(net, name, { type: SOCK_DGRAM, action }, wait)
  const port = createPort(net, fd, bytesMax)
  if (file !== null) port.leavesName(() => removeOwnFile(net.executor, file))
  return port
}

/** Closes the descriptor where there is no memory to receive into. */
function createPort(net: NetRing, fd: number, bytesMax: number): DatagramPort {
  try {
    return new DatagramPort({
      net,
      fd,
      domain: AF_UNIX,
      datagramBytesMax: bytesMax,
      messageDataBytesMax: bytesMax,
      layout: { nameBytes: NAME_BYTES, controlBytes: 0 },
      sendsMax: SENDS_MAX,
    })
  } catch (error) {
    net.executor.descriptors.closeFd(fd)
    throw error
  }
}
