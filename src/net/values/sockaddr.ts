/** Addresses as the kernel has them. */
import { assert, RuntimeError } from '../../base/index.ts'
import { AF_INET, AF_INET6, AF_UNIX } from '../../kernel/index.ts'
import type { Address, SocketAddress, UnixAddress } from './address.ts'
import { formatIpv6, IPV6_GROUP_COUNT, parseIpv4, parseIpv6 } from './ip-text.ts'

// ABI: struct sockaddr_in: family, port, address; sockaddr_in6: family, port, flow, address, scope;
// sockaddr_un: family, then a path that ends in NUL, or a NUL and a name that does not.
const SOCKADDR_IN_BYTES = 16
const SOCKADDR_IN6_BYTES = 28
const FAMILY_BYTES = 2
const SUN_PATH_BYTES = 108

/** What holds the raw address of any family. */
export const SOCKADDR_BYTES_MAX: number = FAMILY_BYTES + SUN_PATH_BYTES
/** The longest path, without its NUL, or abstract name, without the NUL before it. */
export const UNIX_NAME_BYTES_MAX: number = SUN_PATH_BYTES - 1

/** `AF_…` */
export function domainOf({ family }: Address): number {
  if (family === 'unix') return AF_UNIX
  return family === 'ipv4' ? AF_INET : AF_INET6
}

/** The raw `sockaddr` of a literal address. */
export function encodeAddress(address: Address): Uint8Array {
  return address.family === 'unix' ? encodeUnix(address) : encodeIp(address)
}

/**
 * Reads a raw `sockaddr` of so many bytes.
 *
 * @throws {RuntimeError} `ERR_UNSUPPORTED` for one of another family.
 */
export function decodeAddress(bytes: Uint8Array, lengthBytes: number): Address {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint16(0, true) !== AF_UNIX) return decodeIpAddress(bytes)
  return decodeUnix(bytes.subarray(FAMILY_BYTES, lengthBytes))
}

/** The same of a socket over IP, at the beginning of `bytes`. */
export function decodeIpAddress(bytes: Uint8Array): SocketAddress {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const domain = view.getUint16(0, true)
  const port = view.getUint16(2)
  if (domain === AF_INET) {
    return { host: `${bytes[4]}.${bytes[5]}.${bytes[6]}.${bytes[7]}`, port, family: 'ipv4' }
  }
  if (domain !== AF_INET6) {
    throw new RuntimeError(
      'ERR_UNSUPPORTED',
      `Cannot read a socket address as it must be of IPv4, IPv6 or Unix: its family is ${domain}`,
    )
  }
  const words: number[] = []
  for (let group = 0; group < IPV6_GROUP_COUNT; group++) words.push(view.getUint16(8 + 2 * group))
  return { host: formatIpv6(words, view.getUint32(24, true)), port, family: 'ipv6' }
}

function encodeIp(address: SocketAddress): Uint8Array {
  const { host, port, family } = address
  const bytes = new Uint8Array(family === 'ipv4' ? SOCKADDR_IN_BYTES : SOCKADDR_IN6_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, domainOf(address), true)
  view.setUint16(2, port)
  if (family === 'ipv4') {
    view.setUint32(4, parseIpv4(host)!)
    return bytes
  }
  const { words, scope } = parseIpv6(host)!
  for (let group = 0; group < IPV6_GROUP_COUNT; group++)
    view.setUint16(8 + 2 * group, words[group]!)
  view.setUint32(24, scope, true)
  return bytes
}

/** The length says where an abstract name ends; an unnamed address is a family alone. */
function encodeUnix({ path, abstractName }: UnixAddress): Uint8Array {
  const text = path !== null ? `${path}\0` : abstractName !== null ? `\0${abstractName}` : ''
  const name = new TextEncoder().encode(text)
  assert(name.length <= SUN_PATH_BYTES, 'a name fits the address of a socket')
  const bytes = new Uint8Array(FAMILY_BYTES + name.length)
  new DataView(bytes.buffer).setUint16(0, AF_UNIX, true)
  bytes.set(name, FAMILY_BYTES)
  return bytes
}

function decodeUnix(name: Uint8Array): UnixAddress {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  if (name.length === 0) return UNNAMED
  if (name[0] === 0) {
    return { family: 'unix', path: null, abstractName: decoder.decode(name.subarray(1)) }
  }
  const end = name.indexOf(0)
  const path = decoder.decode(end < 0 ? name : name.subarray(0, end))
  return { family: 'unix', path, abstractName: null }
}

const UNNAMED: UnixAddress = { family: 'unix', path: null, abstractName: null }
