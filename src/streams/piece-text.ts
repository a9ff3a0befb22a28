import { isAscii } from 'node:buffer'

export const NEWLINE = 10
const CARRIAGE_RETURN = 13
/** How much of a piece is looked at together: V8 makes longer strings far more slowly. */
const WINDOW_BYTES: number = 32 * 1024

/** Where lines go, and how they are read. */
export interface LineTarget {
  readonly lines: string[]
  readonly encoding: 'utf8' | 'latin1'
  /** The longest of them, with its end. */
  readonly bytesMax: number
}

/**
 * Looks for newlines in a piece by way of a string, a window at a time.
 *
 * A string has one character for each byte of its window. To search it takes a fifth of the time that
 * `Buffer.indexOf()` takes for a line of 100 bytes, the making of it included, since it need not leave JavaScript.
 */
export class PieceText {
  #piece: Buffer | null = null
  /** The bytes from {@link #start} on, as characters. */
  #text = ''
  #start = 0
  /** Whether they are ASCII, once that was asked for. */
  #isAscii: boolean | null = null

  begin(piece: Buffer): void {
    this.#piece = piece
    this.#text = ''
    this.#start = 0
  }

  /** Where the first newline from `fromBytes` on is in the piece, or -1. */
  findNewline(fromBytes: number): number {
    const piece = this.#piece
    if (piece === null) return -1
    // A window further on was looked at already: its line is too long for somebody, or was peeked at.
    if (fromBytes < this.#start) this.#text = ''
    let from = fromBytes
    while (true) {
      if (this.#text !== '' && from < this.#start + this.#text.length) {
        const index = this.#text.indexOf('\n', from - this.#start)
        if (index >= 0) return this.#start + index
        from = this.#start + this.#text.length
      }
      if (from >= piece.length) return -1
      this.#start = from
      this.#text = piece.toString('latin1', from, from + WINDOW_BYTES)
      this.#isAscii = null
    }
  }

  /** Appends the lines from `fromBytes` on that end in the window; where they end. */
  takeLines(fromBytes: number, { lines, encoding, bytesMax }: LineTarget): number {
    const piece = this.#piece
    const start = this.#start
    const text = this.#text
    // A line that has begun before the window is for the caller to take.
    if (piece === null || fromBytes < start) return fromBytes
    const isPlain = encoding === 'latin1' || this.#checkAscii(piece)
    let from = fromBytes - start
    for (let end = text.indexOf('\n', from); end >= 0; end = text.indexOf('\n', from)) {
      if (end + 1 - from > bytesMax) break
      const stop = end > from && text.charCodeAt(end - 1) === CARRIAGE_RETURN ? end - 1 : end
      lines.push(
        isPlain ? text.slice(from, stop) : piece.toString('utf8', start + from, start + stop),
      )
      from = end + 1
    }
    return start + from
  }

  #checkAscii(piece: Buffer): boolean {
    this.#isAscii ??= isAscii(piece.subarray(this.#start, this.#start + this.#text.length))
    return this.#isAscii
  }
}
