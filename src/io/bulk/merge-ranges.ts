import { alignDown, alignUp, assert } from '../../base/index.ts'

/** A stretch of a file. */
export interface ByteRange {
  /** Where it begins. */
  readonly offsetBytes: number
  /** How long it is; 0 reads nothing. */
  readonly lengthBytes: number
}

/** What {@link mergeRanges} may make of several ranges. */
export interface MergeLimits {
  /** What reads begin and end at multiples of, a power of two. */
  readonly alignmentBytes: number
  /** How long a read of several ranges may be; 0 merges nothing. */
  readonly mergedBytesMax: number
  /** How many bytes between two neighbours may be read for nobody. */
  readonly holeBytesMax: number
}

/** One read, and the ranges that it brings. */
export interface MergedRead {
  readonly offsetBytes: number
  readonly lengthBytes: number
  /** Of the ranges that were given, ascending. */
  readonly indices: readonly number[]
}

interface Draft {
  readonly startBytes: number
  endBytes: number
  readonly indices: number[]
}

/**
 * Decides which ranges are read together: from each read's first range on, whatever follows it in the file and keeps to the limits.
 *
 * A range that is longer than the limit is a read by itself, as are those that lie within it. Blocks that two ranges share are no hole
 * between them. A range of no bytes belongs to no read. The reads are in the order of the ranges that need them first. O(n log n); pure.
 *
 * Source: glommio's `OrderedBulkIo` and `MergedBufferLimit`, which merge only what is asked for one after the other.
 */
export function mergeRanges(ranges: readonly ByteRange[], limits: MergeLimits): MergedRead[] {
  const drafts: Draft[] = []
  let last: Draft | null = null
  for (const index of orderByOffset(ranges)) {
    const { offsetBytes, lengthBytes } = ranges[index]!
    const startBytes = alignDown(offsetBytes, limits.alignmentBytes)
    const endBytes = alignUp(offsetBytes + lengthBytes, limits.alignmentBytes)
    if (last !== null && mayJoin(last, startBytes, endBytes, limits)) {
      last.endBytes = Math.max(last.endBytes, endBytes)
      last.indices.push(index)
    } else {
      last = { startBytes, endBytes, indices: [index] }
      drafts.push(last)
    }
  }
  const reads = drafts.map(toRead)
  return reads.sort((a, b) => a.indices[0]! - b.indices[0]!)
}

function orderByOffset(ranges: readonly ByteRange[]): number[] {
  const order: number[] = []
  let isOrdered = true
  let lastBytes = 0
  for (let index = 0; index < ranges.length; index++) {
    const { offsetBytes, lengthBytes } = ranges[index]!
    if (lengthBytes === 0) continue
    if (offsetBytes < lastBytes) isOrdered = false
    lastBytes = offsetBytes
    order.push(index)
  }
  if (isOrdered) return order
  // Of equals the first asked for comes first, as sorting is stable.
  return order.sort((a, b) => ranges[a]!.offsetBytes - ranges[b]!.offsetBytes)
}

function mayJoin(
  draft: Draft,
  startBytes: number,
  endBytes: number,
  { mergedBytesMax, holeBytesMax }: MergeLimits,
): boolean {
  assert(startBytes >= draft.startBytes, 'ranges come in the order of the file')
  if (mergedBytesMax === 0 || startBytes - draft.endBytes > holeBytesMax) return false
  // Where one lies within the other, both cost what the longer does.
  if (endBytes <= draft.endBytes || startBytes === draft.startBytes) return true
  return endBytes - draft.startBytes <= mergedBytesMax
}

function toRead({ startBytes, endBytes, indices }: Draft): MergedRead {
  assert(endBytes > startBytes, 'a read brings something')
  indices.sort((a, b) => a - b)
  return { offsetBytes: startBytes, lengthBytes: endBytes - startBytes, indices }
}
