/** What users look at lent memory through. */
const lentMemories = new WeakSet<ArrayBufferLike>()

/** Takes note that what `view` lies in is lent, to one user after the other. */
export function markLent(view: Uint8Array): Uint8Array {
  lentMemories.add(view.buffer)
  return view
}

/**
 * Whether `data` lies in memory that is lent: as soon as its lease is released, the bytes may be
 * another's. For operations that are given plain bytes, and use them later. O(1).
 */
export function isLent(data: Uint8Array): boolean {
  return lentMemories.has(data.buffer)
}
