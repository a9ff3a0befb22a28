/** Leases that are pushed to writers of direct files: written from where they are, and together. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { executor } from '../../src/index.ts'
import { DirectFile } from '../../src/io/index.ts'
import { assertNoLeak, holdings, makeFolder, needsDirect, pattern } from './support.ts'

const direct = needsDirect()
const KIB = 1024

test('push() writes a lease from where it is, and gives it back', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await DirectFile.create(path)
  const before = holdings()
  const writer = file.writer({ blockBytes: 4096, writeBehind: 2 })
  const data = pattern(64 * KIB, 2)
  const lease = file.allocateBuffer(64 * KIB)
  lease.bytes.set(data)
  const used = executor().memory.usedBytes

  const pushed = writer.push(lease)
  const more = executor().memory.usedBytes - used
  await pushed
  await writer.end()

  assert.equal(more, 0)
  assert.equal(file.stats().writeCount, 1)
  assert.equal(lease.isReleased, true)
  assert.equal(Buffer.compare(readFileSync(path), data), 0)
  assertNoLeak(before)
})

test(
  'push() writes what follows one another by one request, as far as a block goes',
  direct,
  async (t) => {
    const path = join(makeFolder(t), 'file')
    await using file = await DirectFile.create(path)
    const before = holdings()
    const writer = file.writer({ blockBytes: 256 * KIB, writeBehind: 4 })
    const data = pattern(17 * 64 * KIB, 3)

    for (let at = 0; at < data.length; at += 64 * KIB) {
      const lease = file.allocateBuffer(64 * KIB)
      lease.bytes.set(data.subarray(at, at + 64 * KIB))
      // Not awaited: all of them come within one turn.
      void writer.push(lease)
    }
    await writer.end()

    // The first is alone, as nothing was on its way; the others are four each.
    assert.equal(file.stats().writeCount, 5)
    assert.equal(Buffer.compare(readFileSync(path), data), 0)
    assertNoLeak(before)
  },
)

test(
  'push() of one lease after another, each awaited in the file, waits for no other',
  direct,
  async (t) => {
    const path = join(makeFolder(t), 'file')
    await using file = await DirectFile.create(path)
    const writer = file.writer({ writeBehind: 4 })
    const data = pattern(3 * 64 * KIB, 4)

    for (let at = 0; at < data.length; at += 64 * KIB) {
      const lease = file.allocateBuffer(64 * KIB)
      lease.bytes.set(data.subarray(at, at + 64 * KIB))
      await writer.push(lease)
      await writer.flush()
      assert.equal(writer.flushedBytes, at + 64 * KIB)
    }
    await writer.end()

    assert.equal(Buffer.compare(readFileSync(path), data), 0)
  },
)

test('flush() does not wait for a block to get full', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await DirectFile.create(path)
  const writer = file.writer({ writeBehind: 4 })

  for (let count = 0; count < 3; count++) void writer.push(file.allocateBuffer(64 * KIB))
  await writer.flushAligned()
  const aligned = writer.flushedBytes
  for (let count = 0; count < 3; count++) void writer.push(file.allocateBuffer(64 * KIB))
  await writer.flush()

  assert.deepEqual([aligned, writer.flushedBytes], [3 * 64 * KIB, 6 * 64 * KIB])
  assert.equal(file.stats().writeCount, 4)
  await writer.end()
})
