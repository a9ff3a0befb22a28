/** What limits reads of many ranges, and in which order their results come, by a file that answers when it is told to. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RuntimeError } from '../../src/base/index.ts'
import { createDeferred, type Deferred } from '../../src/executor/index.ts'
import { type Lease, yieldNow } from '../../src/index.ts'
import type { BegunRead, BlockReader } from '../../src/io/bulk/planned-reads.ts'
import { readMany } from '../../src/io/bulk/read-many.ts'
import type { ReadManyOptions } from '../../src/io/bulk/read-many-options.ts'
import type { ByteRange } from '../../src/io/index.ts'
import { leaseHeap } from '../../src/memory/index.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(30_000)

function range(offsetBytes: number, lengthBytes: number): ByteRange {
  return { offsetBytes, lengthBytes }
}

/** A file whose reads end when the test says so. */
class SlowFile implements BlockReader {
  readonly alignmentBytes: number = 1
  readonly reads: {
    readonly offsetBytes: number
    readonly buffer: Lease
    readonly deferred: Deferred<number>
  }[] = []
  inFlightCount = 0
  inFlightMax = 0

  isScarce = false

  allocateBuffer(lengthBytes: number): Lease {
    if (this.isScarce) throw new RuntimeError('ERR_OUT_OF_MEMORY', 'none left')
    return leaseHeap(new Uint8Array(lengthBytes))
  }

  beginRead(buffer: Lease, offsetBytes: number): BegunRead {
    const deferred = createDeferred<number>()
    this.reads.push({ offsetBytes, buffer, deferred })
    this.inFlightCount++
    this.inFlightMax = Math.max(this.inFlightMax, this.inFlightCount)
    const leave = (): void => {
      this.inFlightCount--
    }
    deferred.promise.then(leave, leave)
    return { promise: deferred.promise, cancel: deferred.reject }
  }

  /** Ends a read with bytes that tell where they are. */
  answer(index: number): void {
    const { offsetBytes, buffer, deferred } = this.reads[index]!
    for (let at = 0; at < buffer.lengthBytes; at++) buffer.bytes[at] = offsetBytes + at
    deferred.resolve(buffer.lengthBytes)
  }

  fail(index: number, error: unknown): void {
    this.reads[index]!.deferred.reject(error)
  }
}

/** Lets all that is due happen. */
async function settle(): Promise<void> {
  for (let round = 0; round < 5; round++) await yieldNow()
}

const ALONE: ReadManyOptions = { mergedBytesMax: 0 }

test('so many reads are under way as told, and results keep their order', LIMIT, async () => {
  const file = new SlowFile()
  const ranges = Array.from({ length: 10 }, (_, index) => range(index * 10, 1))
  const parts = readMany(file, ranges, { ...ALONE, concurrency: 3 })

  const first = parts.next()
  assert.equal(file.reads.length, 3)
  file.answer(2)
  file.answer(1)
  await settle()
  assert.equal(file.reads.length, 5, 'what ended makes room for others, though it is not its turn')
  file.answer(0)

  assert.equal((await first).value!.range, ranges[0])
  assert.equal((await parts.next()).value!.range, ranges[1])
  assert.equal((await parts.next()).value!.bytes[0], 20)
  const returned = parts.return()
  await returned
  assert.deepEqual([file.inFlightCount, file.inFlightMax], [0, 3])
})

test('reads hold so much memory as told, but for what is first in line', LIMIT, async () => {
  const file = new SlowFile()
  const ranges = Array.from({ length: 8 }, (_, index) => range(index * 100, 64))
  const parts = readMany(file, ranges, { ...ALONE, memoryBytesMax: 128 })

  const first = parts.next()
  assert.equal(file.reads.length, 2)
  file.answer(0)
  file.answer(1)
  await first
  await settle()
  assert.equal(file.reads.length, 3, 'what was handed out makes room for one more')
  await parts.next()
  assert.equal(file.reads.length, 4)
  await parts.return()

  const scarce = readMany(new SlowFile(), ranges, { ...ALONE, memoryBytesMax: 0 })
  const step = scarce.next()
  await settle()
  await Promise.all([scarce.return(), step])
})

test('what is first in line is read though a read for others holds all memory', LIMIT, async () => {
  const file = new SlowFile()
  // The first and the last are one read, which stays until the last is asked for.
  const ranges = [range(0, 50), range(1000, 1), range(2000, 1), range(50, 50)]
  const parts = readMany(file, ranges, { memoryBytesMax: 100 })

  const first = parts.next()
  assert.deepEqual([file.reads.length, file.reads[0]!.buffer.lengthBytes], [1, 100])
  file.answer(0)
  await first
  for (const index of [1, 2]) {
    const step = parts.next()
    await settle()
    assert.equal(file.reads.length, index + 1)
    file.answer(index)
    assert.equal((await step).value!.range, ranges[index])
  }

  assert.equal((await parts.next()).value!.bytes[0], 50)
  assert.equal((await parts.next()).done, true)
})

test('an error belongs to the ranges it concerns', LIMIT, async () => {
  const file = new SlowFile()
  const ranges = [range(0, 5), range(100, 5), range(5, 5), range(200, 5)]
  const parts = readMany(file, ranges, {})
  const error = new Error('the disk is broken')

  const first = parts.next()
  file.fail(0, error)
  file.answer(1)
  file.answer(2)
  const results = [(await first).value!]
  for await (const part of parts) results.push(part)

  assert.deepEqual(
    results.map((part) => part.error),
    [error, null, error, null],
  )
  assert.throws(() => results[0]!.bytes, error)
  assert.throws(() => results[2]!.take(), error)
})

test(
  'reads that find no memory are tried again, and fail where nothing else would free it',
  LIMIT,
  async () => {
    const file = new SlowFile()
    const ranges = [range(0, 5), range(100, 5), range(200, 5), range(300, 5)]
    const parts = readMany(file, ranges, { ...ALONE, concurrency: 2 })

    const first = parts.next()
    file.isScarce = true
    file.answer(0)
    file.answer(1)
    await first
    await settle()
    assert.equal(file.reads.length, 2)
    await parts.next()
    const third = await parts.next()
    file.isScarce = false
    const fourth = parts.next()
    file.answer(2)

    assert.throws(() => third.value!.bytes, { code: 'ERR_OUT_OF_MEMORY' })
    assert.equal((await fourth).value!.bytes.length, 5)
    assert.equal((await parts.next()).done, true)
  },
)

test('a source that waits is not waited for: what it gave is read', LIMIT, async () => {
  const file = new SlowFile()
  const gate = createDeferred<void>()
  async function* ranges(): AsyncGenerator<ByteRange> {
    yield range(0, 5)
    yield range(5, 5)
    yield range(100, 5)
    await gate.promise
    yield range(10, 5)
  }
  const parts = readMany(file, ranges(), {})

  const first = parts.next()
  await settle()
  assert.deepEqual(
    file.reads.map(({ buffer }) => buffer.lengthBytes),
    [10, 5],
    'what comes within a turn is merged',
  )
  file.answer(0)
  file.answer(1)
  await first
  await parts.next()
  await parts.next()
  const last = parts.next()
  gate.resolve()
  await settle()
  file.answer(2)

  assert.equal((await last).value!.bytes[0], 10)
  assert.equal((await parts.next()).done, true)
})

test('an endless source is taken from as results are', LIMIT, async () => {
  const file = new SlowFile()
  let pulledCount = 0
  function* ranges(): Generator<ByteRange> {
    for (;;) yield range(pulledCount++ * 10, 0)
  }
  const parts = readMany(file, ranges(), {})

  for (let step = 0; step < 3000; step++) {
    await parts.next()
    assert.ok(pulledCount <= step + 1500, `${pulledCount} at step ${step}`)
  }

  await parts.return()
  assert.equal(file.reads.length, 0)
})

test('several steps at once are answered in their order', LIMIT, async () => {
  const file = new SlowFile()
  const parts = readMany(file, [range(0, 1), range(50, 1)], ALONE)

  const steps = [parts.next(), parts.next(), parts.next(), parts.next()]
  file.answer(1)
  file.answer(0)
  const results = await Promise.all(steps)

  assert.deepEqual(
    results.map(({ value }) => value?.range.offsetBytes),
    [0, 50, undefined, undefined],
  )
})

test('return() waits for the reads under way, and answers who waits', LIMIT, async () => {
  const cancelled = createDeferred<number>()
  const lease = leaseHeap(new Uint8Array(1))
  const file: BlockReader = {
    alignmentBytes: 1,
    allocateBuffer: () => lease,
    beginRead: () => ({ promise: cancelled.promise, cancel: () => {} }),
  }
  const parts = readMany(file, [range(0, 1)], {})
  let isOver = false

  const step = parts.next()
  const returned = parts.return().then(() => {
    isOver = true
  })
  await settle()
  assert.equal(isOver, false)
  cancelled.resolve(1)
  await returned

  assert.equal((await step).done, true)
  assert.equal(lease.isReleased, true)
})
