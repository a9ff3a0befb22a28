/** Replies of the Redis protocol, as latin1 strings: those of a pipeline are joined, and become bytes once. */

export const OK = '+OK\r\n'
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

/** An array of what is encoded already. */
export function encodeArray(elements: readonly string[]): string {
  return `*${elements.length}\r\n${elements.join('')}`
}

export function encodeBulks(texts: readonly string[]): string {
  return encodeArray(texts.map(encodeBulk))
}
