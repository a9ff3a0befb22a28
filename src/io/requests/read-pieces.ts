import { Deadline, type WaitOptions } from '../../executor/index.ts'
import type { Lease } from '../../memory/index.ts'
import { decodeSize } from '../values/status.ts'
import type { Descriptor } from './descriptor.ts'
import { Statx } from './file-operations.ts'
import { GrowingBytes } from './growing-bytes.ts'
import { PIECE_BYTES } from './pieces.ts'
import { partOf, Transfer } from './transfer.ts'
import { NO_POSITION, READ_INTO } from './transfer-plan.ts'

/** What is read, and from where. */
export interface ReadPlace {
  readonly descriptor: Descriptor
  readonly isSeekable: boolean
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** Reads more than a piece; asks for the size first, since asking for more than there is must not take as much memory. */
export async function readLarge(
  place: ReadPlace,
  options: WaitOptions | undefined,
): Promise<Uint8Array> {
  const { descriptor, isSeekable, offsetBytes, lengthBytes } = place
  const action = 'read a file'
  const steps = new Deadline(descriptor.executor, action, options)
  descriptor.enter()
  try {
    // Of what has no size, and what grows meanwhile, there may be more.
    const sizeBytes = isSeekable
      ? await new Statx(descriptor, decodeSize).start(steps.next(), action)
      : 0
    // Faulting small pages in takes four times as long as all the rest.
    const { kernel } = descriptor.executor
    const prepare = (bytes: Uint8Array): void => kernel.adviseHugePages(bytes)
    const all = new GrowingBytes(Math.max(0, sizeBytes - offsetBytes), lengthBytes, prepare)
    await readPieces(place, steps, (bytes) => all.append(bytes))
    return all.take()
  } finally {
    descriptor.leave()
  }
}

/** Reads into a lease; what has no positions is read once, whatever comes. */
export function readPiece(
  buffer: Lease,
  place: ReadPlace,
  options: WaitOptions | undefined,
): Promise<number> {
  return beginPiece(buffer, place, options).promise
}

/** The same for one that keeps it to cancel it; throws what refuses it. */
export function beginPiece(
  buffer: Lease,
  { descriptor, isSeekable, offsetBytes, lengthBytes }: ReadPlace,
  options: WaitOptions | undefined,
): Transfer<number> {
  const memory = partOf(buffer, 0, lengthBytes)
  const at = isSeekable ? offsetBytes : NO_POSITION
  const transfer = new Transfer(READ_INTO, descriptor, buffer, memory, at)
  void transfer.start(options)
  return transfer
}

/** Reads, and shows each piece to `take`, which must copy it. */
export async function readPieces(
  place: ReadPlace,
  steps: Deadline,
  take: (bytes: Uint8Array) => void,
): Promise<void> {
  const { descriptor, isSeekable, lengthBytes } = place
  using buffer = descriptor.executor.memory.allocateOwn(Math.min(lengthBytes, PIECE_BYTES) || 1)
  descriptor.enter()
  try {
    let doneBytes = 0
    do {
      const askedBytes = Math.min(lengthBytes - doneBytes, PIECE_BYTES)
      const offsetBytes = place.offsetBytes + doneBytes
      const piece = { descriptor, isSeekable, offsetBytes, lengthBytes: askedBytes }
      const readBytes = await readPiece(buffer, piece, steps.next())
      take(buffer.bytes.subarray(0, readBytes))
      doneBytes += readBytes
      if (readBytes < askedBytes || !isSeekable) break
    } while (doneBytes < lengthBytes)
  } finally {
    descriptor.leave()
  }
}
