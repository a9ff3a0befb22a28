import { alignDown, alignUp } from '../../base/index.ts'
import type { WaitOptions } from '../../executor/index.ts'
import type { Lease } from '../../memory/index.ts'
import type { Descriptor } from './descriptor.ts'
import { Transfer } from './transfer.ts'
import { READ_RANGE } from './transfer-plan.ts'

/** A stretch of a file. */
export interface Stretch {
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** Reads the blocks around a stretch; the value is a lease on what of it there is. */
export function readRange(
  descriptor: Descriptor,
  { offsetBytes, lengthBytes }: Stretch,
  options: WaitOptions | undefined,
): Promise<Lease> {
  const { alignmentBytes } = descriptor
  const firstBytes = alignDown(offsetBytes, alignmentBytes)
  const lastBytes = alignUp(offsetBytes + lengthBytes, alignmentBytes)
  const { memory } = descriptor.executor
  // At least one block, so that reading nothing reports what reading something would.
  const buffer = memory.allocate(Math.max(alignmentBytes, lastBytes - firstBytes))
  try {
    const operation = new Transfer(READ_RANGE, descriptor, buffer, buffer, firstBytes)
    operation.skipBytes = offsetBytes - firstBytes
    // Behind the transfer's look at it, which is to fill whole blocks.
    buffer.trim(operation.skipBytes + lengthBytes)
    return operation.start(options)
  } catch (error) {
    buffer.release()
    throw error
  }
}
