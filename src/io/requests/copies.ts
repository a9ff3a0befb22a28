import type { WaitOptions } from '../../executor/index.ts'
import type { RangeHold } from '../ranges/range-lock.ts'
import type { Descriptor } from './descriptor.ts'
import { copyPiece } from './pieces.ts'
import { Transfer } from './transfer.ts'
import { NO_POSITION, READ_COPY, WRITE_FROM } from './transfer-plan.ts'

/** Where a piece of ordinary memory goes, or comes from. */
export interface Place {
  readonly offsetBytes: number
  /** Whether there are positions; without, a read takes what comes first. */
  readonly isSeekable: boolean
}

/** Reads one piece, by way of I/O memory of its own, into a new array. */
export function readCopy(
  descriptor: Descriptor,
  lengthBytes: number,
  { isSeekable, offsetBytes }: Place,
  options: WaitOptions | undefined,
): Promise<Uint8Array> {
  const buffer = descriptor.executor.memory.allocateOwn(lengthBytes || 1)
  try {
    buffer.trim(lengthBytes)
    const at = isSeekable ? offsetBytes : NO_POSITION
    return new Transfer(READ_COPY, descriptor, buffer, buffer, at).start(options)
  } catch (error) {
    buffer.release()
    throw error
  }
}

/** Where a write goes, and what it holds there until it ends. */
export interface HeldPlace extends Place {
  readonly hold: RangeHold | null
}

/** Writes one piece, which is copied at once and may change from then on. Throws without releasing the hold. */
export function writeCopy(
  descriptor: Descriptor,
  data: Uint8Array,
  { isSeekable, offsetBytes, hold }: HeldPlace,
  options: WaitOptions | undefined,
): Promise<number> {
  const buffer = descriptor.executor.memory.allocateOwn(data.length || 1)
  try {
    buffer.trim(data.length)
    copyPiece(data, 0, buffer.bytes)
    const at = isSeekable ? offsetBytes : NO_POSITION
    const operation = new Transfer(WRITE_FROM, descriptor, buffer, buffer, at)
    return operation.startHeld(hold, options)
  } finally {
    // Pinned while it is under way, and given back at its end.
    buffer.release()
  }
}
