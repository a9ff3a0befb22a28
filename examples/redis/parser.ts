/**
 * Requests of the Redis protocol, as the network cuts them: arrays of bulk strings, and inline commands.
 *
 * Bytes become latin1 strings, one character for each: V8 keeps them as bytes, and no key or value holds a chunk's memory.
 */

export interface ParserLimits {
  /** Of one argument, and of all those of a command, in bytes. */
  readonly bulkBytesMax: number
  readonly argumentsMax: number
}

const LIMITS_DEFAULT: ParserLimits = { bulkBytesMax: 64 << 20, argumentsMax: 1 << 20 }
const LINE_BYTES_MAX = 64 * 1024
const ASTERISK = 42
const DOLLAR = 36
const ZERO = 48
const CARRIAGE_RETURN = 13
const LINE_FEED = 10
/** Further digits would be another number. */
const DIGITS_MAX = 9
const COUNT = /^-?\d{1,10}$/
/** A piece of an inline command: space, in double quotes, in single quotes, bare. A quote must be followed by space. */
const PIECE = /(\s+)|"((?:\\.|[^"\\])*)"(?!\S)|'((?:\\'|[^'])*)'(?!\S)|([^\s"']+)/y
const ESCAPE = /\\(?:x([\da-fA-F]{2})|(.))/g
const ESCAPED: Readonly<Record<string, string>> = {
  n: '\n',
  r: '\r',
  t: '\t',
  b: '\b',
  a: '\x07',
}

/** Makes commands of bytes: O(bytes), whatever the chunks. After an error nobody can tell what comes next. */
export class RespParser {
  readonly #limits: ParserLimits
  #error: string | null = null
  #commands: string[][] = []
  /** The beginning of a line whose end has not come. */
  #line = ''
  /** Of the command under way; null between commands. */
  #arguments: string[] | null = null
  #argumentsLeft = 0
  #argumentBytes = 0
  /** What has come of an argument, in pieces; -1 where its length is to come first. */
  #bulkBytes = -1
  #bulkParts: string[] = []
  #bulkDoneBytes = 0

  constructor(limits: Partial<ParserLimits> = {}) {
    this.#limits = { ...LIMITS_DEFAULT, ...limits }
  }

  /** Why the connection must end, behind the replies to what was parsed; null while all is well. */
  get error(): string | null {
    return this.#error
  }

  /** The commands that end in that chunk, of which nothing is kept; none after an error. */
  push(chunk: Uint8Array): string[][] {
    this.#commands = []
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
    let at = 0
    while (at < bytes.length && this.#error === null) {
      at = this.#bulkBytes === -1 ? this.#takeLine(bytes, at) : this.#takeBulk(bytes, at)
    }
    return this.#commands
  }

  #takeLine(bytes: Buffer, at: number): number {
    const after = this.#line === '' ? this.#takeCount(bytes, at) : -1
    if (after !== -1) return after
    const end = bytes.indexOf(LINE_FEED, at)
    const until = end === -1 ? bytes.length : end
    if (this.#line.length + until - at > LINE_BYTES_MAX) {
      this.#fail(this.#lineTooLong(bytes[at]!))
      return until
    }
    this.#line += bytes.toString('latin1', at, until)
    if (end === -1) return until
    const line = this.#line.endsWith('\r') ? this.#line.slice(0, -1) : this.#line
    this.#line = ''
    this.#readLine(line)
    return end + 1
  }

  /** Most lines are a mark and a few digits, all there: these need no string. Where to go on, or -1 for any other line. */
  #takeCount(bytes: Buffer, from: number): number {
    const mark = bytes[from]!
    if (mark !== (this.#arguments === null ? ASTERISK : DOLLAR)) return -1
    let count = 0
    let at = from + 1
    for (; at < bytes.length && at - from <= DIGITS_MAX; at++) {
      const digit = bytes[at]! - ZERO
      if (digit < 0 || digit > 9) break
      count = count * 10 + digit
    }
    const isWhole = bytes[at] === CARRIAGE_RETURN && bytes[at + 1] === LINE_FEED
    if (!isWhole || at === from + 1) return -1
    if (mark === ASTERISK) this.#beginCommand(count)
    else this.#beginBulk(count)
    return at + 2
  }

  #readLine(line: string): void {
    if (this.#arguments !== null) {
      if (line[0] === '$') this.#beginBulk(readCount(line))
      else this.#fail(`expected '$', got '${line[0] ?? ' '}'`)
    } else if (line[0] === '*') {
      this.#beginCommand(readCount(line))
    } else {
      const command = splitInline(line)
      if (command === null) this.#fail('unbalanced quotes in request')
      else if (command.length > 0) this.#commands.push(command)
    }
  }

  #beginCommand(count: number): void {
    if (!(count <= this.#limits.argumentsMax)) this.#fail('invalid multibulk length')
    // Redis passes over an array that is empty or null.
    else if (count > 0) {
      this.#arguments = []
      this.#argumentsLeft = count
      this.#argumentBytes = 0
    }
  }

  #beginBulk(lengthBytes: number): void {
    this.#argumentBytes += lengthBytes
    const isGood = lengthBytes >= 0 && this.#argumentBytes <= this.#limits.bulkBytesMax
    if (isGood) this.#bulkBytes = lengthBytes
    else this.#fail('invalid bulk length')
  }

  #takeBulk(bytes: Buffer, at: number): number {
    const wholeBytes = this.#bulkBytes + 2
    const until = Math.min(bytes.length, at + wholeBytes - this.#bulkDoneBytes)
    const isWhole = this.#bulkDoneBytes + until - at === wholeBytes
    if (isWhole && this.#bulkDoneBytes === 0) {
      this.#endBulk(bytes.toString('latin1', at, until - 2))
    } else {
      this.#bulkParts.push(bytes.toString('latin1', at, until))
      this.#bulkDoneBytes += until - at
      if (isWhole) {
        const text = this.#bulkParts.join('').slice(0, -2)
        this.#bulkParts = []
        this.#bulkDoneBytes = 0
        this.#endBulk(text)
      }
    }
    return until
  }

  #endBulk(text: string): void {
    const found = this.#arguments!
    found.push(text)
    this.#bulkBytes = -1
    if (--this.#argumentsLeft > 0) return
    this.#commands.push(found)
    this.#arguments = null
  }

  #lineTooLong(next: number): string {
    if (this.#arguments !== null) return 'too big bulk count string'
    const first = this.#line === '' ? next : this.#line.charCodeAt(0)
    return first === ASTERISK ? 'too big mbulk count string' : 'too big inline request'
  }

  #fail(why: string): void {
    this.#error = why
    this.#line = ''
    this.#arguments = null
    this.#bulkParts = []
  }
}

/** The number behind the mark, NaN for anything else. */
function readCount(line: string): number {
  const digits = line.slice(1)
  return COUNT.test(digits) ? Number(digits) : Number.NaN
}

/** The words of an inline command, quoted or not; null where a quote is not closed, or something is stuck to its end. */
function splitInline(line: string): string[] | null {
  const words: string[] = []
  let word: string | null = null
  PIECE.lastIndex = 0
  while (PIECE.lastIndex < line.length) {
    const piece = PIECE.exec(line)
    if (piece === null) return null
    const [, space, double, single, bare] = piece
    if (space !== undefined) {
      if (word !== null) words.push(word)
      word = null
    } else {
      const text: string =
        bare ?? (double === undefined ? single!.replaceAll("\\'", "'") : unescapeText(double))
      word = (word ?? '') + text
    }
  }
  if (word !== null) words.push(word)
  return words
}

function unescapeText(text: string): string {
  return text.replace(ESCAPE, (_, hex: string | undefined, char: string | undefined) =>
    hex === undefined ? (ESCAPED[char!] ?? char!) : String.fromCharCode(Number.parseInt(hex, 16)),
  )
}
