import { isAscii } from 'node:buffer'
import type { TextBuffer } from './text-buffer.ts'

export const NEWLINE = 10
export const CARRIAGE_RETURN = 13
/** How much of a piece is looked at together: V8 makes longer strings far more slowly. */
const WINDOW_BYTES: number = 32 * 1024

/** Of how many bytes lines by themselves are made together; as much is kept for one of them. */
const GROUP_BYTES = 1024

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
  #piece: TextBuffer | null = null
  /** The bytes from {@link #start} on, as characters. */
  #text = ''
  #start = 0
  /** Whether they are ASCII, once that was asked for. */
  #isAscii: boolean | null = null
  /** The bytes from {@link #groupStart} to {@link #groupEnd}, decoded. */
  #group = ''
  #groupStart = 0
  #groupEnd = 0

  begin(piece: TextBuffer): void {
    this.#piece = piece
    this.#text = ''
    this.#start = 0
    this.#group = ''
    this.#groupStart = 0
    this.#groupEnd = 0
  }

  /**
   * Some of the piece as a string of its own, or one that shares a KiB with its neighbours: to decode each line by itself
   * takes five times as long, and to share more would keep all of a large file for some of its lines.
   */
  decode(startBytes: number, endBytes: number, encoding: 'utf8' | 'latin1'): string {
    const piece = this.#piece
    if (piece === null) return ''
    if (startBytes < this.#groupStart || endBytes > this.#groupEnd) {
      if (endBytes - startBytes > GROUP_BYTES / 2) {
        return decodeBytes(piece, startBytes, endBytes, encoding)
      }
      this.#groupStart = startBytes
      this.#groupEnd = Math.min(startBytes + GROUP_BYTES, piece.length)
      this.#group = decodeBytes(piece, startBytes, this.#groupEnd, encoding)
    }
    // As many characters as bytes are one for each: none is of several bytes.
    const from = this.#groupStart
    return this.#group.length === this.#groupEnd - from
      ? this.#group.slice(startBytes - from, endBytes - from)
      : decodeBytes(piece, startBytes, endBytes, encoding)
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
      this.#text = piece.latin1Slice(from, Math.min(from + WINDOW_BYTES, piece.length))
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
      lines.push(isPlain ? text.slice(from, stop) : piece.utf8Slice(start + from, start + stop))
      from = end + 1
    }
    return start + from
  }

  #checkAscii(piece: TextBuffer): boolean {
    this.#isAscii ??= isAscii(piece.subarray(this.#start, this.#start + this.#text.length))
    return this.#isAscii
  }
}

function decodeBytes(
  bytes: TextBuffer,
  start: number,
  end: number,
  encoding: 'utf8' | 'latin1',
): string {
  return encoding === 'utf8' ? bytes.utf8Slice(start, end) : bytes.latin1Slice(start, end)
}
