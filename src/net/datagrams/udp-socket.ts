import {
  assert,
  optionNames,
  showAs,
  validateBoolean,
  validateInteger,
  validateOptions,
  validateString,
  wrongType,
} from '../../base/index.ts'
import {
  checkCancellation,
  type Executor,
  executor,
  refusalOf,
  refuse,
  type WaitOptions,
} from '../../executor/index.ts'
import {
  AF_INET6,
  EMSGSIZE,
  kernelError,
  SO_BROADCAST,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOL_SOCKET,
} from '../../kernel/index.ts'
import { Lease } from '../../memory/index.ts'
import { netRingFor } from '../memory/net-ring.ts'
import { connectSocket } from '../sockets/connect.ts'
import { handleClosed } from '../sockets/socket.ts'
import {
  formatAddress,
  parseAddress,
  type SocketAddress,
  validateEndpoint,
  validateFamily,
} from '../values/address.ts'
import { remainingOptions, resolveHost } from '../values/resolve.ts'
import { domainOf, encodeAddress } from '../values/sockaddr.ts'
import { setIntOption } from '../values/socket-options.ts'
import { encodeRaw, type RawAddress } from './address-book.ts'
import { DatagramPort } from './datagram-port.ts'
import { DATAGRAM_BYTES_MAX } from './datagram-ring.ts'
import { DatagramSocket, waitOf } from './datagram-socket.ts'
import {
  applyMembership,
  applyMulticastInterface,
  applyMulticastLoop,
  applyMulticastTtl,
  applyTtl,
  type GroupMembership,
  type OptionTarget,
} from './multicast.ts'
import { CONTROL_BYTES } from './received-message.ts'
import {
  applyUdpOptions,
  checkUdpOptions,
  datagramBytesMaxOf,
  notAnAddress,
  notConnected,
  type UdpBindOptions,
  type UdpConnectOptions,
  type UdpOptions,
} from './udp-options.ts'

/** A place to send to: an address, not a name. */
export interface UdpDestination {
  /** An address; names are to be looked up before. */
  readonly host: string
  readonly port: number
  readonly family?: SocketAddress['family']
}

/** Where to send to, and how; a signal or time limit ends a send that waits. */
export interface UdpSendOptions extends WaitOptions {
  /** Not needed on a connected socket. The address of a datagram that has come costs least. */
  readonly to?: UdpDestination
  /**
   * Cuts the data into datagrams of so many bytes, the last one of what is left: one call of the kernel for up to 64 of them
   * (UDP_SEGMENT). All of them have at most 65,507 bytes together, and each fits the network's packets. Linux 4.18.
   */
  readonly segmentBytes?: number
}

const SEND_NAMES = optionNames<UdpSendOptions>({
  to: true,
  segmentBytes: true,
  signal: true,
  timeoutMs: true,
})
const DESTINATION_NAMES = optionNames<UdpDestination>({ host: true, port: true, family: true })
const MEMBERSHIP_NAMES = optionNames<GroupMembership>({ interface: true })
/** Loopback and devices take them as they come: none waits for who receives it. */
const SENDS_MAX = 64
/** Room for a name of either family. */
const IPV4_NAME_BYTES = 16
const IPV6_NAME_BYTES = 32

/**
 * A UDP socket: datagrams to and from anybody, or one peer.
 *
 * What all datagram sockets do is told with {@link DatagramSocket}: receiving, consuming, closing. A connected one hears its peer alone,
 * and is told of errors: `ECONNREFUSED` of a read or the next send says that nobody was there.
 *
 * @example Ask, and read the answer
 * ```ts run
 * import { UdpSocket } from 'percore/net'
 *
 * await using server = await UdpSocket.bind({ port: 0 })
 * await using client = await UdpSocket.connect(server.localAddress)
 * await client.send(new TextEncoder().encode('ping'))
 * const { data, from } = await server.receive()
 * await server.send(data, { to: from })
 * console.log((await client.receive()).data.length) // 4
 * ```
 */
export class UdpSocket extends DatagramSocket<SocketAddress> {
  static {
    showAs(UdpSocket, (socket) => {
      if (socket.isClosed) return 'UdpSocket closed'
      const remote = socket.remoteAddress
      const peer = remote === null ? '' : ` to ${formatAddress(remote)}`
      return `UdpSocket ${formatAddress(socket.localAddress)}${peer}`
    })
  }

  // What was sent to last, as a server answers who has just asked.
  #lastHost = ''
  #lastPort = -1
  #lastRaw: RawAddress | null = null

  private constructor(port: DatagramPort) {
    super(port)
  }

  /**
   * Receives at an address, from anybody.
   *
   * @throws {KernelError} such as `EADDRINUSE`, `EACCES`; what the look-up of a name throws.
   * @throws {RuntimeError} `ERR_TASK_TIMEOUT` after `timeoutMs`.
   * @throws {TypeError | RangeError} for options of the wrong kind.
   */
  static override async bind(options: UdpBindOptions): Promise<UdpSocket> {
    const action = 'bind a socket'
    checkUdpOptions(action, options, false)
    const refusal = refusalOf(action)
    if (refusal !== null) return refusal
    const current = executor()
    const wait = { signal: options.signal, timeoutMs: options.timeoutMs }
    checkCancellation(current, wait, action)
    const { host = 'localhost', port, family } = options
    const [address] = await resolveHost(current, { host, port, family }, wait)
    assert(address !== undefined, 'a host that was found has an address')
    try {
      const opened = open(current, address, options)
      return new UdpSocket(bindPort(opened, address))
    } catch (error) {
      return refuse(error)
    }
  }

  /**
   * Exchanges datagrams with one address alone: the first that the host has.
   *
   * @throws {KernelError} such as `ENETUNREACH`; what the look-up of a name throws.
   * @throws {RuntimeError} `ERR_TASK_TIMEOUT` after `timeoutMs`.
   * @throws {TypeError | RangeError} for options of the wrong kind.
   */
  static async connect(options: UdpConnectOptions): Promise<UdpSocket> {
    const action = 'connect'
    checkUdpOptions(action, options, true)
    const {
      host = 'localhost',
      port,
      family,
      localHost,
      localPort = 0,
      signal,
      timeoutMs,
    } = options
    const local = localHost === undefined ? null : readLocal(action, localHost, localPort)
    validateInteger(action, 'localPort', localPort, { min: 0, max: 65_535 })
    const refusal = refusalOf(action)
    if (refusal !== null) return refusal
    const current = executor()
    const wait = { signal, timeoutMs }
    const startNs = current.nowNs()
    checkCancellation(current, wait, action)
    const [remote] = await resolveHost(current, { host, port, family }, wait)
    assert(remote !== undefined, 'a host that was found has an address')
    let opened: DatagramPort
    try {
      opened = open(current, remote, options)
      const anywhere = remote.family === 'ipv4' ? '0.0.0.0' : '::'
      if (local !== null) bindPort(opened, local)
      else if (localPort > 0) bindPort(opened, parseAddress(anywhere, localPort)!)
    } catch (error) {
      return refuse(error)
    }
    try {
      await connectSocket(opened, remote, remainingOptions(current, wait, startNs, action))
    } catch (error) {
      await opened.close()
      throw error
    }
    opened.remote = remote
    return new UdpSocket(opened)
  }

  /**
   * Sends a datagram, which may be empty, or several with `segmentBytes`. The data must not be changed until then; a lease may be
   * released at once, and is sent without a copy. That the kernel has taken it does not say that it arrives.
   *
   * A send that is cancelled or times out is withdrawn, unless it was sent.
   *
   * @throws {KernelError} `EMSGSIZE` for more than 65,507 bytes (IPv6: 65,527), or segments that do not fit; `ECONNREFUSED` of a
   * connected socket for one sent before; `ENETUNREACH`, `EACCES` for a broadcast that was not asked for.
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`; `ERR_UNSUPPORTED` without an address on a socket that is not connected;
   * `ERR_BUFFER_RELEASED`; `ERR_OUT_OF_MEMORY` where there is none for a whole datagram.
   * @throws {TypeError | RangeError} for arguments of the wrong kind.
   *
   * @example Many datagrams in one call
   * ```ts run
   * import { UdpSocket } from 'percore/net'
   *
   * await using receiver = await UdpSocket.bind({ port: 0 })
   * await using sender = await UdpSocket.bind({ port: 0 })
   * await sender.send(new Uint8Array(2500), { to: receiver.localAddress, segmentBytes: 1000 })
   * for (let count = 0; count < 3; count++) console.log((await receiver.receive()).data.length)
   * ```
   */
  send(data: Uint8Array | Lease, options?: UdpSendOptions): Promise<void> {
    let to: RawAddress | null = null
    let segmentBytes = 0
    let wait: WaitOptions | undefined
    try {
      if (options !== undefined) {
        validateOptions('send', options, SEND_NAMES)
        if (options.to !== undefined) to = this.#rawOf(options.to)
        if (options.segmentBytes !== undefined) {
          segmentBytes = options.segmentBytes
          validateInteger('send', 'segmentBytes', segmentBytes, { min: 1, max: 65_507 })
        }
        wait = waitOf(options)
      }
      if (to === null && this.port.remote === null) throw notConnected()
      const lengthBytes = data instanceof Lease ? data.lengthBytes : data?.length
      // It would need memory before the kernel could say so.
      if (lengthBytes > DATAGRAM_BYTES_MAX) {
        throw kernelError(-EMSGSIZE, this.port.describe('sendmsg'))
      }
    } catch (error) {
      return refuse(error)
    }
    return this.sendRaw(data, to, { segmentBytes, wait })
  }

  override get localAddress(): SocketAddress {
    return this.port.localAddress as SocketAddress
  }

  override get remoteAddress(): SocketAddress | null {
    return this.port.remote as SocketAddress | null
  }

  /** Whether it may send to broadcast addresses. */
  setBroadcast(enabled: boolean): void {
    validateBoolean('set broadcast', 'enabled', enabled)
    const { kernel, fd } = this.#target()
    setIntOption(kernel, fd, SOL_SOCKET, SO_BROADCAST, enabled ? 1 : 0)
  }

  /** How many routers a datagram may pass: 1 to 255. */
  setTtl(ttl: number): void {
    validateInteger('set a time to live', 'ttl', ttl, { min: 1, max: 255 })
    applyTtl(this.#target(), ttl)
  }

  /** The same of multicast: 0, which stays on this machine, to 255. */
  setMulticastTtl(ttl: number): void {
    validateInteger('set a time to live', 'ttl', ttl, { min: 0, max: 255 })
    applyMulticastTtl(this.#target(), ttl)
  }

  /** Whether what it sends to a group comes to members on this machine. */
  setMulticastLoop(enabled: boolean): void {
    validateBoolean('set loop-back', 'enabled', enabled)
    applyMulticastLoop(this.#target(), enabled)
  }

  /** Where multicast goes out: the number of an interface or, of IPv4, its address. */
  setMulticastInterface(through: number | string): void {
    applyMulticastInterface(this.#target(), through)
  }

  /**
   * Receives what is sent to a group, at the port that it is bound to.
   *
   * @throws {KernelError} such as `EADDRINUSE` where it is a member, `ENODEV`.
   *
   * @example
   * ```ts
   * import { UdpSocket } from 'percore/net'
   *
   * await using socket = await UdpSocket.bind({ host: '0.0.0.0', port: 5353, reuseAddress: true })
   * socket.joinGroup('224.0.0.251')
   * for await (const { data, from } of socket) console.log(from.host, data.length)
   * ```
   */
  joinGroup(group: string, options: GroupMembership = {}): void {
    this.#setMembership('join a group', group, { joins: true, options })
  }

  /** @throws {KernelError} such as `EADDRNOTAVAIL` where it is no member. */
  leaveGroup(group: string, options: GroupMembership = {}): void {
    this.#setMembership('leave a group', group, { joins: false, options })
  }

  #setMembership(
    action: string,
    group: string,
    { joins, options }: { readonly joins: boolean; readonly options: GroupMembership },
  ): void {
    validateString(action, 'group', group)
    validateOptions(action, options, MEMBERSHIP_NAMES)
    applyMembership(this.#target(), group, { joins, through: options.interface ?? 0 })
  }

  #target(): OptionTarget {
    if (this.isClosed) throw handleClosed('set an option')
    const { net, fd, domain } = this.port
    return { kernel: net.executor.kernel, fd, isIpv6: domain === AF_INET6 }
  }

  #rawOf(to: UdpDestination): RawAddress {
    const known = this.port.ring.book.find(to as SocketAddress)
    if (known !== null) return known
    if (typeof to !== 'object' || to === null) throw wrongType('send', 'to', 'an address', to)
    const { host, port, family } = to
    if (host === this.#lastHost && port === this.#lastPort && family === undefined) {
      return this.#lastRaw!
    }
    validateOptions('send', to, DESTINATION_NAMES, 'to')
    validateString('send', 'to.host', host)
    validateEndpoint('send', host, port, 1)
    validateFamily('send', family, host)
    const address = parseAddress(host, port)
    if (address === null) throw notAnAddress(host)
    const raw = encodeRaw(address)
    this.#lastHost = host
    this.#lastPort = port
    this.#lastRaw = raw
    return raw
  }
}

/** @throws {RangeError} */
function readLocal(action: string, host: string, port: number): SocketAddress {
  validateEndpoint(action, host, port, 0)
  const address = parseAddress(host, port)
  if (address !== null) return address
  throw new RangeError(
    `Cannot ${action} as localHost must be an address: current value is ${JSON.stringify(host)}`,
  )
}

/** Opens a socket of the address's family, and sets its options. @throws {KernelError} */
function open(current: Executor, address: SocketAddress, options: UdpOptions): DatagramPort {
  current.assertOpen('open a socket')
  const isIpv6 = address.family === 'ipv6'
  const domain = domainOf(address)
  const fd = current.descriptors.openSocket(domain, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  if (fd < 0) throw kernelError(fd, { syscall: 'socket', address: formatAddress(address) })
  try {
    applyUdpOptions(current.kernel, fd, { ...options, isIpv6 })
    return new DatagramPort({
      net: netRingFor(current, current.currentQueue()),
      fd,
      domain,
      messageDataBytesMax: options.receiveOffload
        ? DATAGRAM_BYTES_MAX
        : datagramBytesMaxOf(options),
      datagramBytesMax: datagramBytesMaxOf(options),
      layout: {
        nameBytes: isIpv6 ? IPV6_NAME_BYTES : IPV4_NAME_BYTES,
        controlBytes: options.receiveOffload ? CONTROL_BYTES : 0,
      },
      sendsMax: SENDS_MAX,
    })
  } catch (error) {
    current.descriptors.closeFd(fd)
    throw error
  }
}

/** Binds it; closes it where that fails. @throws {KernelError} */
function bindPort(port: DatagramPort, address: SocketAddress): DatagramPort {
  const bound = port.net.executor.kernel.bindSocket(port.fd, encodeAddress(address))
  if (bound >= 0) return port
  void port.close()
  throw kernelError(bound, { syscall: 'bind', fd: port.fd, address: formatAddress(address) })
}
