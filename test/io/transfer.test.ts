/** Requests that the kernel answers in part, or not now: injected, as real ones are too rare. */

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { DirectFile } from '../../src/io/index.ts'
import { ReadInto, WriteFrom } from '../../src/io/transfer.ts'
import { EAGAIN, EINTR, EIO } from '../../src/kernel/index.ts'
import { assertNoLeak, holdings, makeFolder, needsDirect, pattern } from './support.ts'

const direct = needsDirect()
const LENGTH_BYTES = 16_384

/** Replaces the results of the first requests; what the kernel did beyond them is done again. */
class FaultyWrite extends WriteFrom {
  readonly results: number[] = []
  requestCount = 0

  override complete(result: number, flags: number): void {
    this.requestCount++
    super.complete(this.results.shift() ?? result, flags)
  }
}

class FaultyRead extends ReadInto {
  readonly results: number[] = []
  requestCount = 0

  override complete(result: number, flags: number): void {
    this.requestCount++
    super.complete(this.results.shift() ?? result, flags)
  }
}

async function openFile(t: TestContext): Promise<{ file: DirectFile; path: string }> {
  const path = join(makeFolder(t), 'file')
  return { file: await DirectFile.create(path), path }
}

test('a short write goes on, from the last whole block', direct, async (t) => {
  const { file, path } = await openFile(t)
  const buffer = file.allocateBuffer(LENGTH_BYTES)
  buffer.bytes.set(pattern(LENGTH_BYTES, 1))
  const { descriptor, alignmentBytes } = file
  const write = new FaultyWrite(descriptor, buffer, buffer, 4096, alignmentBytes)
  write.results.push(alignmentBytes, -EAGAIN, alignmentBytes + 1, -EINTR, 0)
  const before = holdings()

  const written = write.start(undefined)
  buffer.release()

  assert.equal(await written, LENGTH_BYTES)
  assert.equal(write.requestCount, 6)
  assert.deepEqual([file.stats().writeCount, file.stats().writeBytes], [1, LENGTH_BYTES])
  assert.deepEqual(new Uint8Array(readFileSync(path)).subarray(4096), pattern(LENGTH_BYTES, 1))
  assert.equal(holdings().leasedCount, before.leasedCount - 1)
  await file.close()
})

test('a write that never gets on rejects', direct, async (t) => {
  const { file } = await openFile(t)
  using buffer = file.allocateBuffer(LENGTH_BYTES)
  const { descriptor, alignmentBytes } = file
  const idle = new FaultyWrite(descriptor, buffer, buffer, 0, alignmentBytes)
  idle.results.push(...new Array<number>(200).fill(0))
  const busy = new FaultyWrite(descriptor, buffer, buffer, 0, alignmentBytes)
  busy.results.push(...new Array<number>(200).fill(-EAGAIN))
  const before = holdings()

  await assert.rejects(idle.start(undefined), { errno: -EIO })
  await assert.rejects(busy.start(undefined), { errno: -EAGAIN })

  assertNoLeak(before)
  await file.close()
})

test('a short read goes on where the file does, and ends where that ends', direct, async (t) => {
  const { file, path } = await openFile(t)
  writeFileSync(path, pattern(LENGTH_BYTES + 100, 2))
  using buffer = file.allocateBuffer(LENGTH_BYTES * 2)
  const { descriptor, alignmentBytes } = file
  const read = new FaultyRead(descriptor, buffer, buffer, 0, alignmentBytes)
  read.results.push(alignmentBytes, -EINTR, 2 * alignmentBytes)

  const count = await read.start(undefined)

  assert.deepEqual([count, read.requestCount], [LENGTH_BYTES + 100, 4])
  assert.deepEqual(buffer.bytes.subarray(0, count), pattern(LENGTH_BYTES + 100, 2))
  assert.deepEqual([file.stats().readCount, file.stats().readBytes], [1, count])
  await file.close()
})

test('a failure after a part was written rejects with that failure', direct, async (t) => {
  const { file } = await openFile(t)
  using buffer = file.allocateBuffer(LENGTH_BYTES)
  const { descriptor, alignmentBytes } = file
  const write = new FaultyWrite(descriptor, buffer, buffer, 0, alignmentBytes)
  write.results.push(4096, -EIO)

  await assert.rejects(write.start(undefined), { code: 'EIO', syscall: 'write' })

  assert.deepEqual([file.stats().writeCount, file.inFlightCount], [0, 0])
  await file.close()
})
