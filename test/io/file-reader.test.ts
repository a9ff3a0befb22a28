/** Streams of files, on the machine's kernel; file-reader-faults.test.ts has what goes wrong. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { getEventListeners } from 'node:events'
import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { allocateBuffer, executor, spawn } from '../../src/index.ts'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import type { Lease } from '../../src/memory/index.ts'
import { leaseAll, pullAll, readAll } from './stream-ways.ts'
import { assertNoLeak, holdings, makeFolder, needsDirect, pattern, runLimited } from './support.ts'

const direct = needsDirect()
const KIB = 1024

const plans = fc.record({
  startBytes: fc.nat(70 * KIB),
  lengthBytes: fc.option(fc.nat(70 * KIB), { nil: undefined }),
  blockBytes: fc.integer({ min: 300, max: 20 * KIB }),
  readAhead: fc.nat(6),
  way: fc.constantFrom(readAll, pullAll, leaseAll),
})

for (const File of [BufferedFile, DirectFile]) {
  const { name } = File
  const options = File === DirectFile ? direct : {}

  test(
    `${name}: stream() brings exactly what is there, wherever it begins and ends`,
    options,
    async (t) => {
      const path = join(makeFolder(t), 'file')
      const data = pattern(61_234, 1)
      writeFileSync(path, data)
      await using file = await File.open(path)
      const before = holdings()

      await fc.assert(
        fc.asyncProperty(plans, async ({ startBytes, lengthBytes, blockBytes, readAhead, way }) => {
          const endBytes = lengthBytes === undefined ? undefined : startBytes + lengthBytes
          const reader = file.stream({ startBytes, endBytes, blockBytes, readAhead })
          const found = await way(reader)
          const expected = data.subarray(startBytes, endBytes)
          assert.equal(Buffer.compare(found, expected), 0)
          assert.equal(reader.positionBytes, startBytes + expected.length)
          assert.equal(await reader.pull(), null)
          await reader.close()
        }),
        { numRuns: 80 },
      )

      assertNoLeak(before)
    },
  )

  test(`${name}: a block that is no power of two does not mix positions up`, options, async (t) => {
    const path = join(makeFolder(t), 'file')
    const data = pattern(100_000, 6)
    writeFileSync(path, data)
    await using file = await File.open(path)

    const found = await readAll(file.stream({ blockBytes: 12 * KIB, readAhead: 4 }))

    assert.equal(Buffer.compare(found, data), 0)
  })

  test(
    `${name}: leaving a loop cancels what is read ahead, and closes the stream`,
    options,
    async (t) => {
      const path = join(makeFolder(t), 'file')
      writeFileSync(path, pattern(512 * KIB, 2))
      await using file = await File.open(path)
      const before = holdings()
      const reader = file.stream({ blockBytes: 16 * KIB, readAhead: 8 })

      for await (const chunk of reader) {
        assert.equal(chunk.length, 16 * KIB)
        if (reader.positionBytes >= 64 * KIB) break
      }

      assertNoLeak(before)
      await assert.rejects(reader.pull(), { code: 'ERR_HANDLE_CLOSED' })
      await reader.close()
    },
  )

  test(
    `${name}: skip() and seek() go on where they say, with nothing of before`,
    options,
    async (t) => {
      const path = join(makeFolder(t), 'file')
      const data = pattern(200_000, 3)
      writeFileSync(path, data)
      await using file = await File.open(path)
      const before = holdings()

      const moves = fc.array(
        fc.oneof(
          fc.record({ kind: fc.constant('pull' as const), value: fc.constant(0) }),
          fc.record({ kind: fc.constant('skip' as const), value: fc.nat(30_000) }),
          fc.record({ kind: fc.constant('seek' as const), value: fc.nat(210_000) }),
        ),
        { maxLength: 30 },
      )
      await fc.assert(
        fc.asyncProperty(moves, fc.nat(5), async (list, readAhead) => {
          const reader = file.stream({ blockBytes: 8 * KIB, readAhead })
          let at = 0
          for (const { kind, value } of list) {
            if (kind === 'pull') {
              using lease = await reader.pull()
              if (lease === null) assert.ok(at >= data.length)
              else assert.deepEqual(lease.bytes, data.subarray(at, at + lease.lengthBytes))
              at += lease?.lengthBytes ?? 0
            } else if (kind === 'skip') {
              reader.skip(value)
              at += value
            } else {
              reader.seek(value)
              at = value
            }
            assert.equal(reader.positionBytes, at)
          }
          await reader.close()
        }),
        { numRuns: 50 },
      )

      assertNoLeak(before)
    },
  )

  test(`${name}: close() of the file ends its streams`, options, async (t) => {
    const path = join(makeFolder(t), 'file')
    writeFileSync(path, pattern(512 * KIB, 4))
    const before = holdings()
    const file = await File.open(path)
    const reader = file.stream({ blockBytes: 16 * KIB, readAhead: 8 })
    using lease = await reader.pull()
    const waiting = file.stream({ blockBytes: 16 * KIB }).pull()
    const refused = assert.rejects(waiting, { code: 'ERR_HANDLE_CLOSED' })

    await file.close()

    await refused
    await assert.rejects(reader.pull(), { code: 'ERR_HANDLE_CLOSED' })
    assert.throws(() => file.stream(), { code: 'ERR_HANDLE_CLOSED' })
    assert.equal(lease?.bytes.length, 16 * KIB)
    lease.release()
    assertNoLeak(before)
  })

  test(
    `${name}: a stream of a file that can't be read is rejected once it is read`,
    options,
    async (t) => {
      const path = join(makeFolder(t), 'file')
      await using file = await File.open(path, { write: true, create: true, read: false })
      const reader = file.stream()

      await assert.rejects(reader.pull(), { code: 'EBADF', syscall: 'read', path })
      await assert.rejects(reader.pull(), { code: 'EBADF' })
      await reader.close()
    },
  )

  test(`${name}: leases that are kept are never overwritten`, options, async (t) => {
    const path = join(makeFolder(t), 'file')
    const data = pattern(160 * KIB, 5)
    writeFileSync(path, data)
    await using file = await File.open(path)
    const before = holdings()
    const reader = file.stream({ blockBytes: 16 * KIB, readAhead: 3 })

    const kept: Lease[] = []
    for (let lease = await reader.pull(); lease !== null; lease = await reader.pull())
      kept.push(lease)

    assert.equal(Buffer.compare(Buffer.concat(kept.map(({ bytes }) => bytes)), data), 0)
    for (const lease of kept) lease.release()
    assertNoLeak(before)
  })
}

test('a small file costs one read, whatever is read ahead', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, pattern(100, 1))
  await using file = await DirectFile.open(path, { fallback: 'buffered' })

  await readAll(file.stream({ readAhead: 64 }))

  assert.equal(file.stats().readCount, 1)
})

test('a step that is ready costs no turn, and few in a row do not hold the turn up', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, pattern(64 * KIB, 1))
  await using file = await BufferedFile.open(path)
  const reader = file.stream({ blockBytes: 4 * KIB, readAhead: 16 })
  for (let count = 0; count < 5; count++) (await reader.pull())?.release()
  const { turnSequence } = executor()

  const lease = await reader.pull()

  assert.equal(executor().turnSequence, turnSequence)
  lease?.release()
  await reader.close()
})

test('a loop over a cached file lets other tasks run', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, pattern(4 * KIB * KIB, 1))
  await using file = await BufferedFile.open(path)
  let count = 0
  let isOver = false
  const other = spawn(async () => {
    while (!isOver) {
      count++
      await new Promise(setImmediate)
    }
  })

  await readAll(file.stream({ blockBytes: 512, readAhead: 64 }))

  isOver = true
  await other
  assert.ok(count > 4)
})

test('a second read while one waits is ERR_STILL_HELD', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, pattern(100, 1))
  await using file = await BufferedFile.open(path)
  const reader = file.stream()
  const first = reader.pull()

  await assert.rejects(reader.pull(), { code: 'ERR_STILL_HELD' })
  assert.throws(() => reader.skip(1), { code: 'ERR_STILL_HELD' })

  ;(await first)?.release()
})

test('an aborted pull takes nothing: the next one gets what was being read', async (t) => {
  const path = join(makeFolder(t), 'file')
  const data = pattern(8 * KIB, 1)
  writeFileSync(path, data)
  await using file = await BufferedFile.open(path)
  const reader = file.stream({ blockBytes: 4 * KIB })
  const controller = new AbortController()
  const waiting = reader.pull({ signal: controller.signal })

  controller.abort(new Error('enough'))
  await assert.rejects(waiting, { message: 'enough' })
  await assert.rejects(reader.pull({ signal: controller.signal }), { message: 'enough' })

  assert.equal(Buffer.compare(await pullAll(reader), data), 0)
  assert.equal(file.stats().readCount, 3)
})

test('the signal of a stream ends it, for who waits and who comes later', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, pattern(64 * KIB, 1))
  await using file = await BufferedFile.open(path)
  const before = holdings()
  const controller = new AbortController()
  const reader = file.stream({ blockBytes: 4 * KIB, signal: controller.signal })
  const waiting = reader.pull()

  controller.abort(new Error('enough'))

  await assert.rejects(waiting, { message: 'enough' })
  await assert.rejects(reader.pull(), { message: 'enough' })
  await reader.close()
  assertNoLeak(before)
  assert.throws(() => file.stream({ signal: controller.signal }), { message: 'enough' })
})

test('a reader that goes back from the end ends with its signal and its file again', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, pattern(8 * KIB, 1))
  await using file = await BufferedFile.open(path)
  const before = holdings()
  const controller = new AbortController()
  const { signal } = controller
  const plan = { blockBytes: 4 * KIB, signal }
  const [first, late, other] = [file.stream(plan), file.stream(plan), file.stream()]
  for (const reader of [first, late, other]) await pullAll(reader)
  assert.equal(getEventListeners(signal, 'abort').length, 0)

  first.seek(0)
  const waiting = first.pull()
  controller.abort(new Error('enough'))
  late.seek(0)
  other.seek(0)

  await assert.rejects(waiting, { message: 'enough' })
  await assert.rejects(late.pull(), { message: 'enough' })
  await file.close()
  await assert.rejects(other.pull(), { code: 'ERR_HANDLE_CLOSED', message: /reader/ })
  assert.equal(getEventListeners(signal, 'abort').length, 0)
  assert.throws(() => other.seek(0), { code: 'ERR_HANDLE_CLOSED' })
  assert.equal(holdings().usedBytes, before.usedBytes)
})

test('a loop in a task that is cancelled leaves nothing behind', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, pattern(256 * KIB, 1))
  await using file = await BufferedFile.open(path)
  const before = holdings()

  const task = spawn(async () => {
    for await (const _ of file.stream({ blockBytes: 4 * KIB })) await new Promise(setImmediate)
  })
  await new Promise(setImmediate)
  await task.cancel()

  await assert.rejects(async () => await task, { code: 'ERR_TASK_CANCELLED' })
  await file.close()
  assert.deepEqual(holdings().leasedCount, before.leasedCount)
})

test('options that are wrong are refused, and told apart', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, '')
  await using file = await BufferedFile.open(path)

  for (const options of [
    { startBytes: -1 },
    { blockBytes: 0 },
    { readAhead: 1.5 },
    { startBytes: 2, endBytes: 1 },
  ]) {
    assert.throws(() => file.stream(options), RangeError)
  }
  assert.throws(() => file.stream({ highWaterMark: 1 } as never), TypeError)
  assert.throws(() => file.stream({ signal: 1 } as never), TypeError)
})

test('a pipe is read as it comes, to its end', async (t) => {
  const path = join(makeFolder(t), 'pipe')
  assert.equal(spawnSync('mkfifo', [path]).status, 0)
  const [reading, writing] = await Promise.all([
    BufferedFile.open(path),
    BufferedFile.open(path, { write: true }),
  ])
  const reader = reading.stream({ readAhead: 8 })

  await writing.write(Buffer.from('one'), 0)
  const first = await reader.pull()
  await writing.write(Buffer.from('two'), 0)
  const second = await reader.pull()
  await writing.close()

  assert.deepEqual(
    [first, second].map((lease) => Buffer.from(lease!.bytes).toString()),
    ['one', 'two'],
  )
  assert.equal(await reader.pull(), null)
  assert.throws(() => reading.stream({ startBytes: 1 }), { code: 'ERR_UNSUPPORTED' })
  first?.release()
  second?.release()
  await reading.close()
})

test('a file that is cut while it is read ends there', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  const data = pattern(64 * KIB, 1)
  writeFileSync(path, data)
  await using file = await DirectFile.open(path)
  const reader = file.stream({ blockBytes: 4 * KIB, readAhead: 1 })
  ;(await reader.pull())?.release()

  truncateSync(path, 10_000)
  const rest = await pullAll(reader)

  // What was read ahead by then may be there whole.
  assert.ok(rest.length >= 10_000 - 4 * KIB && rest.length <= 8 * KIB)
  assert.equal(Buffer.compare(rest, data.subarray(4 * KIB, 4 * KIB + rest.length)), 0)
})

test('who holds leases stops nobody: the stream goes on with copies, others get memory', () => {
  const result = runLimited({
    limit: 'true',
    args: [process.execPath],
    script: `
      core.attachExecutor({ ioMemoryBytes: 65536, ioMemoryBytesMax: 1 << 20 })
      const file = await io.BufferedFile.open(args[0])
      const reader = file.stream({ blockBytes: 65536, readAhead: 4, endBytes: 8 << 20 })
      const kept = []
      let bytes = 0
      for (let lease = await reader.pull(); lease !== null; lease = await reader.pull()) {
        kept.push(lease)
        bytes += lease.lengthBytes
      }
      const refused = (() => { try { core.allocateBuffer(65536) } catch (error) { return error.code } })()
      const other = await file.read(0, 100_000)
      const isSame = kept.every((lease) => lease.bytes.length === lease.lengthBytes)
      for (const lease of kept) lease.release()
      await file.close()
      console.log(JSON.stringify({ bytes, refused, other: other.length, isSame, left: core.executor().stats().ioMemory.leasedCount }))
    `,
  })

  assert.deepEqual(result, {
    bytes: 8 * KIB * KIB,
    refused: 'ERR_OUT_OF_MEMORY',
    other: 100_000,
    isSame: true,
    left: 0,
  })
})

test('read-ahead leaves a quarter of the memory to others', () => {
  const result = runLimited({
    limit: 'true',
    args: [process.execPath],
    script: `
      core.attachExecutor({ ioMemoryBytes: 1 << 20, ioMemoryBytesMax: 1 << 20 })
      const file = await io.BufferedFile.open(args[0])
      const reader = file.stream({ blockBytes: 65536, readAhead: 64 })
      for (let count = 0; count < 20; count++) (await reader.pull()).release()
      const buffers = [1, 2, 3, 4].map(() => core.allocateBuffer(65536))
      for (const buffer of buffers) buffer.release()
      await file.close()
      console.log(JSON.stringify(core.executor().stats().ioMemory.leasedCount))
    `,
  })

  assert.equal(result, 0)
})

test('leases() copies nothing, and takes no memory, per block', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, pattern(8 * KIB * KIB, 1))
  await using file = await DirectFile.open(path)
  const memory = executor().memory
  await leaseAll(file.stream({ blockBytes: 16 * KIB, readAhead: 4 }))
  const buffers = new Set<ArrayBufferLike>()
  const counts = { used: 0, blocks: 0 }
  const arrayBuffersBefore = process.memoryUsage().arrayBuffers

  for await (const lease of file.stream({ blockBytes: 16 * KIB, readAhead: 4 }).leases()) {
    const { bytes } = lease
    assert.equal(bytes, lease.bytes)
    buffers.add(bytes.buffer)
    counts.used = Math.max(counts.used, memory.usedBytes)
    counts.blocks++
  }

  // 512 blocks went through the memory of those that are read ahead, the one looked at, and no other.
  assert.equal(counts.blocks, 512)
  assert.ok(buffers.size <= 6, `${buffers.size} blocks of memory`)
  assert.ok(counts.used <= 6 * 16 * KIB, `${counts.used} bytes`)
  assert.ok(process.memoryUsage().arrayBuffers - arrayBuffersBefore < 128 * KIB)
})

test('a reader of whole blocks needs no more memory than it reads ahead', direct, async (t) => {
  using _ = allocateBuffer(4096)
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, pattern(1024 * KIB, 1))
  await using file = await DirectFile.open(path)
  const before = holdings().usedBytes
  let most = 0

  for await (const lease of file.stream({ blockBytes: 64 * KIB, readAhead: 2 }).leases()) {
    most = Math.max(most, holdings().usedBytes - before)
    assert.equal(lease.lengthBytes, 64 * KIB)
  }

  assert.ok(most <= 3 * 64 * KIB, `${most} bytes`)
})
