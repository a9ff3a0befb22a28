import { AF_INET, AF_INET6, AF_UNIX, EAFNOSUPPORT, EINVAL } from '../kernel/index.ts'

/** Where a socket is. */
export interface SimAddress {
  readonly family: number
  /** 0 for a local socket. */
  readonly port: number
  /** The raw address, or the path of a local socket. */
  readonly host: string
}

const INET_BYTES = 16
const INET6_BYTES = 28

// ABI: struct sockaddr_in, sockaddr_in6 and sockaddr_un.
/** Reads a raw `sockaddr`, or returns `-errno`. */
export function readAddress(raw: Uint8Array): SimAddress | number {
  if (raw.length < 2) return -EINVAL
  const fields = new DataView(raw.buffer, raw.byteOffset, raw.length)
  const family = fields.getUint16(0, true)
  switch (family) {
    case AF_INET:
      if (raw.length < INET_BYTES) return -EINVAL
      return { family, port: fields.getUint16(2), host: text(raw, 4, 8) }
    case AF_INET6:
      if (raw.length < INET6_BYTES - 4) return -EINVAL
      return { family, port: fields.getUint16(2), host: text(raw, 8, 24) }
    case AF_UNIX: {
      const end = raw[2] === 0 ? -1 : raw.indexOf(0, 2)
      return { family, port: 0, host: name(raw, 2, end < 0 ? raw.length : end) }
    }
    default:
      return -EAFNOSUPPORT
  }
}

/** Writes a raw `sockaddr`, cut off where there is no room; returns its full length. */
export function writeAddress(target: Uint8Array, address: SimAddress): number {
  const isInet = address.family === AF_INET
  const isLocal = address.family === AF_UNIX
  // A path ends in NUL; where an abstract name ends the length says.
  const ending = address.host === '' || address.host.startsWith('\0') ? '' : '\0'
  const host = Buffer.from(
    isLocal ? address.host + ending : address.host,
    isLocal ? 'utf8' : 'latin1',
  )
  const localBytes = 2 + host.length
  const raw = new Uint8Array(isInet ? INET_BYTES : isLocal ? localBytes : INET6_BYTES)
  const fields = new DataView(raw.buffer)
  fields.setUint16(0, address.family, true)
  if (!isLocal) fields.setUint16(2, address.port)
  raw.set(host, isLocal ? 2 : isInet ? 4 : 8)
  target.set(raw.subarray(0, target.length))
  return raw.length
}

/** The loopback address of a family. */
export function loopback(family: number, port: number): SimAddress {
  const host = family === AF_INET ? '\x7f\0\0\x01' : `${'\0'.repeat(15)}\x01`
  return { family, port, host: family === AF_UNIX ? '' : host }
}

function name(raw: Uint8Array, start: number, end: number): string {
  return Buffer.from(raw.buffer, raw.byteOffset + start, end - start).toString('utf8')
}

function text(raw: Uint8Array, start: number, end: number): string {
  return Buffer.from(raw.buffer, raw.byteOffset + start, end - start).toString('latin1')
}
