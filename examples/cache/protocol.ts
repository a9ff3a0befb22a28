/**
 * The protocol: requests and answers are lines, with the bytes of a value behind the line that says how many there are.
 *
 * | request | answer |
 * | --- | --- |
 * | `GET key` | `VALUE length`, then the bytes and a line feed; or `NONE` |
 * | `SET key length`, then the bytes and a line feed | `OK` |
 * | `DEL key` | `OK`, or `NONE` |
 * | `STATS` | `STATS`, then JSON on the same line |
 * | what is wrong | `ERROR`, then why on the same line; after `ERROR` with `closing:` the connection ends |
 *
 * A client may send as many requests as it likes before it reads: answers come in the order of requests.
 */

export type Request =
  | { readonly kind: 'get'; readonly key: string }
  | { readonly kind: 'set'; readonly key: string; readonly value: Uint8Array }
  | { readonly kind: 'delete'; readonly key: string }
  | { readonly kind: 'stats' }
  /** What it says is the answer; where nobody can tell what comes next it is the last. */
  | { readonly kind: 'bad'; readonly why: string; readonly isLast: boolean }

export const VALUE_BYTES_MAX: number = 1 << 20
const LINE_BYTES_MAX = 512
const LINE_FEED = 10
const KEY = /^[\x21-\x7e]{1,250}$/
const LENGTH = /^(0|[1-9]\d{0,9})$/

/** The value of a `SET` as it comes. */
interface Body {
  /** Null for a value that is passed over: it was refused. */
  readonly key: string | null
  readonly bytes: Uint8Array
  /** With the line feed behind it. */
  readonly lengthBytes: number
  doneBytes: number
}

/** Makes requests of what the network made of them: O(bytes), whatever the chunks. */
export class RequestParser {
  #line = ''
  #body: Body | null = null
  #hasEnded = false
  #found: Request[] = []

  /** The requests that end in that chunk; none after the last one. */
  push(chunk: Uint8Array): readonly Request[] {
    this.#found = []
    this.#take(chunk)
    return this.#found
  }

  #take(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length && !this.#hasEnded) {
      if (this.#body !== null) {
        const part = chunk.subarray(at, at + this.#body.lengthBytes - this.#body.doneBytes)
        at += part.length
        this.#takeBody(this.#body, part)
        continue
      }
      const end = chunk.indexOf(LINE_FEED, at)
      const until = end === -1 ? chunk.length : end
      if (this.#line.length + until - at > LINE_BYTES_MAX) {
        this.#end(`a line must have at most ${LINE_BYTES_MAX} bytes`)
        return
      }
      this.#line += Buffer.from(chunk.buffer, chunk.byteOffset + at, until - at).toString('latin1')
      at = until + 1
      if (end === -1) return
      const line = this.#line.endsWith('\r') ? this.#line.slice(0, -1) : this.#line
      this.#line = ''
      this.#takeLine(line)
    }
  }

  #takeLine(line: string): void {
    const [verb, key = '', length = '', ...more] = line.split(' ')
    const count = line.split(' ').length - 1
    if (verb === 'SET') {
      this.#beginSet(key, more.length > 0 ? '' : length)
    } else if (verb === 'STATS' && count === 0) {
      this.#found.push({ kind: 'stats' })
    } else if ((verb !== 'GET' && verb !== 'DEL') || count !== 1) {
      this.#refuse('a request must be GET key, SET key length, DEL key or STATS')
    } else if (!KEY.test(key)) {
      this.#refuse('a key must have 1 to 250 visible characters')
    } else {
      this.#found.push({ kind: verb === 'GET' ? 'get' : 'delete', key })
    }
  }

  #beginSet(key: string, length: string): void {
    // Nobody knows where the next request begins.
    if (!LENGTH.test(length)) {
      this.#end('a SET must have a key and a length')
      return
    }
    const valueBytes = Number(length)
    const isTooLong = valueBytes > VALUE_BYTES_MAX
    const isGood = !isTooLong && KEY.test(key)
    if (isTooLong) this.#refuse(`a value must have at most ${VALUE_BYTES_MAX} bytes`)
    else if (!isGood) this.#refuse('a key must have 1 to 250 visible characters')
    this.#body = {
      key: isGood ? key : null,
      bytes: new Uint8Array(isGood ? valueBytes : 0),
      lengthBytes: valueBytes + 1,
      doneBytes: 0,
    }
  }

  #takeBody(body: Body, part: Uint8Array): void {
    const { key, bytes, lengthBytes } = body
    if (key !== null) bytes.set(part.subarray(0, bytes.length - body.doneBytes), body.doneBytes)
    body.doneBytes += part.length
    if (body.doneBytes < lengthBytes) return
    this.#body = null
    if (part.at(-1) !== LINE_FEED) this.#end('a line feed must be behind a value')
    else if (key !== null) this.#found.push({ kind: 'set', key, value: bytes })
  }

  #refuse(why: string): void {
    this.#found.push({ kind: 'bad', why, isLast: false })
  }

  #end(why: string): void {
    this.#hasEnded = true
    this.#found.push({ kind: 'bad', why: `closing: ${why}`, isLast: true })
  }
}

/** An answer without a value. */
export function encodeLine(line: string): Buffer {
  return Buffer.from(`${line}\n`)
}

export function encodeError(why: string): Buffer {
  return encodeLine(`ERROR ${why.replaceAll('\n', ' ')}`)
}

export function encodeValue(value: Uint8Array): Buffer {
  return Buffer.concat([encodeLine(`VALUE ${value.length}`), value, encodeLine('')])
}
