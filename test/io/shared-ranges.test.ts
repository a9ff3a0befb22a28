/** Several objects, threads and programs at one file; what is decided by a hold is tested by taking it. */

import assert from 'node:assert/strict'
import { closeSync, openSync, readFileSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { executor, yieldNow } from '../../src/index.ts'
import { type BaseFile, BufferedFile, DirectFile } from '../../src/io/index.ts'
import { releaseRanges, sharedFileCount, shareRanges } from '../../src/io/ranges/shared-ranges.ts'
import { assertNoLeak, holdings, makeFolder, needsDirect, pattern } from './support.ts'

const direct = needsDirect()
const MIB = 1024 * 1024

/** Runs `start` while the whole file is held, and fails unless it waits for the end of that. */
async function assertWaits(file: BaseFile, start: () => Promise<unknown>): Promise<void> {
  const ranges = shareRanges(executor(), file.identity)
  const whole = { startBytes: 0, endBytes: Infinity, isExclusive: true }
  const hold = await ranges.acquire(whole, 'test', undefined)
  const before = await file.stat()
  let isOver = false
  const operation = start().finally(() => {
    isOver = true
  })
  // The same ring answers in order of submission, mostly: so many answers later it would be over.
  for (let round = 0; round < 20; round++) await file.sync()
  const { modifiedAtMs, sizeBytes } = await file.stat()
  assert.deepEqual(
    [isOver, modifiedAtMs, sizeBytes],
    [false, before.modifiedAtMs, before.sizeBytes],
  )
  ranges.release(hold)
  releaseRanges(executor(), file.identity)
  await operation
}

/** What another program does once a write of this one has begun: that knows the old size by then. */
async function writeBehind(path: string, offsetBytes: number, byte: number): Promise<void> {
  while (statSync(path).size === 0) await new Promise(setImmediate)
  const fd = openSync(path, 'r+')
  writeSync(fd, new Uint8Array(4096).fill(byte), 0, 4096, offsetBytes)
  closeSync(fd)
}

test('descriptors of one file share a lock until the last is closed', async (t) => {
  const folder = makeFolder(t)
  const before = sharedFileCount(executor())

  const first = await BufferedFile.create(join(folder, 'a'))
  const second = await BufferedFile.open(join(folder, 'a'))
  const other = await BufferedFile.create(join(folder, 'b'))
  const counts = [sharedFileCount(executor()) - before]
  for (const file of [first, other, second]) {
    await file.close()
    counts.push(sharedFileCount(executor()) - before)
  }

  assert.deepEqual(counts, [2, 2, 1, 0])
})

test(
  'writeBytes() of several objects to one block, and to the end, lose nothing',
  direct,
  async (t) => {
    const path = join(makeFolder(t), 'file')
    const files = [
      await DirectFile.create(path),
      await DirectFile.open(path, { read: true, write: true }),
      await DirectFile.open(path, { read: true, write: true }),
    ]
    const expected = pattern(30_000, 1)
    const step = 333

    const writes: Promise<number>[] = []
    for (let from = 0; from < expected.length; from += step) {
      const file = files[writes.length % files.length]!
      writes.push(file.writeBytes(expected.slice(from, from + step), from))
    }
    await Promise.all(writes)

    assert.deepEqual(new Uint8Array(readFileSync(path)), expected)
    for (const file of files) await file.close()
  },
)

test('an aborted writeBytes() leaves what another object wrote behind', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await DirectFile.create(path)
  await using other = await DirectFile.open(path, { read: true, write: true })
  using block = other.allocateBuffer(4096)
  const controller = new AbortController()

  const options = { signal: controller.signal }
  const ended = file.writeBytes(new Uint8Array(4 * MIB + 1), 0, options).catch(() => {})
  const behind = other.write(block, 8 * MIB)
  for (let turn = 0; turn < 10; turn++) await yieldNow()
  controller.abort()
  await Promise.all([ended, behind])

  assert.equal(await file.size(), 8 * MIB + 4096)
})

test(
  'an aborted writeBytes() beyond the end leaves what another object wrote before',
  direct,
  async (t) => {
    const path = join(makeFolder(t), 'file')
    await using file = await DirectFile.create(path)
    await using other = await DirectFile.open(path, { read: true, write: true })
    const controller = new AbortController()

    const options = { signal: controller.signal }
    const ended = file.writeBytes(new Uint8Array(4 * MIB + 1), MIB, options).catch(() => {})
    while ((await file.size()) === 0) await yieldNow()
    await other.writeBytes(pattern(4096, 2), 0)
    controller.abort()
    await ended

    assert.deepEqual(new Uint8Array(readFileSync(path)).subarray(0, 4096), pattern(4096, 2))
  },
)

test('an aborted writeBytes() leaves what another program wrote behind', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await DirectFile.create(path)
  const controller = new AbortController()

  const options = { signal: controller.signal }
  const ended = file.writeBytes(new Uint8Array(4 * MIB + 1), 0, options).catch(() => {})
  await writeBehind(path, 8 * MIB, 7)
  controller.abort()
  await ended

  const content = new Uint8Array(readFileSync(path))
  assert.deepEqual([content.length, content.at(-1)], [8 * MIB + 4096, 7])
})

test('writeBytes() leaves what another program wrote behind', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await DirectFile.create(path)

  const written = file.writeBytes(pattern(4 * MIB + 1, 3), 0)
  await writeBehind(path, 8 * MIB, 7)
  await written

  const content = new Uint8Array(readFileSync(path))
  assert.deepEqual([content.length, content.at(-1)], [8 * MIB + 4096, 7])
  assert.equal(Buffer.compare(content.subarray(0, 4 * MIB + 1), pattern(4 * MIB + 1, 3)), 0)
})

test('an aborted writeBytes() at the end takes back what it added', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await DirectFile.create(path)
  await file.writeBytes(pattern(1001, 4), 0)
  const controller = new AbortController()

  const options = { signal: controller.signal }
  const ended = file.writeBytes(new Uint8Array(16 * MIB + 1), 1001, options)
  while (statSync(path).size === 1001) await new Promise(setImmediate)
  controller.abort()

  await assert.rejects(ended, { name: 'AbortError' })
  assert.deepEqual(new Uint8Array(readFileSync(path)), pattern(1001, 4))
})

test('allocate(), punch() and truncate() wait for who writes there', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await DirectFile.create(path)
  await file.writeBytes(pattern(8192, 5), 0)

  await assertWaits(file, () => file.punch(0, 4096))
  await assertWaits(file, () => file.allocate(16_384))
  const content = new Uint8Array(readFileSync(path))
  await assertWaits(file, () => file.truncate(100))

  assert.deepEqual(content.subarray(0, 4096), new Uint8Array(4096))
  assert.deepEqual(content.subarray(4096, 8192), pattern(8192, 5).subarray(4096))
  assert.deepEqual([content.length, await file.size()], [16_384, 100])
})

test('a buffered write() waits for who truncates, and truncate() for a write', async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await BufferedFile.create(path)
  const before = holdings()
  const buffer = executor().memory.allocate(1000)
  buffer.bytes.set(pattern(1000, 6))

  await assertWaits(file, () => file.write(pattern(1000, 7), 0))
  await assertWaits(file, () => {
    const written = file.write(buffer, 1000)
    buffer.release()
    return written
  })
  await assertWaits(file, () => file.write(pattern(600_000, 8), 2000))
  const content = new Uint8Array(readFileSync(path))
  const write = file.write(new Uint8Array(4 * MIB), 0)
  await Promise.all([write, file.truncate(10)])

  assert.deepEqual(content.subarray(0, 1000), pattern(1000, 7))
  assert.deepEqual(content.subarray(1000, 2000), pattern(1000, 6))
  assert.equal(Buffer.compare(content.subarray(2000), pattern(600_000, 8)), 0)
  assert.equal(await file.size(), 10)
  assertNoLeak(before)
})

test('a time limit names the whole limit, and what the user asked for', async (t) => {
  await using file = await BufferedFile.create(join(makeFolder(t), 'file'))
  const ranges = shareRanges(executor(), file.identity)
  const whole = { startBytes: 0, endBytes: Infinity, isExclusive: true }
  const hold = await ranges.acquire(whole, 'test', undefined)
  const message = (action: string): RegExp => new RegExp(`^Cannot ${action} a file .* within 5 ms:`)
  const options = { timeoutMs: 5 }

  const write = file.write(new Uint8Array(1), 0, options)
  const cut = file.truncate(0, options)

  await assert.rejects(write, { code: 'ERR_TASK_TIMEOUT', message: message('write') })
  await assert.rejects(cut, { code: 'ERR_TASK_TIMEOUT', message: message('truncate') })
  ranges.release(hold)
  releaseRanges(executor(), file.identity)
})
