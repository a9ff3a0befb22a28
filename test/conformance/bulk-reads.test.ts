/** Glommio's behaviours of reads of many ranges, by their numbers in its own tests' order, and its defects there. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createDeferred } from '../../src/executor/index.ts'
import { yieldNow } from '../../src/index.ts'
import { mergeRanges } from '../../src/io/bulk/merge-ranges.ts'
import { type ByteRange, DirectFile, type ReadManyOptions } from '../../src/io/index.ts'
import { makeFolder, needsDirect, pattern } from '../io/support.ts'

const direct = needsDirect()
const FILE_BYTES = 4096 * 16

async function openFile(t: TestContext): Promise<{ file: DirectFile; data: Uint8Array }> {
  const path = join(makeFolder(t), 'file')
  const data = pattern(FILE_BYTES, 57)
  writeFileSync(path, data)
  return { file: await DirectFile.open(path), data }
}

/** Every 64 bytes of the file, from the end to the beginning. */
const SCATTERED: readonly ByteRange[] = Array.from({ length: FILE_BYTES / 64 }, (_, index) => ({
  offsetBytes: FILE_BYTES - (index + 1) * 64,
  lengthBytes: 64,
}))

for (const [name, options, readCountMax] of [
  ['merged', { mergedBytesMax: FILE_BYTES }, 2],
  ['merged by block', { mergedBytesMax: 4096 }, FILE_BYTES / 4096 + 1],
  ['not merged', { mergedBytesMax: 0 }, SCATTERED.length],
] as const satisfies readonly [string, ReadManyOptions, number][]) {
  test(`57: many reads, ${name}, come in the order asked for, exact`, direct, async (t) => {
    const { file, data } = await openFile(t)
    await using open = file
    let index = 0

    for await (const { range, bytes } of open.readMany(SCATTERED, options)) {
      const { offsetBytes, lengthBytes } = SCATTERED[index++]!
      assert.equal(range.offsetBytes, offsetBytes)
      assert.deepEqual(bytes, data.subarray(offsetBytes, offsetBytes + lengthBytes))
    }

    assert.equal(index, SCATTERED.length)
    const { readCount } = open.stats()
    // What is looked at together, 512 ranges, may end within a block.
    assert.ok(readCount <= readCountMax, `${readCount} reads`)
    if (name === 'not merged') assert.equal(readCount, SCATTERED.length)
  })
}

test('89: merging keeps to the limits of size and amplification, whatever the order', () => {
  const ranges = [
    { offsetBytes: 0, lengthBytes: 64 },
    { offsetBytes: 192, lengthBytes: 64 },
    { offsetBytes: 64, lengthBytes: 64 },
    { offsetBytes: 512, lengthBytes: 600 },
  ]
  const merge = (mergedBytesMax: number, holeBytesMax: number): unknown =>
    mergeRanges(ranges, { alignmentBytes: 1, mergedBytesMax, holeBytesMax }).map(
      ({ offsetBytes, lengthBytes, indices }) => [offsetBytes, lengthBytes, ...indices],
    )

  assert.deepEqual(merge(500, 0), [
    [0, 128, 0, 2],
    [192, 64, 1],
    [512, 600, 3],
  ])
  assert.deepEqual(merge(500, 64), [
    [0, 256, 0, 1, 2],
    [512, 600, 3],
  ])
  assert.deepEqual(merge(2000, 256), [[0, 1112, 0, 1, 2, 3]])
  assert.deepEqual(merge(0, 256), [
    [0, 64, 0],
    [192, 64, 1],
    [64, 64, 2],
    [512, 600, 3],
  ])
})

test('D3: nothing beyond the end of the file is handed out', direct, async (t) => {
  const { file, data } = await openFile(t)
  await using open = file
  const ranges = [FILE_BYTES - 100, FILE_BYTES, FILE_BYTES + 4000].map((offsetBytes) => ({
    offsetBytes,
    lengthBytes: 500,
  }))
  const found: Uint8Array[] = []

  for await (const { bytes } of open.readMany(ranges)) found.push(bytes.slice())

  assert.deepEqual(found, [data.slice(-100), new Uint8Array(0), new Uint8Array(0)])
})

test('D4: a source that waits stops nothing else of the thread', direct, async (t) => {
  const { file } = await openFile(t)
  await using open = file
  const more = createDeferred<void>()
  async function* slowly(): AsyncGenerator<ByteRange> {
    yield { offsetBytes: 0, lengthBytes: 10 }
    await more.promise
    yield { offsetBytes: 10, lengthBytes: 10 }
  }
  const parts = open.readMany(slowly())

  assert.equal((await parts.next()).value!.bytes.length, 10)
  const second = parts.next()
  for (let turn = 0; turn < 10; turn++) await yieldNow()
  more.resolve()

  assert.equal((await second).value!.range.offsetBytes, 10)
  assert.equal((await parts.next()).done, true)
})
