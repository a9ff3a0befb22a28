import type { DirectFile, Lease } from 'percore/io'
import { HEADER_BYTES, writeRecord, writeSegmentHeader } from './record.ts'
import type { Segment } from './segment.ts'

const BLOCK_BYTES = 4096

/**
 * Records that are written together, in one write of whole blocks.
 *
 * It begins with the block that the batch before has ended in, of which it writes the same bytes again: so records lie
 * close together, however few come at a time, and what was acknowledged stays as it is whichever part of a write is lost.
 */
export class Batch {
  readonly segment: Segment
  readonly lease: Lease
  readonly #bytes: Buffer
  /** Where {@link lease} begins in the file. */
  readonly #startBytes: number
  #usedBytes: number
  /** The offset of the next record. */
  endOffset: number
  recordCount = 0
  /** All of its records are on the disk. */
  readonly committed: Promise<void>
  commit!: () => void
  fail!: (error: unknown) => void

  private constructor(segment: Segment, lease: Lease, endOffset: number) {
    const { file } = segment
    this.segment = segment
    this.lease = lease
    this.#bytes = Buffer.from(lease.bytes.buffer, lease.bytes.byteOffset, lease.lengthBytes)
    const positionBytes = segment.positionOf(endOffset)
    this.#usedBytes = positionBytes % blockBytesOf(file)
    this.#startBytes = positionBytes - this.#usedBytes
    this.endOffset = endOffset
    this.committed = new Promise<void>((resolve, reject) => {
      this.commit = resolve
      this.fail = reject
    })
    // Who waits for it is told; nobody need be waiting.
    this.committed.catch(() => {})
  }

  /** The first of a new segment. */
  static first(segment: Segment, lease: Lease): Batch {
    const batch = new Batch(segment, lease, segment.baseOffset)
    batch.#usedBytes = HEADER_BYTES
    writeSegmentHeader(batch.#bytes, segment.baseOffset)
    return batch
  }

  /** The first after a recovery: the block that the log ends in is read. */
  static async resume(segment: Segment, lease: Lease, endOffset: number): Promise<Batch> {
    const batch = new Batch(segment, lease, endOffset)
    if (batch.#usedBytes > 0) {
      using block = await segment.file.read(batch.#startBytes, batch.#usedBytes)
      batch.#bytes.set(block.bytes)
    }
    return batch
  }

  /** The one that goes on where this ends, which takes no more records. */
  next(lease: Lease): Batch {
    const batch = new Batch(this.segment, lease, this.endOffset)
    const tail = this.#usedBytes - batch.#usedBytes
    this.#bytes.copy(batch.#bytes, 0, tail, this.#usedBytes)
    return batch
  }

  fits(dataBytes: number, segmentBytes: number): boolean {
    const usedBytes = this.#usedBytes + HEADER_BYTES + dataBytes
    return usedBytes <= this.#bytes.length && this.#startBytes + usedBytes <= segmentBytes
  }

  /** Takes a copy of a record; its offset. */
  push(data: Uint8Array): number {
    const offset = this.endOffset
    writeRecord(this.#bytes, this.#usedBytes, offset, data)
    this.#usedBytes += HEADER_BYTES + data.length
    this.endOffset += HEADER_BYTES + data.length
    this.recordCount++
    return offset
  }

  /** Writes all of it, and waits for the disk. */
  async write(): Promise<void> {
    const { file } = this.segment
    const blockBytes = blockBytesOf(file)
    const lengthBytes = Math.ceil(this.#usedBytes / blockBytes) * blockBytes
    this.#bytes.fill(0, this.#usedBytes, lengthBytes)
    const endBytes = this.#startBytes + lengthBytes
    if (!this.segment.isFilled(endBytes)) await this.segment.fill(endBytes)
    using part = this.lease.slice(0, lengthBytes)
    await file.write(part, this.#startBytes)
    await file.datasync()
  }
}

/** File systems take parts of their blocks, too, but wait for each other's and for what fills the rest of the block. */
function blockBytesOf(file: DirectFile): number {
  return Math.max(BLOCK_BYTES, file.alignmentBytes)
}
