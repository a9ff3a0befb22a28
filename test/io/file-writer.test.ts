/** Writers of files, on the machine's kernel; file-writer-faults.test.ts has what goes wrong. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { allocateBuffer, spawn } from '../../src/index.ts'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { Model } from './stream-ways.ts'
import { assertNoLeak, holdings, makeFolder, needsDirect, pattern, runLimited } from './support.ts'

const direct = needsDirect()
const KIB = 1024

const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant('write' as const), value: fc.nat(9000) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('push' as const), value: fc.nat(40_000) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('flush' as const), value: fc.constant(0) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('aligned' as const), value: fc.constant(0) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('sync' as const), value: fc.constant(0) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('seek' as const), value: fc.nat(60_000) }),
    },
  ),
  { maxLength: 25 },
)
const plans = fc.record({
  startBytes: fc.nat(20_000),
  blockBytes: fc.oneof(fc.integer({ min: 300, max: 20 * KIB }), fc.constant(100 * KIB)),
  writeBehind: fc.integer({ min: 1, max: 5 }),
  oldBytes: fc.constantFrom(0, 3000, 30_000, 100_000),
  awaits: fc.boolean(),
})

for (const File of [BufferedFile, DirectFile]) {
  const { name } = File
  const options = File === DirectFile ? direct : {}

  test(
    `${name}: writer() makes of a file what was written, wherever it begins and goes`,
    options,
    async (t) => {
      const path = join(makeFolder(t), 'file')
      writeFileSync(path, '')
      await using file = await File.open(path, { read: true, write: true })
      const before = holdings()

      await fc.assert(
        fc.asyncProperty(plans, steps, async ({ oldBytes, awaits, ...plan }, list) => {
          const old = pattern(oldBytes, 9)
          writeFileSync(path, old)
          const model = new Model(old, plan.startBytes)
          const writer = file.writer(plan)
          const pending: Promise<void>[] = []
          let seed = 0
          for (const { kind, value } of list) {
            const data = pattern(value, ++seed)
            if (kind === 'write') {
              const written = writer.write(data)
              if (awaits) await written
              else pending.push(written)
              model.write(data)
            } else if (kind === 'push') {
              const lease = allocateBuffer(Math.max(1, value))
              lease.trim(value)
              lease.bytes.set(data)
              await writer.push(lease)
              model.write(data)
            } else if (kind === 'flush') {
              await writer.flush()
              assert.equal(writer.flushedBytes, model.position)
              assert.equal(statSync(path).size, model.bytes.length)
            } else if (kind === 'aligned') {
              await writer.flushAligned()
              assert.ok(writer.flushedBytes <= model.position)
            } else if (kind === 'sync') {
              await writer.sync()
              assert.equal(Buffer.compare(readFileSync(path), model.bytes), 0)
            } else {
              await Promise.all(pending)
              await writer.seek(value)
              model.position = value
            }
            if (awaits) assert.equal(writer.positionBytes, model.position)
          }
          await writer.end()
          await Promise.all(pending)
          assert.equal(writer.flushedBytes, model.position)
          assert.equal(Buffer.compare(readFileSync(path), model.bytes), 0)
        }),
        { numRuns: 80 },
      )

      assertNoLeak(before)
    },
  )

  test(
    `${name}: flushedBytes follows what is in the file, positionBytes what was taken`,
    options,
    async (t) => {
      const path = join(makeFolder(t), 'file')
      await using file = await File.create(path)
      const writer = file.writer({ blockBytes: 4096 })

      await writer.write(pattern(5000, 1))
      await writer.write(new Uint8Array(0))
      const taken = [writer.positionBytes, writer.flushedBytes]
      await writer.flushAligned()
      const aligned = writer.flushedBytes
      await writer.flush()

      assert.deepEqual(taken, [5000, 0])
      const alignmentBytes = file instanceof DirectFile ? file.alignmentBytes : 1
      assert.equal(aligned, 5000 - (5000 % alignmentBytes))
      assert.deepEqual([writer.positionBytes, writer.flushedBytes], [5000, 5000])
      await writer.end()
    },
  )

  test(
    `${name}: end() again waits for the same end, and nothing is taken after it`,
    options,
    async (t) => {
      const path = join(makeFolder(t), 'file')
      await using file = await File.create(path)
      const writer = file.writer({ syncAtEnd: true })
      await writer.write(Buffer.from('whole'))

      const both = [writer.end(), writer.close()]
      await assert.rejects(writer.write(Buffer.from('late')), { code: 'ERR_HANDLE_CLOSED' })
      await Promise.all(both)
      await writer.end()

      await assert.rejects(writer.flush(), { code: 'ERR_HANDLE_CLOSED' })
      assert.equal(readFileSync(path, 'utf8'), 'whole')
      assert.equal(file.isClosed, false)
    },
  )

  test(`${name}: close() of the file ends its writers, whose data is there`, options, async (t) => {
    const path = join(makeFolder(t), 'file')
    const data = pattern(100_001, 2)
    const before = holdings()
    const file = await File.create(path)

    await file.writer({ blockBytes: 8192 }).write(data)
    await file.close()

    assert.equal(Buffer.compare(readFileSync(path), data), 0)
    assertNoLeak(before)
  })

  test(`${name}: a file that is not open for writing says so, once`, options, async (t) => {
    const path = join(makeFolder(t), 'file')
    writeFileSync(path, 'old')
    const file = await File.open(path)
    const writer = file.writer()

    await writer.write(Buffer.from('new'))
    await assert.rejects(writer.end(), { code: 'EBADF', syscall: 'write', path })
    await assert.rejects(writer.write(Buffer.from('new')), { code: 'EBADF' })

    await file.close()
    assert.equal(readFileSync(path, 'utf8'), 'old')
  })

  test(
    `${name}: what nobody was told of is reported by close() of the file`,
    options,
    async (t) => {
      const path = join(makeFolder(t), 'file')
      writeFileSync(path, 'old')
      const before = holdings()
      const file = await File.open(path)
      await file.writer().write(Buffer.from('new'))

      await assert.rejects(file.close(), { code: 'EBADF', syscall: 'write' })

      await file.close()
      assertNoLeak(before)
    },
  )

  test(
    `${name}: abort() gives up, tells who waits, and leaves nothing behind`,
    options,
    async (t) => {
      const path = join(makeFolder(t), 'file')
      await using file = await File.create(path)
      const before = holdings()
      const writer = file.writer({ blockBytes: 4096, writeBehind: 2 })
      const waiting = writer.write(pattern(100_000, 3))
      const told = assert.rejects(waiting, { message: 'enough' })

      await writer.abort(new Error('enough'))

      await told
      await assert.rejects(writer.write(Buffer.from('late')), { message: 'enough' })
      await writer.abort()
      assertNoLeak(before)
    },
  )

  test(`${name}: the signal of a writer aborts it`, options, async (t) => {
    const path = join(makeFolder(t), 'file')
    await using file = await File.create(path)
    const before = holdings()
    const controller = new AbortController()
    const writer = file.writer({ blockBytes: 4096, signal: controller.signal })
    await writer.write(Buffer.from('some'))

    controller.abort(new Error('enough'))

    await assert.rejects(writer.flush(), { message: 'enough' })
    await writer.abort()
    assertNoLeak(before)
    assert.throws(() => file.writer({ signal: controller.signal }), { message: 'enough' })
  })

  test(
    `${name}: a write that is cancelled as it waits leaves what was taken before`,
    options,
    async (t) => {
      const path = join(makeFolder(t), 'file')
      await using file = await File.create(path)
      const writer = file.writer({ blockBytes: 4096, writeBehind: 1 })
      const data = pattern(64 * KIB, 4)
      const first = writer.write(data.subarray(0, 40_000))
      const controller = new AbortController()
      const second = writer.write(data.subarray(40_000), { signal: controller.signal })
      const third = writer.write(data.subarray(0, 100))

      controller.abort(new Error('enough'))

      await assert.rejects(second, { message: 'enough' })
      await Promise.all([first, third])
      await writer.end()
      const expected = Buffer.concat([data.subarray(0, 40_000), data.subarray(0, 100)])
      assert.equal(Buffer.compare(readFileSync(path), expected), 0)
      assert.equal(writer.positionBytes, 40_100)
    },
  )

  test(`${name}: many writers on one file, each at its own place`, options, async (t) => {
    const path = join(makeFolder(t), 'file')
    await using file = await File.create(path)
    const data = pattern(8 * 16 * KIB, 5)

    await Promise.all(
      Array.from({ length: 8 }, async (_, index) => {
        const startBytes = index * 16 * KIB
        await using writer = file.writer({ startBytes, blockBytes: 4096 })
        for (let at = 0; at < 16 * KIB; at += 1000) {
          await writer.write(
            data.subarray(startBytes + at, startBytes + Math.min(at + 1000, 16 * KIB)),
          )
        }
      }),
    )

    assert.equal(Buffer.compare(readFileSync(path), data), 0)
  })
}

test(
  'a direct file that is open for writing alone is written to its exact length',
  direct,
  async (t) => {
    const path = join(makeFolder(t), 'file')
    const data = pattern(10_001, 6)
    await using file = await DirectFile.open(path, { write: true, create: true })

    await using writer = file.writer({ blockBytes: 4096 })
    await writer.write(data)
    await writer.sync()
    const synced = readFileSync(path)
    await writer.write(data)
    await writer.end()

    assert.equal(Buffer.compare(synced, data), 0)
    assert.equal(Buffer.compare(readFileSync(path), Buffer.concat([data, data])), 0)
  },
)

test(
  'what would need reading is ERR_UNALIGNED where the file is not open for it',
  direct,
  async (t) => {
    const path = join(makeFolder(t), 'file')
    writeFileSync(path, pattern(8192, 7))
    await using file = await DirectFile.open(path, { write: true })

    await using writer = file.writer({ startBytes: 100 })
    await assert.rejects(writer.write(new Uint8Array(10)), { code: 'ERR_UNALIGNED' })
    const other = file.writer()
    await other.write(new Uint8Array(10))
    await assert.rejects(other.end(), { code: 'ERR_UNALIGNED' })

    assert.equal(Buffer.compare(readFileSync(path), pattern(8192, 7)), 0)
  },
)

test('a file that is opened for appending has everything at its end, in order', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, 'old ')
  await using file = await BufferedFile.open(path, { append: true })
  const writer = file.writer({ blockBytes: 512 })

  for (let count = 0; count < 500; count++) {
    const written = writer.write(Buffer.from(`${count} `))
    if (count % 50 === 0) await Promise.all([written, writer.flush()])
  }
  await writer.flush()
  await file.append(Buffer.from('between '))
  await writer.write(Buffer.from('end'))
  await writer.end()

  const numbers = Array.from({ length: 500 }, (_, count) => `${count} `).join('')
  assert.equal(readFileSync(path, 'utf8'), `old ${numbers}between end`)
  assert.throws(() => file.writer({ startBytes: 1 }), { code: 'ERR_UNSUPPORTED' })
  await assert.rejects(file.writer().seek(1), { code: 'ERR_UNSUPPORTED' })
})

test('a pipe takes what is written, in order', async (t) => {
  const path = join(makeFolder(t), 'pipe')
  assert.equal(spawnSync('mkfifo', [path]).status, 0)
  const [reading, writing] = await Promise.all([
    BufferedFile.open(path),
    BufferedFile.open(path, { write: true }),
  ])
  const data = pattern(300_000, 8)

  const sending = (async () => {
    await using writer = writing.writer({ blockBytes: 4096 })
    await writer.write(data)
  })().then(() => writing.close())
  const found: Uint8Array[] = []
  for await (const chunk of reading.stream()) found.push(chunk)
  await sending

  assert.equal(Buffer.compare(Buffer.concat(found), data), 0)
  await reading.close()
})

test('write() of 100 bytes copies, and costs no request of its own', async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await BufferedFile.create(path)
  const writer = file.writer({ blockBytes: 64 * KIB })
  const record = pattern(100, 1)

  for (let count = 0; count < 600; count++) await writer.write(record)
  record.fill(0)
  const requests = file.stats().writeCount
  await writer.end()

  assert.equal(requests, 0)
  assert.equal(file.stats().writeCount, 1)
  const expected = Buffer.concat(Array.from({ length: 600 }, () => pattern(100, 1)))
  assert.equal(Buffer.compare(readFileSync(path), expected), 0)
})

test('a loop of awaited writes lets other tasks run', async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await BufferedFile.create(path)
  const writer = file.writer({ blockBytes: 1024 * KIB })
  const record = pattern(100, 1)
  let count = 0
  let isOver = false
  const other = spawn(async () => {
    while (!isOver) {
      count++
      await new Promise(setImmediate)
    }
  })

  for (let written = 0; written < 9000; written++) await writer.write(record)

  isOver = true
  await other
  await writer.end()
  assert.ok(count > 2, String(count))
})

test('push() of a lease that was released, or to a writer that has ended, is refused', async (t) => {
  await using file = await BufferedFile.create(join(makeFolder(t), 'file'))
  const writer = file.writer()
  const [released, late] = [allocateBuffer(100), allocateBuffer(100)]
  released.release()

  await assert.rejects(writer.push(released), { code: 'ERR_BUFFER_RELEASED' })
  await writer.end()
  await assert.rejects(writer.push(late), { code: 'ERR_HANDLE_CLOSED' })

  assert.equal(late.isReleased, true)
})

test('bytes of a lease that waits for room are kept, though the lease is released', async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await BufferedFile.create(path)
  const writer = file.writer({ blockBytes: 4096, writeBehind: 1 })
  const data = pattern(32 * KIB, 3)
  const lease = allocateBuffer(32 * KIB)
  lease.bytes.set(data)

  const written = writer.write(lease.bytes)
  lease.bytes.fill(0xee)
  lease.release()
  await written
  await writer.end()

  const found = readFileSync(path)
  assert.equal(Buffer.compare(found, data), 0)
})

test('a writer does with little memory, and takes none from others', () => {
  const result = runLimited({
    limit: 'true',
    args: [join('/tmp', `percore-writer-memory-${process.pid}`)],
    script: `
      core.attachExecutor({ ioMemoryBytes: 65536, ioMemoryBytesMax: 1 << 20 })
      const held = []
      for (;;) try { held.push(core.allocateBuffer(65536)) } catch { break }
      const file = await io.BufferedFile.create(args[0])
      const writer = file.writer({ blockBytes: 65536 })
      await writer.write(new Uint8Array(5_000_000).fill(7))
      await writer.end()
      const bytes = await file.size()
      for (const lease of held) lease.release()
      await file.remove()
      await file.close()
      console.log(JSON.stringify({ bytes, left: core.executor().stats().ioMemory.leasedCount }))
    `,
  })

  assert.deepEqual(result, { bytes: 5_000_000, left: 0 })
})

test('options that are wrong are refused', async (t) => {
  await using file = await BufferedFile.create(join(makeFolder(t), 'file'))

  for (const options of [{ startBytes: -1 }, { blockBytes: 0 }, { writeBehind: 0 }]) {
    assert.throws(() => file.writer(options), RangeError)
  }
  assert.throws(() => file.writer({ flags: 'a' } as never), TypeError)
  assert.throws(() => file.writer({ syncAtEnd: 1 } as never), TypeError)
  await assert.rejects(file.writer().write('text' as never), TypeError)
  await assert.rejects(file.writer().seek(-1), RangeError)
})
