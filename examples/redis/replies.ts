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

/** An array of what is encoded already. */
export function encodeArray(elements: readonly string[]): string {
  return `*${elements.length}\r\n${elements.join('')}`
}

/**
 * Gathers replies that are combined to one. What would be too long together is not held: those that come are dropped from
 * then on, with those before them.
 */
export class Gathering {
  readonly #bytesMax: number
  #replies: string[] = []
  #lengthBytes = 0
  #error: string | null = null

  constructor(bytesMax: number = REPLY_BYTES_MAX) {
    this.#bytesMax = bytesMax
  }

  get heldBytes(): number {
    return this.#error === null ? this.#lengthBytes : 0
  }

  add(reply: string): void {
    if (this.#error !== null) return
    this.#lengthBytes += reply.length
    this.#replies.push(reply)
    if (reply[0] === '-') this.#error = reply
    else if (this.#lengthBytes > this.#bytesMax) {
      this.#error = encodeError('ERR reply exceeds maximum allowed size')
    }
    if (this.#error !== null) this.#replies = []
  }

  /** What `combine` makes of them; the first error among them is the reply. */
  finish(combine: (replies: readonly string[]) => string): string {
    return this.#error ?? combine(this.#replies)
  }
}

export function encodeBulks(texts: readonly string[]): string {
  return encodeArray(texts.map(encodeBulk))
}
