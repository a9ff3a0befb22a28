import { RuntimeError } from '../../base/index.ts'
import type { IoMemory, Lease } from '../../memory/index.ts'
import type { RangeLock } from '../ranges/range-lock.ts'
import type { Descriptor } from '../requests/descriptor.ts'

/** What a stream needs to know of its file. */
export interface StreamTarget {
  readonly descriptor: Descriptor
  readonly ranges: RangeLock
  /** Whether there are positions. */
  readonly isSeekable: boolean
  readonly isRegular: boolean
  readonly isAppending: boolean
}

/** What is done ahead may take memory up to this share of the limit: the rest is for what others need now. */
const AHEAD_SHARE = 3 / 4
/** Where memory is scarce blocks are as small as this. */
const SCARCE_BLOCK_BYTES = 16 * 1024

/** Memory for a block that a stream can do without for now; null if there is too little. */
export function tryBlockAhead(memory: IoMemory, lengthBytes: number): Lease | null {
  if (memory.usedBytes + lengthBytes > memory.sizeBytesMax * AHEAD_SHARE) return null
  return memory.tryAllocate(lengthBytes)
}

/** A block that a stream can't go on without. */
export interface NeededBlock {
  readonly lease: Lease
  /** Whether it is of the reserve, which nobody but percore sees. */
  readonly isReserved: boolean
}

/**
 * Memory for a block that a stream can't go on without: a smaller one where memory is scarce, of the
 * reserve where others have all of it.
 *
 * @throws {RuntimeError} `ERR_OUT_OF_MEMORY` if even that is used up.
 */
export function takeNeededBlock(
  memory: IoMemory,
  lengthBytes: number,
  alignmentBytes: number,
): NeededBlock {
  const leastBytes = Math.max(SCARCE_BLOCK_BYTES, alignmentBytes)
  let blockBytes = lengthBytes
  for (;;) {
    const lease = memory.tryAllocate(blockBytes)
    if (lease !== null) return { lease, isReserved: false }
    if (blockBytes <= leastBytes) break
    blockBytes = leastBytes
  }
  const lease = memory.tryAllocateReserved(blockBytes)
  if (lease !== null) return { lease, isReserved: true }
  // It says how much there is, and who holds it.
  return { lease: memory.allocate(blockBytes), isReserved: false }
}

/** The same for percore itself: memory that a writer can do without for now. */
export function tryOwnBlockAhead(memory: IoMemory, lengthBytes: number): Lease | null {
  if (memory.usedBytes + lengthBytes > memory.sizeBytesMax * AHEAD_SHARE) return null
  return memory.tryAllocateUnreserved(lengthBytes)
}

/**
 * The same for percore itself: a block that a writer can't go on without.
 *
 * @throws {RuntimeError} `ERR_OUT_OF_MEMORY`
 */
export function takeOwnBlock(memory: IoMemory, lengthBytes: number, alignmentBytes: number): Lease {
  const leastBytes = Math.max(SCARCE_BLOCK_BYTES, alignmentBytes)
  return (
    memory.tryAllocateUnreserved(lengthBytes) ??
    memory.allocateOwn(Math.min(leastBytes, lengthBytes))
  )
}

export function streamClosed(action: string, path: string, what: string): RuntimeError {
  return new RuntimeError(
    'ERR_HANDLE_CLOSED',
    `Cannot ${action} as the ${what} of '${path}' must be open: it was closed`,
  )
}
