/**
 * The protocol: frames of a length (4 bytes, little-endian, of what follows), a kind (1 byte) and a body.
 *
 * | request | kind | body | answer | kind | body |
 * | --- | ---: | --- | --- | ---: | --- |
 * | append | 1 | the record | it is on the disk | 1 | its offset (8 bytes, a double) |
 * | read | 2 | an offset | the record | 2 | the offset behind it (8 bytes), then the record |
 * | | | | that is the end | 3 | nothing |
 * | | | | it was refused | 4 | why, in UTF-8 |
 *
 * Answers come in the order of requests, however many a client sends before it reads.
 */
export const APPEND = 1
export const READ = 2
export const END = 3
export const REFUSED = 4

const PREFIX_BYTES = 5
const FRAME_BYTES_MAX = 1 << 20

export interface Frame {
  readonly kind: number
  /** A part of what came: it lasts as long as that. */
  readonly body: Buffer
}

/** Makes frames of what the network made of them: O(bytes), whatever the chunks. */
export class FrameParser {
  /** What came of a frame that is not whole. */
  #parts: Buffer[] = []
  #heldBytes = 0
  /** How much of it there must be before it is looked at again. */
  #wantedBytes = PREFIX_BYTES

  /** The frames that end in a chunk. @throws {Error} for what can be no frame. */
  push(chunk: Uint8Array): Frame[] {
    let bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
    if (this.#heldBytes > 0) {
      // A copy, as the chunk may be lent.
      this.#parts.push(Buffer.from(bytes))
      this.#heldBytes += bytes.length
      if (this.#heldBytes < this.#wantedBytes) return []
      bytes = Buffer.concat(this.#parts)
      this.#parts = []
    }
    const frames: Frame[] = []
    let at = 0
    this.#wantedBytes = PREFIX_BYTES
    while (bytes.length - at >= PREFIX_BYTES) {
      const lengthBytes = bytes.readUInt32LE(at)
      if (lengthBytes < 1 || lengthBytes > FRAME_BYTES_MAX) {
        throw new Error(`a frame must have 1 to ${FRAME_BYTES_MAX} bytes`)
      }
      const end = at + 4 + lengthBytes
      if (end > bytes.length) {
        this.#wantedBytes = 4 + lengthBytes
        break
      }
      frames.push({ kind: bytes[at + 4]!, body: bytes.subarray(at + PREFIX_BYTES, end) })
      at = end
    }
    this.#heldBytes = bytes.length - at
    if (this.#heldBytes > 0) this.#parts.push(Buffer.from(bytes.subarray(at)))
    return frames
  }
}

export function encodeFrame(kind: number, ...body: readonly Uint8Array[]): Buffer {
  const lengthBytes = body.reduce((sum, part) => sum + part.length, 1)
  const prefix = Buffer.alloc(PREFIX_BYTES)
  prefix.writeUInt32LE(lengthBytes, 0)
  prefix[4] = kind
  return Buffer.concat([prefix, ...body])
}

/** The answer to an append, in one piece of memory. */
export function encodeAppended(offset: number): Buffer {
  const frame = Buffer.allocUnsafe(PREFIX_BYTES + 8)
  frame.writeUInt32LE(9, 0)
  frame[4] = APPEND
  frame.writeDoubleLE(offset, PREFIX_BYTES)
  return frame
}

export function encodeOffset(offset: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleLE(offset)
  return bytes
}

export function encodeRefused(error: unknown): Buffer {
  return encodeFrame(REFUSED, Buffer.from(error instanceof Error ? error.message : String(error)))
}
