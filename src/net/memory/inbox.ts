import { assert } from '../../base/index.ts'
import type { Lease } from '../../memory/index.ts'
import { type BufferPiece, NO_BUFFER } from '../../ring/index.ts'
import { CopiedBytes } from './copied-bytes.ts'

/** Packs a length above a buffer's number, which is below this, and where it begins above that: 52 bits. */
const BUFFER_FACTOR = 32_768
const LENGTH_FACTOR = 2 ** 19
/** What a buffer holds at most, so that its pieces can be packed. */
export const INBOX_BUFFER_BYTES_MAX: number = 2 ** 18
/** What one owned chunk holds at most. */
const CHUNK_BYTES_MAX: number = 64 * 1024
/** Messages in so many buffers that fill them badly are copied out, and give all of them back. */
const BUFFERS_MAX = 16
/** Buffers are filled badly below this part of them. */
const POOR_PART = 4

/** What holds pieces of receive buffers with unread data, in the pool's list of those that do. */
export interface BufferHolder {
  /** @internal The pool's list, the one that began first at its head. */
  previous: BufferHolder | null
  /** @internal */
  next: BufferHolder | null
  /** @internal Whether it is in that list. */
  isListed: boolean
  /** Copies what lies in buffers into ordinary memory, and gives them back. */
  copyOut(): void
}

/** Where an inbox has its buffers from, which keeps count of them. */
export interface InboxPool {
  readonly bufferBytes: number
  /** Takes note that `inbox` holds one more piece, with so much to be read in it; */
  hold(inbox: BufferHolder, lengthBytes: number): void
  /** that so much of what it holds has been read; */
  unread(lengthBytes: number): void
  /** that it holds one piece less, whose unread bytes are these; `isLast` if it holds none now. */
  letGo(inbox: BufferHolder, lengthBytes: number, isLast: boolean): void
  /** What lies in a buffer, for now. */
  bytesOf(buffer: number, startBytes: number, endBytes: number): Uint8Array
  /** What lies in a buffer, for good. */
  copyOf(buffer: number, startBytes: number, endBytes: number): Uint8Array
  /** Lets a piece of a buffer go. */
  giveBack(buffer: number): void
  /** Hands a piece over to a lease, or a copy of what is in it. */
  lease(buffer: number, startBytes: number, endBytes: number): Lease
  /** A lease on what was copied. */
  leaseCopy(copy: Uint8Array): Lease
}

/**
 * The data of a stream that waits to be read: first what was copied out of the receive buffers, then what
 * still lies in them.
 *
 * A stream has one only while data waits, as most streams wait for data most of the time; the pool
 * keeps those that are free. Small messages in {@link BUFFERS_MAX} buffers are put together elsewhere. O(1) per
 * message, and each byte is copied at most twice.
 */
export class Inbox implements BufferHolder {
  /** @internal The pool's list of those that hold buffers, the one that began first at its head. */
  previous: BufferHolder | null
  /** @internal */
  next: BufferHolder | null
  /** @internal Whether it is in that list. */
  isListed: boolean
  readonly #pool: InboxPool
  readonly #copies: CopiedBytes
  // The first piece, from where it has not been read yet.
  #buffer: number
  #startBytes: number
  #endBytes: number
  /** Those behind it: buffer, length and beginning in one number. Never many. */
  readonly #rest: number[]
  /** Unread bytes in buffers. */
  #bufferedBytes: number

  constructor(pool: InboxPool) {
    this.previous = null
    this.next = null
    this.isListed = false
    this.#pool = pool
    this.#copies = new CopiedBytes()
    this.#buffer = NO_BUFFER
    this.#startBytes = 0
    this.#endBytes = 0
    this.#rest = []
    this.#bufferedBytes = 0
  }

  get isEmpty(): boolean {
    return this.#buffer === NO_BUFFER && this.#copies.isEmpty
  }

  /** The memory that its data holds: whole buffers, and what was copied out. */
  get heldBytes(): number {
    return this.#keptBytes + this.#copies.capacityBytes
  }

  get #keptBytes(): number {
    return this.#pieceCount * this.#pool.bufferBytes
  }

  get #pieceCount(): number {
    return this.#buffer === NO_BUFFER ? 0 : this.#rest.length + 1
  }

  /** Takes over a piece, which has bytes. */
  put({ buffer, startBytes, endBytes }: BufferPiece): void {
    const lengthBytes = endBytes - startBytes
    this.#bufferedBytes += lengthBytes
    this.#pool.hold(this, lengthBytes)
    if (this.#buffer === NO_BUFFER) {
      this.#buffer = buffer
      this.#startBytes = startBytes
      this.#endBytes = endBytes
      return
    }
    this.#rest.push((startBytes * LENGTH_FACTOR + lengthBytes) * BUFFER_FACTOR + buffer)
    if (this.#pieceCount < BUFFERS_MAX) return
    if (this.#bufferedBytes * POOR_PART < this.#keptBytes) this.copyOut()
  }

  /** Takes over bytes that lie in no buffer, before any that do; {@link Inbox} copies them. */
  putCopy(bytes: Uint8Array): void {
    assert(this.#buffer === NO_BUFFER, 'what was copied comes first')
    for (let start = 0; start < bytes.length; start += CHUNK_BYTES_MAX) {
      this.#copies.append(bytes.subarray(start, start + CHUNK_BYTES_MAX))
    }
  }

  /** Copies what lies in buffers into ordinary memory, and gives them back. */
  copyOut(): void {
    if (this.#buffer === NO_BUFFER) return
    this.#copies.reserve(this.#bufferedBytes)
    while (this.#buffer !== NO_BUFFER) {
      this.#copies.append(this.#pool.bytesOf(this.#buffer, this.#startBytes, this.#endBytes))
      this.#pool.giveBack(this.#shift())
    }
  }

  /** Takes what waits as one chunk, which is the caller's for good; there must be something. */
  take(): Uint8Array {
    if (!this.#copies.isEmpty) return this.#copies.shift()
    if (this.#rest.length === 0 && this.#endBytes - this.#startBytes <= CHUNK_BYTES_MAX) {
      const chunk = this.#pool.copyOf(this.#buffer, this.#startBytes, this.#endBytes)
      this.#pool.giveBack(this.#shift())
      return chunk
    }
    const chunk = new Uint8Array(this.#chunkBytes())
    this.copyInto(chunk)
    return chunk
  }

  /** As many whole messages as one chunk may hold; of the first, as much as it may. */
  #chunkBytes(): number {
    if (this.#bufferedBytes <= CHUNK_BYTES_MAX) return this.#bufferedBytes
    let bytes = this.#endBytes - this.#startBytes
    if (bytes >= CHUNK_BYTES_MAX) return CHUNK_BYTES_MAX
    for (const piece of this.#rest) {
      const lengthBytes = Math.floor(piece / BUFFER_FACTOR) % LENGTH_FACTOR
      if (bytes + lengthBytes > CHUNK_BYTES_MAX) break
      bytes += lengthBytes
    }
    return bytes
  }

  /** Takes the first message as a lease; there must be something. */
  takeLease(): Lease {
    if (!this.#copies.isEmpty) return this.#pool.leaseCopy(this.#copies.shift())
    const startBytes = this.#startBytes
    const endBytes = this.#endBytes
    return this.#pool.lease(this.#shift(), startBytes, endBytes)
  }

  /** Moves what waits, or as much as fits, into `target`, and returns how much that was. */
  copyInto(target: Uint8Array): number {
    let filledBytes = 0
    while (filledBytes < target.length && !this.#copies.isEmpty) {
      const bytes = this.#copies.peek().subarray(0, target.length - filledBytes)
      target.set(bytes, filledBytes)
      this.#copies.skip(bytes.length)
      filledBytes += bytes.length
    }
    while (filledBytes < target.length && this.#buffer !== NO_BUFFER) {
      const wantedBytes = target.length - filledBytes
      const endBytes = Math.min(this.#endBytes, this.#startBytes + wantedBytes)
      const bytes = this.#pool.bytesOf(this.#buffer, this.#startBytes, endBytes)
      target.set(bytes, filledBytes)
      filledBytes += bytes.length
      if (endBytes < this.#endBytes) {
        this.#startBytes = endBytes
        this.#bufferedBytes -= bytes.length
        this.#pool.unread(bytes.length)
      } else {
        this.#pool.giveBack(this.#shift())
      }
    }
    return filledBytes
  }

  /** Drops all that waits. */
  clear(): void {
    while (this.#buffer !== NO_BUFFER) this.#pool.giveBack(this.#shift())
    while (!this.#copies.isEmpty) this.#copies.shift()
  }

  /** Takes the first message off the buffers, and returns its buffer. */
  #shift(): number {
    const buffer = this.#buffer
    const lengthBytes = this.#endBytes - this.#startBytes
    this.#bufferedBytes -= lengthBytes
    const piece = this.#rest.shift()
    if (piece === undefined) {
      this.#buffer = NO_BUFFER
    } else {
      const range = Math.floor(piece / BUFFER_FACTOR)
      this.#buffer = piece % BUFFER_FACTOR
      this.#startBytes = Math.floor(range / LENGTH_FACTOR)
      this.#endBytes = this.#startBytes + (range % LENGTH_FACTOR)
    }
    this.#pool.letGo(this, lengthBytes, piece === undefined)
    return buffer
  }
}
