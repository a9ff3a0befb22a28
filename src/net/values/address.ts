import { domainToASCII } from 'node:url'
import { validateInteger, validateString, wrongType } from '../../base/index.ts'
import { formatIpv6, parseIpv4, parseIpv6 } from './ip-text.ts'

/** One end of a connection over IP. */
export interface SocketAddress {
  /** `127.0.0.1`, `::1`; a link-local one ends in `%` and the number of its interface. */
  readonly host: string
  readonly port: number
  readonly family: 'ipv4' | 'ipv6'
}

/**
 * One end of a connection within the machine. It has a path, or an abstract name, or neither, as the connecting end
 * of a stream has: then it is unnamed.
 */
export interface UnixAddress {
  readonly family: 'unix'
  /** The file that it is found by, or null. */
  readonly path: string | null
  /** What it is called in the name space of the network's own, without the NUL before it; or null. */
  readonly abstractName: string | null
}

/** One end of a connection, of whatever family. */
export type Address = SocketAddress | UnixAddress

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

/** `127.0.0.1:80`, `[::1]:80`, `/run/service.sock`, `@service`, `unnamed` */
export function formatAddress(address: Address): string {
  if (address.family === 'unix') return formatUnix(address)
  const { host, port } = address
  return address.family === 'ipv4' ? `${host}:${port}` : `[${host}]:${port}`
}

function formatUnix({ path, abstractName }: UnixAddress): string {
  if (path !== null) return path
  // As ss(8) and systemd write it.
  return abstractName === null ? 'unnamed' : `@${abstractName}`
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
