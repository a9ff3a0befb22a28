import { assert } from '../base/index.ts'
import {
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUF_MORE,
  IORING_CQE_F_BUFFER,
} from '../kernel/index.ts'

/**
 * Which bytes of which buffers a completion has filled.
 *
 * A completion names one buffer and a count of bytes. That is a piece at the beginning of the buffer; of an incremental
 * ring, behind what was filled of it before, and the buffer goes on while IORING_CQE_F_BUF_MORE says so; of a
 * bundle, several pieces: the buffers that follow in the ring, each filled before the next. So this keeps what was
 * published where, and how far each buffer is filled. The pieces of an incremental ring must be told in the order in
 * which they were filled; others in any. O(1) per piece, no allocation.
 */
export class BufferPieces {
  /** The piece that {@link begin} or {@link next} has come to. */
  buffer = 0
  startBytes = 0
  endBytes = 0
  /** Whether the kernel goes on filling its buffer. */
  isOpen = false
  readonly #bufferBytes: number
  readonly #isIncremental: boolean
  readonly #mask: number
  /** The buffer in each entry of the ring, and the entry of each buffer. */
  readonly #buffers: Uint16Array
  readonly #entries: Uint16Array
  /** How far each is filled. */
  readonly #filledBytes: Uint32Array
  /** Where the piece's buffer was published. */
  #entry = 0
  #leftBytes = 0
  #goesOn = false

  constructor(entryCount: number, bufferBytes: number, isIncremental: boolean) {
    this.#bufferBytes = bufferBytes
    this.#isIncremental = isIncremental
    this.#mask = entryCount - 1
    this.#buffers = new Uint16Array(entryCount)
    this.#entries = new Uint16Array(entryCount)
    this.#filledBytes = new Uint32Array(entryCount)
  }

  /** Takes note of where a buffer was published. */
  publish(buffer: number, entry: number): void {
    this.#buffers[entry] = buffer
    this.#entries[buffer] = entry
  }

  /** Comes to the first piece of a completion with so much; false if it has none: no buffer was picked for it. */
  begin(result: number, flags: number): boolean {
    if ((flags & IORING_CQE_F_BUFFER) === 0) return false
    this.#leftBytes = result > 0 ? result : 0
    this.#goesOn = (flags & IORING_CQE_F_BUF_MORE) !== 0
    assert(!this.#goesOn || this.#isIncremental, 'whole buffers are filled once')
    const buffer = flags >>> IORING_CQE_BUFFER_SHIFT
    this.#entry = this.#entries[buffer]!
    this.#fill(buffer)
    return true
  }

  /** Comes to the next one; false if there is no more. */
  next(): boolean {
    if (this.#leftBytes === 0) return false
    // Not by the entry of the last buffer: it may have been published anew meanwhile.
    this.#entry = (this.#entry + 1) & this.#mask
    this.#fill(this.#buffers[this.#entry]!)
    return true
  }

  #fill(buffer: number): void {
    const start = this.#isIncremental ? this.#filledBytes[buffer]! : 0
    const room = this.#bufferBytes - start
    const length = this.#leftBytes < room ? this.#leftBytes : room
    const end = start + length
    this.#leftBytes -= length
    this.buffer = buffer
    this.startBytes = start
    this.endBytes = end
    this.isOpen = this.#goesOn && this.#leftBytes === 0
    if (this.#isIncremental) this.#filledBytes[buffer] = this.isOpen ? end : 0
  }
}
