import { domainToASCII } from 'node:url'
import { RuntimeError, validateInteger, validateString, wrongType } from '../base/index.ts'
import { AF_INET, AF_INET6 } from '../kernel/index.ts'

/** One end of a connection. */
export interface SocketAddress {
  /** `127.0.0.1`, `::1`; a link-local one ends in `%` and the number of its interface. */
  readonly host: string
  readonly port: number
  readonly family: 'ipv4' | 'ipv6'
}

/** ABI: what holds a `sockaddr_in6`, the longest of ours. */
export const SOCKADDR_BYTES_MAX = 28
const SOCKADDR_IN_BYTES = 16
const GROUP_COUNT = 8

/** The address of a literal host, or null if `host` is a name. */
export function parseAddress(host: string, port: number): SocketAddress | null {
  if (parseIpv4(host) !== null) return { host, port, family: 'ipv4' }
  const groups = parseIpv6(host)
  if (groups === null) return null
  return { host: formatIpv6(groups.words, groups.scope), port, family: 'ipv6' }
}

/**
 * Refuses what no look-up is to see: `getaddrinfo` takes 010.0.0.1 for 8.0.0.1, 127.1 for 127.0.0.1, and
 * whoever has checked such a host against a list took it for another.
 *
 * @throws {TypeError | RangeError} unless `host` is a string, and an address in its canonical form if it looks
 * like one of IPv4, and `port` is from `portMin` to 65535.
 */
export function validateEndpoint(
  action: string,
  host: unknown,
  port: unknown,
  portMin: number,
): void {
  validateString(action, 'host', host)
  if (host === '') throw new RangeError(`Cannot ${action} as host must not be empty: it is ''`)
  if (isNumeric(host) && parseAddress(host, 0) === null) throw notCanonical(action, host)
  validateInteger(action, 'port', port, { min: portMin, max: 65_535 })
}

/**
 * @throws {TypeError} unless `family` is `'ipv4'`, `'ipv6'` or undefined; {@link RangeError} if `host` is an
 * address of the other one.
 */
export function validateFamily(action: string, family: unknown, host: string): void {
  if (family === undefined) return
  if (family !== 'ipv4' && family !== 'ipv6') {
    throw wrongType(action, 'family', "'ipv4' or 'ipv6'", family)
  }
  const literal = parseAddress(host, 0)
  if (literal === null || literal.family === family) return
  throw new RangeError(
    `Cannot ${action} as host must be a name, or an address of family ${family}: current value is ${host}`,
  )
}

/** `AF_INET` or `AF_INET6` */
export function domainOf(address: SocketAddress): number {
  return address.family === 'ipv4' ? AF_INET : AF_INET6
}

/** The raw `sockaddr` of a literal address. */
export function encodeAddress(address: SocketAddress): Uint8Array {
  // ABI: struct sockaddr_in: family, port, address; sockaddr_in6: family, port, flow, address, scope.
  const { host, port } = address
  const bytes = new Uint8Array(address.family === 'ipv4' ? SOCKADDR_IN_BYTES : SOCKADDR_BYTES_MAX)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, domainOf(address), true)
  view.setUint16(2, port)
  if (address.family === 'ipv4') {
    view.setUint32(4, parseIpv4(host)!)
    return bytes
  }
  const { words, scope } = parseIpv6(host)!
  for (let group = 0; group < GROUP_COUNT; group++) view.setUint16(8 + 2 * group, words[group]!)
  view.setUint32(24, scope, true)
  return bytes
}

/**
 * Reads a raw `sockaddr`.
 *
 * @throws {RuntimeError} `ERR_UNSUPPORTED` for one of another family.
 */
export function decodeAddress(bytes: Uint8Array): SocketAddress {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const domain = view.getUint16(0, true)
  const port = view.getUint16(2)
  if (domain === AF_INET) {
    return { host: `${bytes[4]}.${bytes[5]}.${bytes[6]}.${bytes[7]}`, port, family: 'ipv4' }
  }
  if (domain !== AF_INET6) {
    throw new RuntimeError(
      'ERR_UNSUPPORTED',
      `Cannot read a socket address as it must be of IPv4 or IPv6: its family is ${domain}`,
    )
  }
  const words: number[] = []
  for (let group = 0; group < GROUP_COUNT; group++) words.push(view.getUint16(8 + 2 * group))
  return { host: formatIpv6(words, view.getUint32(24, true)), port, family: 'ipv6' }
}

/** `127.0.0.1:80`, `[::1]:80` */
export function formatAddress(address: SocketAddress): string {
  const { host, port } = address
  return address.family === 'ipv4' ? `${host}:${port}` : `[${host}]:${port}`
}

/**
 * Whether a host would be read as an IPv4 address, right or wrong: its last label is a number, as no
 * name's is (the rule of WHATWG's URLs).
 */
function isNumeric(host: string): boolean {
  // What is not ASCII is mapped first, as look-ups do: there are other digits and other full stops.
  const ascii = /^[\0-\x7f]*$/.test(host) ? host : domainToASCII(host)
  // No host has such a name; what a look-up makes of it is anybody's guess.
  if (ascii === '') return true
  const labels = ascii.trim().split('.')
  const last = labels.length > 1 && labels.at(-1) === '' ? labels.at(-2)! : labels.at(-1)!
  return /^(?:\d+|0x[\da-f]*)$/i.test(last)
}

function notCanonical(action: string, host: string): RangeError {
  return new RangeError(
    `Cannot ${action} as host must be a name, or an address whose IPv4 numbers are four, decimal, from 0 to 255 and without leading zeros: current value is ${JSON.stringify(host)}`,
  )
}

function parseIpv4(host: string): number | null {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(host)
  if (match === null) return null
  let value = 0
  for (const part of match.slice(1)) {
    // Not 010, which is 8 to some and 10 to others.
    if (Number(part) > 255 || (part.length > 1 && part.startsWith('0'))) return null
    value = value * 256 + Number(part)
  }
  return value
}

function parseIpv6(host: string): { words: number[]; scope: number } | null {
  const match = /^([0-9a-fA-F:.]+)(?:%(\d{1,9}))?$/.exec(host)
  if (match === null || !host.includes(':')) return null
  const halves = match[1]!.split('::')
  if (halves.length > 2) return null
  const head = parseGroups(halves[0]!, halves.length === 1)
  const tail = halves.length === 1 ? [] : parseGroups(halves[1]!, true)
  if (head === null || tail === null) return null
  const missing = GROUP_COUNT - head.length - tail.length
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null
  const words = [...head, ...new Array<number>(missing).fill(0), ...tail]
  return { words, scope: Number(match[2] ?? 0) }
}

function parseGroups(text: string, isLast: boolean): number[] | null {
  if (text === '') return []
  const words: number[] = []
  const parts = text.split(':')
  for (const [index, part] of parts.entries()) {
    if (isLast && index === parts.length - 1 && part.includes('.')) {
      const value = parseIpv4(part)
      if (value === null) return null
      words.push(Math.floor(value / 65_536), value % 65_536)
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      words.push(Number.parseInt(part, 16))
    } else {
      return null
    }
  }
  return words
}

/** The canonical text of RFC 5952: the longest run of zeros, of two at least, becomes `::`. */
function formatIpv6(words: readonly number[], scope: number): string {
  let start = -1
  let length = 1
  for (let from = 0; from < GROUP_COUNT; from++) {
    let to = from
    while (to < GROUP_COUNT && words[to] === 0) to++
    if (to - from > length) {
      start = from
      length = to - from
    }
  }
  const suffix = scope === 0 ? '' : `%${scope}`
  const join = (from: number, to: number): string =>
    words
      .slice(from, to)
      .map((word) => word.toString(16))
      .join(':')
  // ::ffff:a.b.c.d is an IPv4 peer of an IPv6 socket, and reads as such.
  if (start === 0 && length === 5 && words[5] === 0xffff) {
    const [high, low] = [words[6]!, words[7]!]
    return `::ffff:${high >> 8}.${high & 255}.${low >> 8}.${low & 255}${suffix}`
  }
  if (start === -1) return join(0, GROUP_COUNT) + suffix
  return `${join(0, start)}::${join(start + length, GROUP_COUNT)}${suffix}`
}
