import {
  optionNames,
  RuntimeError,
  validateBoolean,
  validateInteger,
  validateOptions,
  wrongType,
} from '../../base/index.ts'
import type { WaitOptions } from '../../executor/index.ts'
import {
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  type Kernel,
  SO_BROADCAST,
  SO_RCVBUF,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_SNDBUF,
  SOL_SOCKET,
  SOL_UDP,
  UDP_GRO,
} from '../../kernel/index.ts'
import { type SocketAddress, validateEndpoint, validateFamily } from '../values/address.ts'
import { setIntOption } from '../values/socket-options.ts'
import { DATAGRAM_BYTES_MAX } from './datagram-ring.ts'
import {
  applyMulticastInterface,
  applyMulticastLoop,
  applyMulticastTtl,
  applyTtl,
} from './multicast.ts'

/** What a UDP socket is like; a signal or time limit ends the look-up of a name. */
export interface UdpOptions extends WaitOptions {
  /** Restricts the look-up of a name, so that the address of a socket can be given as it is; any if not given. */
  readonly family?: SocketAddress['family']
  /** Whether others may bind the same port, as receivers of multicast do; false if not given. */
  readonly reuseAddress?: boolean
  /** Whether other sockets, of other threads, may share the port: the kernel gives each sender to one of them; false if not given. */
  readonly reusePort?: boolean
  /** Whether a socket of IPv6 leaves the same port of IPv4 to others; the system's setting (no) if not given. */
  readonly ipv6Only?: boolean
  /** Whether it may send to broadcast addresses; false if not given. */
  readonly broadcast?: boolean
  /** How many routers a datagram may pass; the system's (64) if not given. */
  readonly ttl?: number
  /** The same of multicast; 1 if not given. */
  readonly multicastTtl?: number
  /** Whether what it sends to a group comes to members on this machine; true if not given. */
  readonly multicastLoop?: boolean
  /** Where multicast goes out: the number of an interface or, of IPv4, its address; as routes say if not given. */
  readonly multicastInterface?: number | string
  /** What the kernel keeps until it is read; it doubles the value. */
  readonly receiveBufferBytes?: number
  /** What the kernel keeps of what is sent; it doubles the value. */
  readonly sendBufferBytes?: number
  /**
   * The longest datagram that is received as a whole, up to 65,535; 8,192 if not given. The end of a longer one is lost, which is
   * told. Above 16,000 bytes each that waits takes 68 KiB.
   */
  readonly datagramBytesMax?: number
  /**
   * Whether the kernel may bring datagrams of one sender together, which are told apart here (UDP_GRO): less work for each
   * under load; false if not given. Linux 5.0. Each message takes 68 KiB then.
   */
  readonly receiveOffload?: boolean
}

/** Where to receive, and how. */
export interface UdpBindOptions extends UdpOptions {
  /** An address or a name; `localhost`, which is 127.0.0.1, if not given. `0.0.0.0` or `::` for all. */
  readonly host?: string
  /** 0 lets the kernel choose. */
  readonly port: number
}

/** Who to exchange datagrams with, and how. */
export interface UdpConnectOptions extends UdpOptions {
  /** An address or a name; `localhost` if not given. */
  readonly host?: string
  readonly port: number
  /** The address to send from; as routes say if not given. */
  readonly localHost?: string
  /** 0, or not given, lets the kernel choose. */
  readonly localPort?: number
}

const COMMON: Record<keyof UdpOptions, true> = {
  family: true,
  reuseAddress: true,
  reusePort: true,
  ipv6Only: true,
  broadcast: true,
  ttl: true,
  multicastTtl: true,
  multicastLoop: true,
  multicastInterface: true,
  receiveBufferBytes: true,
  sendBufferBytes: true,
  datagramBytesMax: true,
  receiveOffload: true,
  signal: true,
  timeoutMs: true,
}
const UDP_BIND_NAMES = optionNames<UdpBindOptions>({ ...COMMON, host: true, port: true })
const UDP_CONNECT_NAMES = optionNames<UdpConnectOptions>({
  ...COMMON,
  host: true,
  port: true,
  localHost: true,
  localPort: true,
})
const BOOLEANS = [
  'reuseAddress',
  'reusePort',
  'ipv6Only',
  'broadcast',
  'multicastLoop',
  'receiveOffload',
] as const
const DATAGRAM_BYTES_USUAL = 8192
const SIZES = { min: 1, max: 2 ** 30 }

/** @throws {TypeError | RangeError} for options of the wrong kind. */
export function checkUdpOptions(
  action: string,
  options: UdpBindOptions | UdpConnectOptions,
  isConnecting: boolean,
): void {
  validateOptions(action, options, isConnecting ? UDP_CONNECT_NAMES : UDP_BIND_NAMES)
  const { host = 'localhost', port, family, multicastInterface } = options
  validateEndpoint(action, host, port, isConnecting ? 1 : 0)
  validateFamily(action, family, host)
  for (const name of BOOLEANS) {
    if (options[name] !== undefined) validateBoolean(action, name, options[name])
  }
  checkInteger(action, 'ttl', options.ttl, { min: 1, max: 255 })
  checkInteger(action, 'multicastTtl', options.multicastTtl, { min: 0, max: 255 })
  checkInteger(action, 'receiveBufferBytes', options.receiveBufferBytes, SIZES)
  checkInteger(action, 'sendBufferBytes', options.sendBufferBytes, SIZES)
  checkDatagramBytesMax(action, options.datagramBytesMax)
  if (multicastInterface === undefined || typeof multicastInterface === 'string') return
  if (typeof multicastInterface !== 'number') {
    throw wrongType(action, 'multicastInterface', 'a number or a string', multicastInterface)
  }
}

/** How much of a datagram is received; the kernel brings together up to the most there is. */
export function datagramBytesMaxOf({
  datagramBytesMax = DATAGRAM_BYTES_USUAL,
}: UdpOptions): number {
  return datagramBytesMax
}

/** Sets what was asked for, before the socket is bound. @throws {KernelError} */
export function applyUdpOptions(
  kernel: Kernel,
  fd: number,
  options: UdpOptions & { readonly isIpv6: boolean },
): void {
  const { isIpv6, reuseAddress, reusePort, ipv6Only, broadcast, receiveOffload } = options
  if (reuseAddress) setIntOption(kernel, fd, SOL_SOCKET, SO_REUSEADDR, 1)
  if (reusePort) setIntOption(kernel, fd, SOL_SOCKET, SO_REUSEPORT, 1)
  if (broadcast) setIntOption(kernel, fd, SOL_SOCKET, SO_BROADCAST, 1)
  if (isIpv6 && ipv6Only !== undefined) {
    setIntOption(kernel, fd, IPPROTO_IPV6, IPV6_V6ONLY, ipv6Only ? 1 : 0)
  }
  const { receiveBufferBytes, sendBufferBytes, ttl } = options
  if (receiveBufferBytes !== undefined) {
    setIntOption(kernel, fd, SOL_SOCKET, SO_RCVBUF, receiveBufferBytes)
  }
  if (sendBufferBytes !== undefined)
    setIntOption(kernel, fd, SOL_SOCKET, SO_SNDBUF, sendBufferBytes)
  const at = { kernel, fd, isIpv6 }
  const { multicastTtl, multicastLoop, multicastInterface } = options
  if (ttl !== undefined) applyTtl(at, ttl)
  if (multicastTtl !== undefined) applyMulticastTtl(at, multicastTtl)
  if (multicastLoop !== undefined) applyMulticastLoop(at, multicastLoop)
  if (multicastInterface !== undefined) applyMulticastInterface(at, multicastInterface)
  if (receiveOffload === true) setIntOption(kernel, fd, SOL_UDP, UDP_GRO, 1)
}

/** @throws {TypeError | RangeError} */
export function checkDatagramBytesMax(action: string, bytes: unknown): void {
  checkInteger(action, 'datagramBytesMax', bytes, { min: 1, max: DATAGRAM_BYTES_MAX })
}

function checkInteger(
  action: string,
  name: string,
  value: unknown,
  range: { readonly min: number; readonly max: number },
): void {
  if (value !== undefined) validateInteger(action, name, value, range)
}

/** Why a name is no place to send to. */
export function notAnAddress(host: string): RangeError {
  return new RangeError(
    `Cannot send as to.host must be an address: look names up once, before sending; current value is ${JSON.stringify(host)}`,
  )
}

export function notConnected(): RuntimeError {
  return new RuntimeError(
    'ERR_UNSUPPORTED',
    'Cannot send as there must be an address to send to: the socket is not connected, and none is given',
  )
}
