/** Replies of the Redis protocol, as latin1 strings: those of a pipeline are joined, and become bytes once. */

export const OK = '+OK\r\n'
/** Of one reply: less than V8 can hold in a string, with those before it in the same write. */
const REPLY_BYTES_MAX = 384 << 20

export const NIL = '$-1\r\n'

export function encodeSimple(text: string): string {
  return `+${text}\r\n`
}

/** `why` begins with a word in capitals, `ERR` as a rule. */
export function encodeError(why: string): string {
  return `-${why.replace(/[\r\n]/g, ' ')}\r\n`
}

export function encodeInteger(value: number | bigint): string {
  return `:${value}\r\n`
}

export function encodeBulk(text: string | undefined): string {
  return text === undefined ? NIL : `$${text.length}\r\n${text}\r\n`
}

/** An array of what is encoded already; an error where it would be too long. */
export function encodeArray(elements: readonly string[]): string {
  let lengthBytes = 0
  for (const { length } of elements) lengthBytes += length
  if (lengthBytes > REPLY_BYTES_MAX) return encodeError('ERR reply exceeds maximum allowed size')
  return `*${elements.length}\r\n${elements.join('')}`
}

export function encodeBulks(texts: readonly string[]): string {
  return encodeArray(texts.map(encodeBulk))
}
