/** How far datagrams go, and which groups a socket is a member of. */
import {
  IP_ADD_MEMBERSHIP,
  IP_DROP_MEMBERSHIP,
  IP_MULTICAST_IF,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  IP_TTL,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPV6_JOIN_GROUP,
  IPV6_LEAVE_GROUP,
  IPV6_MULTICAST_HOPS,
  IPV6_MULTICAST_IF,
  IPV6_MULTICAST_LOOP,
  IPV6_UNICAST_HOPS,
  kernelError,
  type SocketCalls,
} from '../../kernel/index.ts'
import { parseIpv4, parseIpv6 } from '../values/ip-text.ts'
import { setIntOption } from '../values/socket-options.ts'

/** The socket whose options are set. */
export interface OptionTarget {
  readonly kernel: SocketCalls
  readonly fd: number
  readonly isIpv6: boolean
}

/** A group, and where: the number of an interface or, of IPv4, its address; as routes say if not given. */
export interface GroupMembership {
  readonly interface?: number | string
}

export function applyTtl(target: OptionTarget, ttl: number): void {
  set(target, IP_TTL, IPV6_UNICAST_HOPS, ttl)
}

export function applyMulticastTtl(target: OptionTarget, ttl: number): void {
  set(target, IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS, ttl)
}

export function applyMulticastLoop(target: OptionTarget, enabled: boolean): void {
  set(target, IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP, enabled ? 1 : 0)
}

/** @throws {KernelError} such as `EADDRNOTAVAIL`; {@link RangeError} for an address that is none, or of IPv6. */
export function applyMulticastInterface(target: OptionTarget, through: number | string): void {
  const { kernel, fd, isIpv6 } = target
  if (isIpv6) {
    setIntOption(kernel, fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, interfaceNumber(through))
  } else {
    setRaw(target, {
      level: IPPROTO_IP,
      option: IP_MULTICAST_IF,
      value: encodeIpv4Group(0, through),
    })
  }
}

/** @throws {KernelError} such as `EADDRINUSE` for a member, `EADDRNOTAVAIL` for none; {@link RangeError} for no address. */
export function applyMembership(
  target: OptionTarget,
  group: string,
  { joins, through }: { readonly joins: boolean; readonly through: number | string },
): void {
  const ipv4 = target.isIpv6 ? null : parseIpv4(group)
  const ipv6 = target.isIpv6 ? parseIpv6(group) : null
  if (ipv4 !== null) {
    const option = joins ? IP_ADD_MEMBERSHIP : IP_DROP_MEMBERSHIP
    setRaw(target, { level: IPPROTO_IP, option, value: encodeIpv4Group(ipv4, through) })
  } else if (ipv6 !== null) {
    const option = joins ? IPV6_JOIN_GROUP : IPV6_LEAVE_GROUP
    const index = through === 0 ? ipv6.scope : interfaceNumber(through)
    setRaw(target, { level: IPPROTO_IPV6, option, value: encodeIpv6Group(ipv6.words, index) })
  } else {
    throw new RangeError(
      `Cannot ${joins ? 'join' : 'leave'} a group as group must be an address of the socket's family: current value is ${group}`,
    )
  }
}

/** ABI: struct ip_mreqn: group, address of the interface, its number. */
function encodeIpv4Group(group: number, through: number | string): Uint8Array {
  const bytes = new Uint8Array(12)
  const fields = new DataView(bytes.buffer)
  fields.setUint32(0, group)
  if (typeof through === 'number') fields.setInt32(8, interfaceNumber(through), true)
  else fields.setUint32(4, interfaceAddress(through))
  return bytes
}

/** ABI: struct ipv6_mreq: group, number of the interface. */
function encodeIpv6Group(words: readonly number[], index: number): Uint8Array {
  const bytes = new Uint8Array(20)
  const fields = new DataView(bytes.buffer)
  for (const [group, word] of words.entries()) fields.setUint16(group * 2, word)
  fields.setInt32(16, index, true)
  return bytes
}

function interfaceAddress(host: string): number {
  const address = parseIpv4(host)
  if (address !== null) return address
  throw new RangeError(
    `Cannot use an interface as it must be a number, or an address of IPv4: current value is ${JSON.stringify(host)}`,
  )
}

function interfaceNumber(through: unknown): number {
  if (Number.isInteger(through) && (through as number) >= 0 && (through as number) < 2 ** 31) {
    return through as number
  }
  throw new RangeError(
    `Cannot use an interface as it must be a number, from 0 to 2147483647: current value is ${JSON.stringify(through)}`,
  )
}

function set(
  { kernel, fd, isIpv6 }: OptionTarget,
  ipv4: number,
  ipv6: number,
  value: number,
): void {
  setIntOption(kernel, fd, isIpv6 ? IPPROTO_IPV6 : IPPROTO_IP, isIpv6 ? ipv6 : ipv4, value)
}

function setRaw(
  { kernel, fd }: OptionTarget,
  {
    level,
    option,
    value,
  }: { readonly level: number; readonly option: number; readonly value: Uint8Array },
): void {
  const result = kernel.setSocketOption(fd, level, option, value)
  if (result < 0) throw kernelError(result, { syscall: 'setsockopt', fd })
}
