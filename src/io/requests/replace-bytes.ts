import { alignDown, alignUp, assert } from '../../base/index.ts'
import { Deadline, type WaitOptions } from '../../executor/index.ts'
import type { Lease } from '../../memory/index.ts'
import type { RangeHold, RangeLock } from '../ranges/range-lock.ts'
import { decodeSize } from '../values/status.ts'
import type { Descriptor } from './descriptor.ts'
import { Statx } from './file-operations.ts'
import { copyPiece, PIECE_BYTES } from './pieces.ts'
import { partOf, Transfer } from './transfer.ts'
import { READ_INTO, WRITE_FROM } from './transfer-plan.ts'
import { truncate } from './truncate.ts'

/** The file whose bytes are replaced; its owner keeps it open. */
export interface ReplaceTarget {
  readonly descriptor: Descriptor
  readonly ranges: RangeLock
  /** Whether it has a size that writing extends. */
  readonly isRegular: boolean
}

const ACTION = 'write a file'

/**
 * Writes bytes at any position of a file that takes whole blocks only; resolves with their number.
 *
 * Blocks at the ends that are covered in part are read and written back, alone on them. Where the last of
 * these would extend the file too far, everything behind is held as well, and the size set right.
 *
 * Other threads and programs heed no hold. The file is cut only if it ends just where this has written
 * to, so what they append beyond stays; what they write within the padding, or append between that
 * look and the cut, is lost.
 */
export async function replaceBytes(
  target: ReplaceTarget,
  data: Uint8Array,
  offsetBytes: number,
  options: WaitOptions | undefined,
): Promise<number> {
  const job = new Replacement(target, data, offsetBytes, options)
  if (job.lengthBytes > 0) await job.run()
  return job.lengthBytes
}

class Replacement {
  readonly lengthBytes: number
  readonly #target: ReplaceTarget
  readonly #data: Uint8Array
  readonly #steps: Deadline
  /** The bytes, and the blocks that they touch. */
  readonly #startBytes: number
  readonly #endBytes: number
  readonly #firstBytes: number
  readonly #lastBytes: number
  /** How far it has written. */
  #reachedBytes = 0

  constructor(
    target: ReplaceTarget,
    data: Uint8Array,
    offsetBytes: number,
    options: WaitOptions | undefined,
  ) {
    this.lengthBytes = data.length
    this.#target = target
    this.#data = data
    this.#steps = new Deadline(target.descriptor.executor, ACTION, options)
    this.#startBytes = offsetBytes
    this.#endBytes = offsetBytes + data.length
    const { alignmentBytes } = target.descriptor
    this.#firstBytes = alignDown(offsetBytes, alignmentBytes)
    this.#lastBytes = alignUp(this.#endBytes, alignmentBytes)
  }

  async run(): Promise<void> {
    const { ranges, isRegular } = this.#target
    const hasWholeEnd = this.#lastBytes === this.#endBytes
    const isAligned = hasWholeEnd && this.#firstBytes === this.#startBytes
    const mayPad = isRegular && !hasWholeEnd
    // Until the size is known the last block may be the file's last too, whose padding is to be cut.
    const endBytes = mayPad ? Infinity : this.#lastBytes
    const range = { startBytes: this.#firstBytes, endBytes, isExclusive: !isAligned }
    const hold = await ranges.acquire(range, ACTION, this.#steps.next())
    try {
      if (mayPad) await this.#writeTail(hold)
      else await this.#writePieces()
    } finally {
      ranges.release(hold)
    }
  }

  async #writeTail(hold: RangeHold): Promise<void> {
    const sizeBytes = await this.#size().start(this.#steps.next())
    if (sizeBytes >= this.#lastBytes) {
      this.#target.ranges.narrow(hold, this.#lastBytes)
      await this.#writePieces()
    } else {
      await this.#writeAtEnd(sizeBytes)
    }
  }

  async #writeAtEnd(sizeBytes: number): Promise<void> {
    try {
      await this.#writePieces()
    } catch (error) {
      await this.#restore(sizeBytes, error)
      throw error
    }
    const exactBytes = Math.max(sizeBytes, this.#endBytes)
    if (exactBytes < this.#lastBytes) await this.#cut(exactBytes)
  }

  /** Takes back what a failed write added to the file, padding included. */
  async #restore(sizeBytes: number, reason: unknown): Promise<void> {
    // Others may have written what is before, beyond the old end too.
    const keptBytes = Math.max(sizeBytes, this.#firstBytes)
    try {
      if (this.#reachedBytes > keptBytes) await this.#cut(keptBytes)
    } catch (error) {
      throw new AggregateError([reason, error], 'Cannot write a file, nor restore its size')
    }
  }

  #size(): Statx<number> {
    return new Statx(this.#target.descriptor, decodeSize)
  }

  /** Cuts what this has written last, unless somebody has gone on behind it, or cut it already. */
  async #cut(sizeBytes: number): Promise<void> {
    // Shielded: an abort that came now would leave padding in the file.
    const endBytes = await this.#size().startShielded()
    if (endBytes !== this.#reachedBytes) return
    const { descriptor } = this.#target
    await truncate(descriptor, sizeBytes, (operation) => operation.startShielded())
  }

  async #writePieces(): Promise<void> {
    const stepBytes = alignUp(PIECE_BYTES, this.#target.descriptor.alignmentBytes)
    for (let from = this.#firstBytes; from < this.#lastBytes; from += stepBytes) {
      await this.#writePiece(from, Math.min(from + stepBytes, this.#lastBytes))
    }
  }

  /** Writes the blocks of one stretch, the first or last of which may need their old contents. */
  async #writePiece(fromBytes: number, toBytes: number): Promise<void> {
    const { descriptor } = this.#target
    const { alignmentBytes } = descriptor
    using buffer = descriptor.executor.memory.allocateOwn(toBytes - fromBytes)
    const hasHead = fromBytes < this.#startBytes
    const tailBytes = toBytes - alignmentBytes
    if (hasHead) await this.#fill(buffer, 0, fromBytes)
    if (toBytes > this.#endBytes && !(hasHead && tailBytes === fromBytes)) {
      await this.#fill(buffer, tailBytes - fromBytes, tailBytes)
    }
    const dataFromBytes = Math.max(fromBytes, this.#startBytes)
    const dataToBytes = Math.min(toBytes, this.#endBytes)
    assert(dataFromBytes < dataToBytes, 'each piece holds some of the data')
    const place = buffer.bytes.subarray(dataFromBytes - fromBytes, dataToBytes - fromBytes)
    copyPiece(this.#data, dataFromBytes - this.#startBytes, place)
    const write = new Transfer(WRITE_FROM, descriptor, buffer, buffer, fromBytes)
    try {
      await write.start(this.#steps.next())
    } finally {
      if (write.movedBytes > 0) this.#reachedBytes = fromBytes + write.movedBytes
    }
  }

  /** Reads one block; what lies beyond the end of the file is zeros. */
  async #fill(buffer: Lease, atBytes: number, offsetBytes: number): Promise<void> {
    const { descriptor } = this.#target
    const { alignmentBytes } = descriptor
    const memory = partOf(buffer, atBytes, alignmentBytes)
    const read = new Transfer(READ_INTO, descriptor, buffer, memory, offsetBytes)
    const validBytes = await read.start(this.#steps.next())
    buffer.bytes.fill(0, atBytes + validBytes, atBytes + alignmentBytes)
  }
}
