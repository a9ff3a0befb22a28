import { allocateBytes, assert, copyBytes } from '../base/index.ts'
import { type Lease, leaseHeap } from '../memory/index.ts'
import { CARRIAGE_RETURN, NEWLINE, PieceText } from './piece-text.ts'
import { allocateBuffer, asBuffer, type TextBuffer } from './text-buffer.ts'

const NONE: TextBuffer = allocateBuffer(0)
const CARRY_BYTES_MIN = 256
/** An emptied carry that is longer is not kept for the next time. */
const CARRY_BYTES_KEPT_MAX: number = 64 * 1024

/**
 * What a reader has got from its source and not given out.
 *
 * That is the rest of one piece, still on its lease, and before that what was left of earlier ones, copied together:
 * the carry. So a reader that waits for more holds none of the source's memory, and each byte is copied into the carry
 * once at most, however many pieces a line has.
 */
export class Unread {
  /** Bytes from {@link #carryStart} to {@link #carryEnd} of it come first. */
  #carry: TextBuffer = NONE
  #carryStart = 0
  #carryEnd = 0
  #lease: Lease | null = null
  #piece: TextBuffer = NONE
  #pieceStart = 0
  readonly #text = new PieceText()
  /** So many bytes from the front are known to hold no newline. */
  #linelessBytes = 0
  /** How many bytes were given out, or skipped. */
  takenBytes = 0

  get lengthBytes(): number {
    return this.#carryBytes + this.#pieceBytes
  }

  get #pieceBytes(): number {
    return this.#piece.length - this.#pieceStart
  }

  get #carryBytes(): number {
    return this.#carryEnd - this.#carryStart
  }

  /** Takes over the next piece of the source, once {@link carryOver} has made room. */
  put(lease: Lease): void {
    assert(this.#lease === null, 'a reader holds one piece at a time')
    this.#piece = asBuffer(lease.bytes)
    this.#lease = lease
    this.#pieceStart = 0
    this.#text.begin(this.#piece)
  }

  /**
   * Copies what is left of the piece behind the carry, and gives the piece back.
   *
   * `expectedBytes`: how many are wanted in the end, so that the carry can be given out as it is.
   */
  carryOver(expectedBytes = 0): void {
    if (this.#lease === null) return
    this.#carryMore(this.#piece.length - this.#pieceStart, expectedBytes)
    this.#dropPiece()
  }

  /** The first bytes, as many as lie together; to be looked at until the next call. */
  view(): Uint8Array {
    const view =
      this.#carryBytes > 0
        ? this.#carry.subarray(this.#carryStart, this.#carryEnd)
        : this.#piece.subarray(this.#pieceStart)
    return new Uint8Array(view.buffer, view.byteOffset, view.length)
  }

  /** A copy of the first `count` bytes, which stay unread. */
  copy(count: number): Uint8Array<ArrayBuffer> {
    assert(count <= this.lengthBytes, 'no more is copied than there is')
    const bytes = allocateBytes(count)
    const carried = Math.min(count, this.#carryBytes)
    if (carried > 0) {
      bytes.set(this.#carry.subarray(this.#carryStart, this.#carryStart + carried))
    }
    if (count > carried) {
      const endBytes = this.#pieceStart + count - carried
      bytes.set(this.#piece.subarray(this.#pieceStart, endBytes), carried)
    }
    return bytes
  }

  /** Gives out the first `count` bytes, for good. */
  take(count: number): Uint8Array<ArrayBuffer> {
    assert(count <= this.lengthBytes, 'no more is taken than there is')
    const carried = this.#carryBytes
    if (carried === 0 || this.#carryStart > 0 || count <= carried) {
      const bytes = this.copy(count)
      this.discard(count)
      return bytes
    }
    // The carry may have just the length that was expected: then it goes out without another copy.
    this.#carryMore(count - carried, count)
    if (this.#carry.length !== count) {
      const bytes = copyBytes(this.#carry.subarray(0, count))
      this.discard(count)
      return bytes
    }
    const whole = this.#carry
    this.#carry = NONE
    this.#carryEnd = 0
    this.#count(count)
    return new Uint8Array(whole.buffer as ArrayBuffer, whole.byteOffset, count)
  }

  /** Takes off the first `count` bytes. */
  discard(count: number): void {
    const carried = this.#carryBytes
    assert(count >= 0 && count <= carried + this.#pieceBytes, 'no more is taken off than there is')
    if (carried > 0) {
      this.#carryStart += Math.min(count, carried)
      if (this.#carryStart === this.#carryEnd) this.#dropCarry()
    }
    if (count > carried) this.#pieceStart += count - carried
    this.#count(count)
    if (this.#lease !== null && this.#pieceStart === this.#piece.length) this.#dropPiece()
  }

  /** Gives out what lies together at the front, on a lease: that of the piece if it can; null if there is nothing. */
  takeLease(): Lease | null {
    const carried = this.#carryBytes
    if (carried > 0) return leaseHeap(this.take(carried))
    const lease = this.#lease
    if (lease === null) return null
    this.#lease = null
    const count = this.#piece.length - this.#pieceStart
    lease.narrow(this.#pieceStart, count)
    this.#count(count)
    this.#dropPiece()
    return lease
  }

  /**
   * How many bytes there are through the first `delimiter`, -1 without any; `searchedBytes` from the front were
   * searched before in vain.
   */
  findEnd(delimiter: Buffer, searchedBytes: number): number {
    const overlap = delimiter.length - 1
    const carried = this.#carryBytes
    let from = Math.max(0, searchedBytes - overlap)
    if (from < carried) {
      const carry = this.#carry.subarray(this.#carryStart, this.#carryEnd)
      const index = carry.indexOf(delimiter, from)
      if (index >= 0) return index + delimiter.length
      const tailBytes = Math.min(overlap, carried)
      const head = this.#piece.subarray(this.#pieceStart, this.#pieceStart + overlap)
      const border = Buffer.concat([carry.subarray(carried - tailBytes), head])
      const crossing = border.indexOf(delimiter)
      if (crossing >= 0) return carried - tailBytes + crossing + delimiter.length
      from = carried
    }
    const index = this.#piece.indexOf(delimiter, this.#pieceStart + from - carried)
    return index < 0 ? -1 : carried + index - this.#pieceStart + delimiter.length
  }

  /** The same for a newline; what was searched is remembered. */
  findLineEnd(): number {
    const carried = this.#carryBytes
    let from = this.#linelessBytes
    if (from < carried) {
      const carry = this.#carry.subarray(this.#carryStart, this.#carryEnd)
      const index = carry.indexOf(NEWLINE, from)
      if (index >= 0) return index + 1
      from = carried
    }
    const index = this.#text.findNewline(this.#pieceStart + from - carried)
    if (index >= 0) return carried + index - this.#pieceStart + 1
    this.#linelessBytes = this.lengthBytes
    return -1
  }

  /** Gives out the first `count` bytes as a string, without its line end. */
  takeText(count: number, encoding: 'utf8' | 'latin1'): string {
    const text =
      this.#carryEnd > this.#carryStart
        ? this.#decodeCarried(count, encoding)
        : this.#decodePiece(count, encoding)
    this.discard(count)
    return text
  }

  /** Gives out the first `count` bytes, without their line end. */
  takeLineBytes(count: number): Uint8Array<ArrayBuffer> {
    const last = this.#byteAt(count - 1)
    const isReturn = count > 1 && this.#byteAt(count - 2) === CARRIAGE_RETURN
    const bytes = this.copy(last !== NEWLINE ? count : isReturn ? count - 2 : count - 1)
    this.discard(count)
    return bytes
  }

  /**
   * Appends the lines that end in the part of the piece which was looked at last, each of `bytesMax` at most with its
   * end: slices of one string where V8 makes such.
   */
  takeLinesAtHand(lines: string[], encoding: 'utf8' | 'latin1', bytesMax: number): void {
    if (this.#carryBytes > 0) return
    const start = this.#pieceStart
    const end = this.#text.takeLines(start, { lines, encoding, bytesMax })
    if (end > start) this.discard(end - start)
  }

  /** Drops all of it. */
  clear(): void {
    this.#carryStart = 0
    this.#carryEnd = 0
    this.#carry = NONE
    this.#dropPiece()
  }

  #byteAt(index: number): number {
    const carried = this.#carryBytes
    return index < carried
      ? this.#carry[this.#carryStart + index]!
      : this.#piece[this.#pieceStart + index - carried]!
  }

  #decodePiece(count: number, encoding: 'utf8' | 'latin1'): string {
    const start = this.#pieceStart
    const end = start + count - lineEndBytes(this.#piece, start, start + count)
    return this.#text.decode(start, end, encoding)
  }

  #decodeCarried(count: number, encoding: 'utf8' | 'latin1'): string {
    const carried = this.#carryBytes
    // A line that lies in two places is put together.
    if (count > carried) this.#carryMore(count - carried, 0)
    const start = this.#carryStart
    const end = start + count - lineEndBytes(this.#carry, start, start + count)
    return this.#carry.toString(encoding, start, end)
  }

  /** Moves the next `count` bytes of the piece behind the carry. */
  #carryMore(count: number, expectedBytes: number): void {
    const carried = this.#carryBytes
    const neededBytes = carried + count
    if (this.#carryEnd + count > this.#carry.length) this.#growCarry(neededBytes, expectedBytes)
    this.#piece.copy(this.#carry, this.#carryEnd, this.#pieceStart, this.#pieceStart + count)
    this.#carryEnd += count
    this.#pieceStart += count
    if (this.#lease !== null && this.#pieceStart === this.#piece.length) this.#dropPiece()
  }

  /** It doubles, but for no more than is expected: memory follows what has come, not what was asked for. */
  #growCarry(neededBytes: number, expectedBytes: number): void {
    const carried = this.#carryBytes
    const usual = Math.max(CARRY_BYTES_MIN, 2 * neededBytes)
    const bytes = neededBytes <= expectedBytes ? Math.min(usual, expectedBytes) : usual
    const grown = bytes > this.#carry.length ? allocateBuffer(bytes) : this.#carry
    this.#carry.copy(grown, 0, this.#carryStart, this.#carryEnd)
    this.#carry = grown
    this.#carryStart = 0
    this.#carryEnd = carried
  }

  #count(count: number): void {
    this.takenBytes += count
    this.#linelessBytes = count < this.#linelessBytes ? this.#linelessBytes - count : 0
  }

  #dropCarry(): void {
    this.#carryStart = 0
    this.#carryEnd = 0
    if (this.#carry.length > CARRY_BYTES_KEPT_MAX) this.#carry = NONE
  }

  #dropPiece(): void {
    this.#lease?.release()
    this.#lease = null
    this.#piece = NONE
    this.#pieceStart = 0
    this.#text.begin(NONE)
  }
}

/** Of how many bytes the line end is that `bytes` have before `end`: `\n`, `\r\n` or none. */
function lineEndBytes(bytes: Uint8Array, start: number, end: number): number {
  if (end === start || bytes[end - 1] !== NEWLINE) return 0
  return end - start > 1 && bytes[end - 2] === CARRIAGE_RETURN ? 2 : 1
}
