/** Requests that the kernel answers in part, or not now: injected, as real ones are too rare. */

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { DirectFile } from '../../src/io/index.ts'
import { Transfer } from '../../src/io/requests/transfer.ts'
import { READ_INTO, type TransferPlan, WRITE_FROM } from '../../src/io/requests/transfer-plan.ts'
import { EAGAIN, EINTR, EIO } from '../../src/kernel/index.ts'
import type { Lease } from '../../src/memory/index.ts'
import { assertNoLeak, holdings, makeFolder, needsDirect, pattern } from './support.ts'

const direct = needsDirect()
const LENGTH_BYTES = 16_384

/** Replaces the results of the first requests; what the kernel did beyond them is done again. */
class FaultyTransfer extends Transfer<number> {
  readonly results: number[] = []
  requestCount = 0

  override complete(result: number, flags: number): void {
    this.requestCount++
    super.complete(this.results.shift() ?? result, flags)
  }
}

function faulty(
  plan: TransferPlan<number>,
  file: DirectFile,
  buffer: Lease,
  offsetBytes: number,
): FaultyTransfer {
  return new FaultyTransfer(plan, file.descriptor, buffer, buffer, offsetBytes)
}

async function openFile(t: TestContext): Promise<{ file: DirectFile; path: string }> {
  const path = join(makeFolder(t), 'file')
  return { file: await DirectFile.create(path), path }
}

test('a short write goes on, from the last whole block', direct, async (t) => {
  const { file, path } = await openFile(t)
  const buffer = file.allocateBuffer(LENGTH_BYTES)
  buffer.bytes.set(pattern(LENGTH_BYTES, 1))
  const { alignmentBytes } = file
  const write = faulty(WRITE_FROM, file, buffer, 4096)
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
  const idle = faulty(WRITE_FROM, file, buffer, 0)
  idle.results.push(...new Array<number>(200).fill(0))
  const busy = faulty(WRITE_FROM, file, buffer, 0)
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
  const { alignmentBytes } = file
  const read = faulty(READ_INTO, file, buffer, 0)
  read.results.push(alignmentBytes, -EINTR, 2 * alignmentBytes)

  const count = await read.start(undefined)

  assert.deepEqual([count, read.requestCount], [LENGTH_BYTES + 100, 4])
  assert.deepEqual(buffer.bytes.subarray(0, count), pattern(LENGTH_BYTES + 100, 2))
  assert.deepEqual([file.stats().readCount, file.stats().readBytes], [1, count])
  await file.close()
})

test('a buffer that is trimmed meanwhile is filled as long as it was', direct, async (t) => {
  const { file, path } = await openFile(t)
  writeFileSync(path, pattern(LENGTH_BYTES, 3))
  using buffer = file.allocateBuffer(LENGTH_BYTES)
  const read = faulty(READ_INTO, file, buffer, 0)
  read.results.push(file.alignmentBytes)

  const reading = read.start(undefined)
  buffer.trim(1)

  assert.deepEqual([await reading, read.requestCount], [LENGTH_BYTES, 2])
  await file.close()
})

test('a transfer that was cancelled before it begins never begins', direct, async (t) => {
  const { file } = await openFile(t)
  using buffer = file.allocateBuffer(LENGTH_BYTES)
  const write = faulty(WRITE_FROM, file, buffer, 0)
  const reason = new Error('not wanted')
  const before = holdings()
  assert.equal(write.state, 'created')

  write.cancel(reason)

  assert.throws(() => write.start(undefined), reason)
  assert.deepEqual([write.requestCount, file.inFlightCount], [0, 0])
  assertNoLeak(before)
  await file.close()
})

test(
  'a transfer goes from created to done, and is not cancelled any more then',
  direct,
  async (t) => {
    const { file } = await openFile(t)
    using buffer = file.allocateBuffer(LENGTH_BYTES)
    const write = faulty(WRITE_FROM, file, buffer, 0)
    const states: string[] = [write.state]

    const written = write.start(undefined)
    states.push(write.state)
    const count = await written
    states.push(write.state)
    write.cancel(new Error('too late'))

    assert.deepEqual(states, ['created', 'inFlight', 'done'])
    assert.deepEqual([count, await written], [LENGTH_BYTES, LENGTH_BYTES])
    await file.close()
  },
)

test('a failure after a part was written rejects with that failure', direct, async (t) => {
  const { file } = await openFile(t)
  using buffer = file.allocateBuffer(LENGTH_BYTES)
  const write = faulty(WRITE_FROM, file, buffer, 0)
  write.results.push(4096, -EIO)

  await assert.rejects(write.start(undefined), { code: 'EIO', syscall: 'write' })

  assert.deepEqual([file.stats().writeCount, file.inFlightCount], [0, 0])
  await file.close()
})
