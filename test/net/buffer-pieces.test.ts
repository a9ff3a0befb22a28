import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUF_MORE,
  IORING_CQE_F_BUFFER,
} from '../../src/kernel/index.ts'
import { BufferPieces } from '../../src/ring/index.ts'

const BUFFER_BYTES = 100
const ENTRY_COUNT = 4

type Piece = readonly [buffer: number, startBytes: number, endBytes: number]

/** Buffers 3, 1, 2, 0, in that order in the ring. */
function shuffled(isIncremental: boolean): BufferPieces {
  const pieces = new BufferPieces(ENTRY_COUNT, BUFFER_BYTES, isIncremental)
  for (const [entry, buffer] of [3, 1, 2, 0].entries()) pieces.publish(buffer, entry)
  return pieces
}

function all(pieces: BufferPieces, result: number, buffer: number, more = 0): readonly Piece[] {
  const flags = IORING_CQE_F_BUFFER | more | (buffer << IORING_CQE_BUFFER_SHIFT)
  const found: Piece[] = []
  for (let has = pieces.begin(result, flags); has; has = pieces.next()) {
    found.push([pieces.buffer, pieces.startBytes, pieces.endBytes])
  }
  return found
}

test('a completion is a piece at the beginning of its buffer, each time', () => {
  const pieces = shuffled(false)

  assert.deepEqual(all(pieces, 40, 1), [[1, 0, 40]])
  assert.deepEqual(all(pieces, 100, 2), [[2, 0, 100]])
  assert.deepEqual(all(pieces, 7, 1), [[1, 0, 7]])
})

test('a completion without a buffer has no piece; one of nothing gives its buffer back', () => {
  const pieces = shuffled(false)

  assert.equal(pieces.begin(-105, 0), false)
  assert.deepEqual(all(pieces, 0, 3), [[3, 0, 0]])
  assert.deepEqual(all(pieces, -104, 3), [[3, 0, 0]])
})

test('a bundle fills the buffers that follow in the ring, around its end', () => {
  const pieces = shuffled(false)

  assert.deepEqual(all(pieces, 250, 1), [
    [1, 0, 100],
    [2, 0, 100],
    [0, 0, 50],
  ])
  pieces.publish(1, 0)
  assert.deepEqual(all(pieces, 101, 0), [
    [0, 0, 100],
    [1, 0, 1],
  ])
})

test('an incremental buffer goes on behind what was filled, while the kernel says so', () => {
  const pieces = shuffled(true)

  assert.deepEqual(all(pieces, 30, 3, IORING_CQE_F_BUF_MORE), [[3, 0, 30]])
  assert.ok(pieces.isOpen)
  assert.deepEqual(all(pieces, 20, 3, IORING_CQE_F_BUF_MORE), [[3, 30, 50]])
  assert.deepEqual(all(pieces, 50, 3), [[3, 50, 100]])
  assert.equal(pieces.isOpen, false)
  assert.deepEqual(all(pieces, 10, 3), [[3, 0, 10]])
})

test('an incremental bundle begins behind what was filled, and leaves its last buffer open', () => {
  const pieces = shuffled(true)
  all(pieces, 60, 3, IORING_CQE_F_BUF_MORE)

  assert.deepEqual(all(pieces, 150, 3, IORING_CQE_F_BUF_MORE), [
    [3, 60, 100],
    [1, 0, 100],
    [2, 0, 10],
  ])
  assert.ok(pieces.isOpen)
  assert.deepEqual(all(pieces, 90, 2), [[2, 10, 100]])
})

test('pieces of a kernel that fills a ring in order are the stream, whole and in order', () => {
  const step = fc.integer({ min: 1, max: 3 * BUFFER_BYTES })
  fc.assert(
    fc.property(fc.array(step), fc.boolean(), (steps, isIncremental) => {
      const pieces = shuffled(isIncremental)
      const order = [3, 1, 2, 0]
      let head = 0
      let filled = 0
      for (const wanted of steps) {
        const first = order[head % ENTRY_COUNT]!
        const expected: Piece[] = []
        const result = Math.min(wanted, 3 * BUFFER_BYTES - filled)
        let isOpen = false
        for (let left = result; left > 0; ) {
          const count = Math.min(left, BUFFER_BYTES - filled)
          expected.push([order[head % ENTRY_COUNT]!, filled, filled + count])
          left -= count
          isOpen = isIncremental && filled + count < BUFFER_BYTES
          filled = isOpen ? filled + count : 0
          if (!isOpen) head++
        }
        const more = isOpen ? IORING_CQE_F_BUF_MORE : 0
        assert.deepEqual(all(pieces, result, first, more), expected)
      }
    }),
  )
})
