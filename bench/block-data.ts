/** What the blocks of test files hold, so that a read can be checked and cannot be a hole. */

/** The size of a block, and of every read of `read4k`. */
export const BLOCK_BYTES = 4_096

/**
 * Fills one block: its index in the first word, then words that do not compress.
 *
 * Incompressible, so that no storage below can answer without moving the bytes.
 */
export function fillBlock(words: Uint32Array, base: number, blockIndex: number): void {
  let state = (blockIndex * 2_654_435_761 + 1) | 0
  words[base] = blockIndex
  for (let index = 1; index < BLOCK_BYTES / 4; index++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[base + index] = state
  }
}

/**
 * Checks that a block is the one {@link fillBlock} wrote.
 *
 * @throws {Error} naming the block if it is another.
 */
export function checkBlock(words: Uint32Array, base: number, blockIndex: number): void {
  const expected = new Uint32Array(BLOCK_BYTES / 4)
  fillBlock(expected, 0, blockIndex)
  if (expected.every((word, index) => words[base + index] === word)) return
  throw new Error(`Cannot trust a read: block ${blockIndex} does not hold what was written`)
}
