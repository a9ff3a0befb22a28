import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type ByteRange, type MergeLimits, mergeRanges } from '../../src/io/bulk/merge-ranges.ts'

const LIMITS: MergeLimits = { alignmentBytes: 1, mergedBytesMax: 1000, holeBytesMax: 0 }

type Pair = readonly [offsetBytes: number, lengthBytes: number]
type Read = readonly [offsetBytes: number, lengthBytes: number, ...indices: number[]]

function toRanges(pairs: readonly Pair[]): ByteRange[] {
  return pairs.map(([offsetBytes, lengthBytes]) => ({ offsetBytes, lengthBytes }))
}

const cases: readonly {
  readonly name: string
  readonly ranges: readonly Pair[]
  readonly limits?: Partial<MergeLimits>
  readonly reads: readonly Read[]
}[] = [
  { name: 'no ranges are no reads', ranges: [], reads: [] },
  { name: 'a range by itself is read as it is', ranges: [[7, 5]], reads: [[7, 5, 0]] },
  {
    name: 'a range of no bytes is not read',
    ranges: [
      [7, 0],
      [9, 1],
    ],
    reads: [[9, 1, 1]],
  },
  {
    name: 'neighbours are one read, in whatever order they come',
    ranges: [
      [20, 10],
      [0, 10],
      [10, 10],
    ],
    reads: [[0, 30, 0, 1, 2]],
  },
  {
    name: 'equal ranges are read once',
    ranges: [
      [5, 5],
      [5, 5],
      [5, 5],
    ],
    reads: [[5, 5, 0, 1, 2]],
  },
  {
    name: 'overlapping ranges are read once, also one within another',
    ranges: [
      [0, 10],
      [5, 10],
      [6, 2],
    ],
    reads: [[0, 15, 0, 1, 2]],
  },
  {
    name: 'a hole that may not be read separates',
    ranges: [
      [0, 10],
      [11, 10],
    ],
    reads: [
      [0, 10, 0],
      [11, 10, 1],
    ],
  },
  {
    name: 'a hole up to the limit is read, a larger one is not',
    ranges: [
      [0, 10],
      [14, 10],
      [29, 10],
    ],
    limits: { holeBytesMax: 4 },
    reads: [
      [0, 24, 0, 1],
      [29, 10, 2],
    ],
  },
  {
    name: 'a read grows up to the limit, and not beyond',
    ranges: [
      [0, 400],
      [400, 600],
      [1000, 1],
    ],
    reads: [
      [0, 1000, 0, 1],
      [1000, 1, 2],
    ],
  },
  {
    name: 'a range longer than the limit is a read by itself',
    ranges: [
      [0, 5000],
      [5000, 10],
    ],
    reads: [
      [0, 5000, 0],
      [5000, 10, 1],
    ],
  },
  {
    name: 'what lies within a range longer than the limit comes with it',
    ranges: [
      [100, 10],
      [0, 5000],
      [4990, 10],
    ],
    reads: [[0, 5000, 0, 1, 2]],
  },
  {
    name: 'nothing is merged where the limit is 0, not even equals',
    ranges: [
      [0, 10],
      [0, 10],
      [10, 10],
    ],
    limits: { mergedBytesMax: 0 },
    reads: [
      [0, 10, 0],
      [0, 10, 1],
      [10, 10, 2],
    ],
  },
  {
    name: 'reads are whole blocks',
    ranges: [
      [600, 10],
      [5000, 1],
    ],
    limits: { alignmentBytes: 512 },
    reads: [
      [512, 512, 0],
      [4608, 512, 1],
    ],
  },
  {
    name: 'ranges in one block, or in blocks side by side, have no hole between them',
    ranges: [
      [10, 5],
      [500, 5],
      [1023, 1],
    ],
    limits: { alignmentBytes: 512, mergedBytesMax: 1024 },
    reads: [[0, 1024, 0, 1, 2]],
  },
  {
    name: 'the limit counts whole blocks',
    ranges: [
      [0, 10],
      [512, 10],
      [1024, 10],
    ],
    limits: { alignmentBytes: 512, mergedBytesMax: 1100 },
    reads: [
      [0, 1024, 0, 1],
      [1024, 512, 2],
    ],
  },
  {
    name: 'the reads are in the order in which they are needed',
    ranges: [
      [9000, 1],
      [0, 1],
      [5000, 1],
      [9001, 1],
    ],
    reads: [
      [9000, 2, 0, 3],
      [0, 1, 1],
      [5000, 1, 2],
    ],
  },
  {
    name: 'positions beyond 2^32 stay exact',
    ranges: [
      [2 ** 52 + 4097, 10],
      [2 ** 52 + 8191, 1],
    ],
    limits: { alignmentBytes: 4096, mergedBytesMax: 8192 },
    reads: [[2 ** 52 + 4096, 4096, 0, 1]],
  },
]

for (const { name, ranges, limits = {}, reads } of cases) {
  test(`mergeRanges(): ${name}`, () => {
    const merged = mergeRanges(toRanges(ranges), { ...LIMITS, ...limits })

    assert.deepEqual(
      merged.map(({ offsetBytes, lengthBytes, indices }) => [offsetBytes, lengthBytes, ...indices]),
      reads,
    )
  })
}

const rangeLists = fc.array(
  fc.record({ offsetBytes: fc.nat(5000), lengthBytes: fc.oneof(fc.nat(40), fc.nat(2000)) }),
  { maxLength: 40 },
)
const limitSets = fc.record({
  alignmentBytes: fc.constantFrom(1, 64, 512),
  mergedBytesMax: fc.constantFrom(0, 1, 512, 1000, 4096),
  holeBytesMax: fc.constantFrom(0, 1, 100, 5000),
})

test('mergeRanges() brings each range whole, once, and keeps to its limits', () => {
  fc.assert(
    fc.property(rangeLists, limitSets, (ranges, limits) => {
      const reads = mergeRanges(ranges, limits)

      const brought = reads.flatMap(({ indices }) => indices)
      const wanted = ranges.flatMap(({ lengthBytes }, index) => (lengthBytes > 0 ? [index] : []))
      assert.deepEqual(
        [...brought].sort((a, b) => a - b),
        wanted,
      )
      const firsts = reads.map(({ indices }) => indices[0]!)
      assert.deepEqual(
        firsts,
        [...firsts].sort((a, b) => a - b),
      )
      for (const read of reads) checkRead(read, ranges, limits)
    }),
    { numRuns: 500 },
  )
})

function checkRead(
  { offsetBytes, lengthBytes, indices }: ReturnType<typeof mergeRanges>[number],
  ranges: readonly ByteRange[],
  { alignmentBytes, mergedBytesMax, holeBytesMax }: MergeLimits,
): void {
  const endBytes = offsetBytes + lengthBytes
  assert.equal(offsetBytes % alignmentBytes, 0)
  assert.equal(lengthBytes % alignmentBytes, 0)
  const down = (at: number): number => Math.floor(at / alignmentBytes) * alignmentBytes
  const up = (at: number): number => Math.ceil(at / alignmentBytes) * alignmentBytes
  const own = indices
    .map((index) => ranges[index]!)
    .map((range) => ({
      start: down(range.offsetBytes),
      end: up(range.offsetBytes + range.lengthBytes),
    }))
    .sort((a, b) => a.start - b.start)
  assert.equal(own[0]!.start, offsetBytes, 'it begins where its first range does')
  assert.equal(Math.max(...own.map(({ end }) => end)), endBytes, 'and ends where its last does')
  let reached = offsetBytes
  for (const { start, end } of own) {
    assert.ok(start - reached <= holeBytesMax, 'a hole is within its limit')
    reached = Math.max(reached, end)
  }
  if (indices.length === 1) return
  assert.ok(mergedBytesMax > 0)
  const longest = Math.max(...own.map(({ start, end }) => end - start))
  assert.ok(lengthBytes <= Math.max(mergedBytesMax, longest), 'merging keeps to its limit')
}

test('mergeRanges() leaves nothing unmerged that two reads in a row could be', () => {
  fc.assert(
    fc.property(rangeLists, limitSets, (ranges, limits) => {
      const reads = mergeRanges(ranges, limits)
      const inFile = [...reads].sort((a, b) => a.offsetBytes - b.offsetBytes)

      for (let index = 1; index < inFile.length; index++) {
        const [before, after] = [inFile[index - 1]!, inFile[index]!]
        const gapBytes = after.offsetBytes - (before.offsetBytes + before.lengthBytes)
        const bothBytes = after.offsetBytes + after.lengthBytes - before.offsetBytes
        const isJoinable = gapBytes <= limits.holeBytesMax && bothBytes <= limits.mergedBytesMax
        assert.equal(isJoinable, false)
      }
    }),
    { numRuns: 500 },
  )
})
