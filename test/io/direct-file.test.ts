import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { createTaskQueue, executor, spawnInto } from '../../src/index.ts'
import { DirectFile } from '../../src/io/index.ts'
import { leaseHeap } from '../../src/memory/index.ts'
import { COUNTER_SUBMISSIONS } from '../../src/stats/index.ts'
import { reactorOf } from '../reactor-of.ts'
import {
  assertNoLeak,
  holdings,
  makeFolder,
  mountFolder,
  needsDirect,
  needsRoot,
  pattern,
} from './support.ts'

const direct = needsDirect()

test('read() near the end of the file brings only bytes that were read', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  const data = pattern(1000, 2)
  writeFileSync(path, data)
  await using file = await DirectFile.open(path)

  using over = await file.read(900, 500)
  using beyond = await file.read(1000, 100)
  using far = await file.read(1_000_000, 100)

  assert.deepEqual(over.bytes, data.subarray(900))
  assert.equal(over.lengthBytes, 100)
  assert.deepEqual([beyond.lengthBytes, far.lengthBytes], [0, 0])
})

test('read() brings exactly what is there, at any position and length', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  const data = pattern(20_000, 3)
  writeFileSync(path, data)
  await using file = await DirectFile.open(path)
  const before = holdings()

  const stretch = fc.record({ offset: fc.nat(25_000), length: fc.nat(12_000) })
  await fc.assert(
    fc.asyncProperty(stretch, async ({ offset, length }) => {
      using result = await file.read(offset, length)
      assert.deepEqual(result.bytes, data.subarray(offset, offset + length))
    }),
    { numRuns: 200 },
  )

  assertNoLeak(before)
})

test('bytes throws ERR_BUFFER_RELEASED once a result is released', direct, async (t) => {
  await using file = await DirectFile.create(join(makeFolder(t), 'file'))
  const result = await file.read(0, 100)

  result.release()
  result.release()

  assert.throws(() => result.bytes, { code: 'ERR_BUFFER_RELEASED' })
})

test('a lease that a read brought is never overwritten while it is held', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, pattern(40_960, 3))
  await using file = await DirectFile.open(path)

  const leases = await Promise.all(Array.from({ length: 10 }, (_, n) => file.read(n * 4096, 4096)))

  leases.forEach((lease, n) => {
    assert.deepEqual(lease.bytes, pattern(40_960, 3).subarray(n * 4096, (n + 1) * 4096))
    lease.release()
  })
})

test('write() of memory that is not aligned rejects with ERR_UNALIGNED', direct, async (t) => {
  await using file = await DirectFile.create(join(makeFolder(t), 'file'))
  await file.writeBytes(new Uint8Array(16_384), 0)
  using part = await file.read(100, 4096)
  using heap = leaseHeap(new Uint8Array(4096))

  for (const lease of [part, heap]) {
    await assert.rejects(file.write(lease, 0), { code: 'ERR_UNALIGNED' })
    await assert.rejects(file.readInto(lease, 0), { code: 'ERR_UNALIGNED' })
  }
})

test('readInto() resolves with how much of the buffer is valid', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, pattern(5000, 4))
  await using file = await DirectFile.open(path)
  using buffer = file.allocateBuffer(8192)

  const count = await file.readInto(buffer, 0)
  const beyond = await file.readInto(buffer, 8192)

  assert.deepEqual([count, beyond], [5000, 0])
  assert.deepEqual(buffer.bytes.subarray(0, 5000), pattern(5000, 4))
})

test(
  'readInto() and write() refuse positions and lengths that are not aligned',
  direct,
  async (t) => {
    await using file = await DirectFile.create(join(makeFolder(t), 'file'))
    using buffer = file.allocateBuffer(4096)
    using odd = file.allocateBuffer(4096)
    odd.trim(4095)

    for (const offset of [1, 2 ** 33 + 1, 4095]) {
      await assert.rejects(file.readInto(buffer, offset), { code: 'ERR_UNALIGNED' })
      await assert.rejects(file.write(buffer, offset), { code: 'ERR_UNALIGNED' })
    }
    await assert.rejects(file.write(odd, 0), { code: 'ERR_UNALIGNED' })
    assert.equal(await file.size(), 0)
  },
)

test('transfers reject wrong types and ranges', direct, async (t) => {
  await using file = await DirectFile.create(join(makeFolder(t), 'file'))
  using buffer = file.allocateBuffer(4096)
  const wrong = (value: unknown): never => value as never

  await assert.rejects(file.readInto(wrong(new Uint8Array(4096)), 0), TypeError)
  await assert.rejects(file.readInto(buffer, wrong('0')), TypeError)
  await assert.rejects(file.readInto(buffer, wrong(0n)), TypeError)
  for (const offset of [-4096, 0.5, Number.NaN, Infinity, 2 ** 53]) {
    await assert.rejects(file.readInto(buffer, offset), RangeError)
    await assert.rejects(file.write(buffer, offset), RangeError)
    await assert.rejects(file.read(offset, 1), RangeError)
    await assert.rejects(file.writeBytes(new Uint8Array(1), offset), RangeError)
  }
  for (const length of [-1, 1.5, 2 ** 31]) await assert.rejects(file.read(0, length), RangeError)
  await assert.rejects(file.writeBytes(wrong('text'), 0), TypeError)
  assert.throws(() => file.allocateBuffer(0), RangeError)
  assert.throws(() => file.allocateBuffer(2 ** 31), RangeError)
  await assert.rejects(file.readInto(buffer, 0, wrong({ signal: 1 })), TypeError)
})

test('a released buffer is refused', direct, async (t) => {
  await using file = await DirectFile.create(join(makeFolder(t), 'file'))
  const buffer = file.allocateBuffer(4096)
  buffer.release()

  await assert.rejects(file.write(buffer, 0), { code: 'ERR_BUFFER_RELEASED' })
})

test('a buffer released while it is written stays what it was until the end', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await DirectFile.create(path)
  const before = holdings()
  const buffer = file.allocateBuffer(65_536)
  buffer.bytes.set(pattern(65_536, 5))

  const written = file.write(buffer, 0)
  buffer.release()
  using other = file.allocateBuffer(65_536)
  other.bytes.fill(0)
  await written

  assert.deepEqual(new Uint8Array(readFileSync(path)), pattern(65_536, 5))
  other.release()
  assertNoLeak(before)
})

test('writeBytes() writes any bytes anywhere, and the size is exact', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  const piece = fc.record({ offset: fc.nat(20_000), length: fc.nat(9000), seed: fc.nat(250) })

  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 6 }), async (pieces) => {
      await using file = await DirectFile.create(path)
      let model = new Uint8Array(0)
      for (const { offset, length, seed } of pieces) {
        const data = pattern(length, seed)
        assert.equal(await file.writeBytes(data, offset), length)
        if (length > 0 && offset + length > model.length) {
          const grown = new Uint8Array(offset + length)
          grown.set(model)
          model = grown
        }
        if (length > 0) model.set(data, offset)
      }
      assert.deepEqual(new Uint8Array(readFileSync(path)), model)
    }),
    { numRuns: 40 },
  )
})

test('writeBytes() passes large data through in pieces', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await DirectFile.create(path)
  const before = holdings()
  const data = pattern(1_000_003, 6)

  await file.writeBytes(data, 777)

  assert.deepEqual(new Uint8Array(readFileSync(path)).subarray(777), data)
  assert.equal(await file.size(), 777 + data.length)
  assertNoLeak(before)
})

test('writeBytes() at once to one block, and to the end, lose nothing', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await DirectFile.create(path)
  const expected = pattern(50_000, 7)
  const step = 333

  const writes: Promise<number>[] = []
  for (let from = 0; from < expected.length; from += step) {
    writes.push(file.writeBytes(expected.slice(from, from + step), from))
  }
  await Promise.all(writes)

  assert.deepEqual(new Uint8Array(readFileSync(path)), expected)
})

test('write() of a block waits for a writeBytes() that changes it', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await DirectFile.create(path)
  await file.writeBytes(new Uint8Array(16_384), 0)
  using buffer = file.allocateBuffer(4096)
  buffer.bytes.fill(1)

  const bytes = file.writeBytes(Uint8Array.of(2, 2), 5000)
  const block = file.write(buffer, 4096)
  const later = file.writeBytes(Uint8Array.of(3), 4100)
  buffer.release()
  await Promise.all([bytes, block, later])

  const content = new Uint8Array(readFileSync(path))
  const expected = new Uint8Array(16_384)
  expected.fill(1, 4096, 8192)
  expected[4100] = 3
  assert.deepEqual(content, expected)
})

test('truncate() waits its turn behind writes to what it cuts', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await DirectFile.create(path)

  const write = file.writeBytes(pattern(10_001, 8), 0)
  const cut = file.truncate(300)
  await Promise.all([write, cut])

  assert.deepEqual(new Uint8Array(readFileSync(path)), pattern(300, 8))
})

test(
  'truncate() extends with zeros, and rejects on a file opened for reading',
  direct,
  async (t) => {
    const path = join(makeFolder(t), 'file')
    await using file = await DirectFile.create(path)
    await using reader = await DirectFile.open(path)

    await file.truncate(5000)

    assert.deepEqual(new Uint8Array(readFileSync(path)), new Uint8Array(5000))
    await assert.rejects(reader.truncate(0), { code: 'EINVAL', syscall: 'ftruncate', path })
  },
)

test(
  'writeBytes() that must read rejects with ERR_UNALIGNED on a file it may not read',
  direct,
  async (t) => {
    const path = join(makeFolder(t), 'file')
    await using file = await DirectFile.open(path, { write: true, create: true })

    await assert.rejects(file.writeBytes(new Uint8Array(10), 0), { code: 'ERR_UNALIGNED' })
    await file.writeBytes(new Uint8Array(file.alignmentBytes), 0)

    assert.equal(await file.size(), file.alignmentBytes)
  },
)

test('writeBytes() rejects when its data is transferred away meanwhile', direct, async (t) => {
  await using file = await DirectFile.create(join(makeFolder(t), 'file'))
  const before = holdings()
  const data = new Uint8Array(600_000)

  const written = file.writeBytes(data, 0)
  structuredClone(data, { transfer: [data.buffer] })

  await assert.rejects(written, TypeError)
  assertNoLeak(before)
})

test('open() for direct I/O says what to do where there is none', async () => {
  const before = holdings()

  const refused = DirectFile.open('/proc/version')

  await assert.rejects(refused, { code: 'ERR_UNSUPPORTED', message: /fallback: 'buffered'/ })
  assertNoLeak(before)
})

test("open() with fallback 'buffered' opens it all the same, and says so", async () => {
  await using file = await DirectFile.open('/proc/version', { fallback: 'buffered' })

  using result = await file.read(3, 4096)

  assert.deepEqual([file.isDirect, file.alignmentBytes], [false, 1])
  assert.deepEqual(Buffer.from(result.bytes), readFileSync('/proc/version').subarray(3))
})

test('a file system without direct I/O keeps no file that was refused', needsRoot(), async (t) => {
  const path = join(mountFolder(t, ['-t', 'ramfs', 'ramfs']), 'file')

  const refused = DirectFile.open(path, { write: true, createNew: true })

  await assert.rejects(refused, { code: 'ERR_UNSUPPORTED' })
  assert.equal(existsSync(path), false)
})

test(
  'the fallback creates a new file, and takes any position and length',
  needsRoot(),
  async (t) => {
    const path = join(mountFolder(t, ['-t', 'ramfs', 'ramfs']), 'file')
    const options = { read: true, write: true, createNew: true, fallback: 'buffered' } as const
    await using file = await DirectFile.open(path, options)
    using buffer = file.allocateBuffer(777)
    buffer.bytes.set(pattern(777, 1))

    await file.write(buffer, 13)
    await file.writeBytes(pattern(5, 2), 790)

    const content = new Uint8Array(readFileSync(path))
    assert.deepEqual([content.length, content[12]], [795, 0])
    assert.deepEqual(content.subarray(13, 790), pattern(777, 1))
    assert.deepEqual(content.subarray(790), pattern(5, 2))
  },
)

test('a latency-sensitive queue reads through the latency ring', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, pattern(8192, 10))
  const early = await DirectFile.open(path)
  const queue = createTaskQueue('reading', { latency: { maxMs: 5 } })
  const { latency } = reactorOf(executor())

  const submittedCount = () => {
    latency.syncCounters()
    return executor().io.control.counters[COUNTER_SUBMISSIONS + latency.index]!
  }
  const before = submittedCount()
  const valid = await spawnInto(queue, async () => {
    await using late = await DirectFile.open(path)
    using first = await early.read(100, 1000)
    using second = await late.read(4096, 4096)
    return [
      Buffer.compare(first.bytes, pattern(8192, 10).subarray(100, 1100)),
      Buffer.compare(second.bytes, pattern(8192, 10).subarray(4096)),
    ]
  })
  await early.close()

  assert.deepEqual(valid, [0, 0])
  assert.ok(submittedCount() - before >= 2)
})
