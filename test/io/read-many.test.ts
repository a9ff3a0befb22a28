import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { getEventListeners } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Prng, RuntimeError } from '../../src/base/index.ts'
import { type Lease, spawn, yieldNow } from '../../src/index.ts'
import type { BlockReader } from '../../src/io/bulk/planned-reads.ts'
import { readMany } from '../../src/io/bulk/read-many.ts'
import type { ReadManyOptions } from '../../src/io/bulk/read-many-options.ts'
import { BufferedFile, type ByteRange, DirectFile } from '../../src/io/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { limited, seedCount } from '../limits.ts'
import { assertNoLeak, holdings, makeFolder, needsDirect, pattern, runLimited } from './support.ts'

const LIMIT = limited(30_000)
const direct = { ...needsDirect(), ...LIMIT }
const FILE_BYTES = 100_000
const KINDS = [
  ['DirectFile', DirectFile, direct],
  ['BufferedFile', BufferedFile, LIMIT],
] as const

function makeFile(t: TestContext): { path: string; data: Uint8Array } {
  const path = join(makeFolder(t), 'file')
  const data = pattern(FILE_BYTES, 1)
  writeFileSync(path, data)
  return { path, data }
}

function range(offsetBytes: number, lengthBytes: number): ByteRange {
  return { offsetBytes, lengthBytes }
}

/** What of a file a range shows. */
function partOf(data: Uint8Array, { offsetBytes, lengthBytes }: ByteRange): Uint8Array {
  return data.subarray(offsetBytes, offsetBytes + lengthBytes)
}

for (const [kind, File, options] of KINDS) {
  test(`${kind}.readMany() gives each range in the order asked for, whole`, options, async (t) => {
    const { path, data } = makeFile(t)
    await using file = await File.open(path)
    const prng = new Prng(57)
    const ranges = Array.from({ length: 2000 }, (_, name) => ({
      name,
      ...range(prng.int(0, FILE_BYTES + 5000), prng.pick([0, 1, 100, 4096, 30_000])),
    }))
    const before = holdings()

    let count = 0
    for await (const part of file.readMany(ranges, { holeBytesMax: 1000 })) {
      assert.equal(part.range, ranges[count])
      assert.equal(Buffer.compare(part.bytes, partOf(data, part.range)), 0)
      count++
    }

    assert.equal(count, ranges.length)
    assert.ok(file.stats().readCount < 500, 'what lies together is read together')
    assertNoLeak(before)
  })

  test(`${kind}.readMany() hands out nothing beyond the end of the file`, options, async (t) => {
    const { path, data } = makeFile(t)
    await using file = await File.open(path)
    const ranges = [
      range(FILE_BYTES - 10, 500),
      range(FILE_BYTES, 10),
      range(FILE_BYTES + 1, 10),
      range(10 * FILE_BYTES, 10),
      range(FILE_BYTES - 700, 5000),
    ]

    const lengths: number[] = []
    for await (const { range, bytes } of file.readMany(ranges)) {
      lengths.push(bytes.length)
      assert.deepEqual(bytes, partOf(data, range))
    }

    assert.deepEqual(lengths, [10, 0, 0, 0, 700])
  })

  test(`${kind}.readMany() reads once what is asked for twice`, options, async (t) => {
    const { path } = makeFile(t)
    await using file = await File.open(path)
    const ranges = Array.from({ length: 100 }, () => range(8192, 4096))

    let count = 0
    for await (const { bytes } of file.readMany(ranges)) count += bytes.length

    assert.equal(count, 100 * 4096)
    assert.equal(file.stats().readCount, 1)
    assert.equal(file.stats().readBytes, 4096)
  })

  test(
    `${kind}.readMany() reads each range by itself where nothing is merged`,
    options,
    async (t) => {
      const { path } = makeFile(t)
      await using file = await File.open(path)
      const ranges = [range(0, 4096), range(4096, 4096), range(0, 4096)]

      for await (const { bytes } of file.readMany(ranges, { mergedBytesMax: 0 })) {
        assert.equal(bytes.length, 4096)
      }

      assert.equal(file.stats().readCount, 3)
    },
  )
}

test('take() keeps a result, and with it what was read together', direct, async (t) => {
  const { path, data } = makeFile(t)
  await using file = await DirectFile.open(path)
  const before = holdings()
  const ranges = [range(0, 100), range(100, 100), range(200, 100)]

  const kept: Lease[] = []
  for await (const part of file.readMany(ranges)) {
    if (part.range.offsetBytes === 100) kept.push(part.take())
    else assert.ok(part.bytes.length === 100)
  }

  assert.deepEqual(kept[0]!.bytes, data.subarray(100, 200))
  assert.equal(holdings().leasedCount, before.leasedCount + 1)
  kept[0]!.release()
  assertNoLeak(before)
})

test('a result ends with the next step, and can be taken once before', direct, async (t) => {
  const { path } = makeFile(t)
  await using file = await DirectFile.open(path)
  const parts = file.readMany([range(0, 10), range(10, 10)])

  const first = (await parts.next()).value!
  const lease = first.lease
  const second = (await parts.next()).value!
  using taken = second.take()
  await parts.return()

  assert.equal(lease.isReleased, true)
  assert.throws(() => first.bytes, { code: 'ERR_BUFFER_RELEASED' })
  assert.throws(() => first.take(), { code: 'ERR_BUFFER_RELEASED' })
  assert.throws(() => second.take(), { code: 'ERR_BUFFER_RELEASED' })
  assert.equal(taken.bytes.length, 10)
})

test('what is no range ends it after those that come before', direct, async (t) => {
  const { path } = makeFile(t)
  await using file = await DirectFile.open(path)
  const before = holdings()
  for (const [bad, type] of [
    [null, TypeError],
    [{ offsetBytes: 0 }, TypeError],
    [{ offsetBytes: -1, lengthBytes: 1 }, RangeError],
    [{ offsetBytes: 0, lengthBytes: 0.5 }, RangeError],
    [{ offsetBytes: 2 ** 53, lengthBytes: 1 }, RangeError],
    [[0, 10], TypeError],
  ] as const) {
    let isTold = false
    function* ranges(): Generator<ByteRange> {
      try {
        yield range(0, 10)
        yield bad as unknown as ByteRange
        yield range(10, 10)
      } finally {
        isTold = true
      }
    }
    const parts = file.readMany(ranges())

    assert.equal((await parts.next()).value!.bytes.length, 10)
    await assert.rejects(parts.next(), type)

    assert.deepEqual(await parts.next(), { value: undefined, done: true })
    assert.equal(isTold, true)
    assertNoLeak(before)
  }
})

test('a failing source fails the step that needs it', direct, async (t) => {
  const { path } = makeFile(t)
  await using file = await DirectFile.open(path)
  async function* ranges(): AsyncGenerator<ByteRange> {
    yield range(0, 10)
    throw new Error('no more to know')
  }
  const parts = file.readMany(ranges())

  assert.equal((await parts.next()).value!.bytes.length, 10)
  await assert.rejects(parts.next(), { message: 'no more to know' })
  assert.equal((await parts.next()).done, true)
})

test('options and ranges of the wrong kind are refused at once', direct, async (t) => {
  const { path } = makeFile(t)
  const file = await DirectFile.open(path)
  const call = (ranges: unknown, options: unknown): unknown =>
    file.readMany(ranges as ByteRange[], options as ReadManyOptions)

  for (const ranges of [null, undefined, 5, {}, 'text', range(0, 1)]) {
    assert.throws(() => call(ranges, {}), TypeError)
  }
  assert.throws(() => call([], { mergedByteMax: 1 }), /did you mean 'mergedBytesMax'/)
  assert.throws(() => call([], { concurrency: 0 }), RangeError)
  assert.throws(() => call([], { holeBytesMax: -1 }), RangeError)
  assert.throws(() => call([], { memoryBytesMax: '1' }), TypeError)
  assert.throws(() => call([], { signal: 5 }), TypeError)
  assert.throws(() => call([], { timeoutMs: -1 }), RangeError)
  await file.close()

  assert.throws(() => call([], {}), { code: 'ERR_HANDLE_CLOSED' })
})

test('what has no positions has no ranges', LIMIT, async (t) => {
  const path = join(makeFolder(t), 'fifo')
  spawnSync('mkfifo', [path])
  await using file = await BufferedFile.open(path, { read: true, write: true })

  assert.throws(() => file.readMany([range(0, 1)]), { code: 'ERR_UNSUPPORTED' })
})

test('leaving early gives everything back, and reads no further', direct, async (t) => {
  const { path } = makeFile(t)
  await using file = await DirectFile.open(path)
  const before = holdings()
  let pulledCount = 0
  let isLeft = false
  function* ranges(): Generator<ByteRange> {
    try {
      for (;;) {
        pulledCount++
        yield range((pulledCount * 8192) % 90_000, 4096)
      }
    } finally {
      isLeft = true
    }
  }

  for await (const { bytes } of file.readMany(ranges(), { concurrency: 8 })) {
    assert.equal(bytes.length, 4096)
    break
  }

  assert.equal(isLeft, true)
  assert.ok(pulledCount <= 1024)
  assertNoLeak(before)
})

test('a signal ends it with its reason, also between steps', direct, async (t) => {
  const { path } = makeFile(t)
  await using file = await DirectFile.open(path)
  const before = holdings()
  const reason = new Error('enough')
  const controller = new AbortController()
  const options = { signal: controller.signal }
  const parts = file.readMany([range(0, 10), range(50_000, 10)], options)

  assert.equal((await parts.next()).value!.bytes.length, 10)
  controller.abort(reason)
  await assert.rejects(parts.next(), reason)
  assert.equal((await parts.next()).done, true)
  const late = file.readMany([range(0, 10)], options)
  await assert.rejects(late.next(), reason)

  assertNoLeak(before)
})

test(
  'a signal has one listener, however many use it, and none once they have ended',
  direct,
  async (t) => {
    const { path } = makeFile(t)
    await using file = await DirectFile.open(path)
    const { signal } = new AbortController()
    const countListeners = (): number => getEventListeners(signal, 'abort').length
    const all = Array.from({ length: 20 }, (_, index) =>
      file.readMany([range(index, 10), range(50_000, 10)], { signal }),
    )

    for (const parts of all) assert.equal((await parts.next()).value!.bytes.length, 10)
    assert.equal(countListeners(), 1)
    for (const parts of all) await parts.return()

    assert.equal(countListeners(), 0)
  },
)

test('ranges that need no read let others run', direct, async (t) => {
  const { path } = makeFile(t)
  await using file = await DirectFile.open(path)
  let isOver = false
  function* nothing(): Generator<ByteRange> {
    while (!isOver) yield range(0, 0)
  }
  setImmediate(() => {
    isOver = true
  })

  let count = 0
  for await (const { bytes } of file.readMany(nothing())) count += 1 + bytes.length

  assert.ok(count > 0)
})

test('a signal ends the wait for a source that gives nothing', direct, async (t) => {
  const { path } = makeFile(t)
  await using file = await DirectFile.open(path)
  const controller = new AbortController()
  let isTold = false
  const silent: AsyncIterable<ByteRange> = {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise<never>(() => {}),
      return: () => {
        isTold = true
        return new Promise<never>(() => {})
      },
    }),
  }
  const parts = file.readMany(silent, { signal: controller.signal })

  const step = parts.next()
  controller.abort()
  await assert.rejects(step, { name: 'AbortError' })

  assert.equal(isTold, true)
})

test('a file that is closed meanwhile fails what is left, range by range', direct, async (t) => {
  const { path } = makeFile(t)
  const file = await DirectFile.open(path)
  const before = holdings()
  const ranges = Array.from({ length: 20 }, (_, index) => range(index * 4096, 100))
  const parts = file.readMany(ranges, { concurrency: 1, mergedBytesMax: 0 })

  assert.equal((await parts.next()).value!.error, null)
  await file.close()
  const errors: unknown[] = []
  for await (const { error } of parts) errors.push(error)

  assert.equal(errors.length, 19)
  const last = errors.at(-1)
  assert.ok(last instanceof RuntimeError && last.code === 'ERR_HANDLE_CLOSED')
  assert.equal(holdings().leasedCount, before.leasedCount)
})

const ALONE: ReadManyOptions = { mergedBytesMax: 0 }

test(
  'a loop that looks at a failed range throws, and everything is given back',
  direct,
  async (t) => {
    const { path } = makeFile(t)
    await using file = await DirectFile.open(path)
    const before = holdings()
    const error = new Error('the disk is broken')
    const failing: BlockReader = {
      alignmentBytes: 512,
      allocateBuffer: (lengthBytes) => file.allocateBuffer(lengthBytes),
      beginRead: (buffer, offsetBytes, wait) => {
        if (offsetBytes === 8192) throw error
        return file.beginRead(buffer, offsetBytes, wait)
      },
    }
    const ranges = Array.from({ length: 20 }, (_, index) => range(index * 4096, 100))

    await assert.rejects(async () => {
      for await (const { bytes } of readMany(failing, ranges, ALONE))
        assert.equal(bytes.length, 100)
    }, error)

    assertNoLeak(before)
  },
)

test('a cancelled task has its reads cancelled', direct, async (t) => {
  const { path } = makeFile(t)
  await using file = await DirectFile.open(path)
  const before = holdings()
  const ranges = Array.from({ length: 20 }, (_, index) => range(index * 4096, 100))
  const errors: unknown[] = []

  const task = spawn(async () => {
    const parts = file.readMany(ranges, ALONE)
    const first = parts.next()
    task.cancel()
    errors.push((await first).value!.error)
    for await (const { error } of parts) errors.push(error)
  })
  await task.catch(() => {})

  assert.equal(errors.length, 20)
  assert.ok(errors.some((error) => error !== null))
  assertNoLeak(before)
})

test('scarce I/O memory slows it down, and fails nothing', direct, (t) => {
  const { path } = makeFile(t)
  const lengths = runLimited({
    limit: 'true',
    args: [path],
    script: `
      core.attachExecutor({ ioMemoryBytes: 65536, ioMemoryBytesMax: 65536 })
      const file = await io.DirectFile.open(args[0])
      const ranges = Array.from({ length: 500 }, (_, index) => (
        { offsetBytes: (index * 7919) % 90000, lengthBytes: 4096 }))
      let bytes = 0
      let errors = 0
      for await (const part of file.readMany(ranges, { mergedBytesMax: 0 })) {
        if (part.error === null) bytes += part.bytes.length
        else errors++
      }
      await file.close()
      console.log(JSON.stringify([bytes, errors]))`,
  })

  assert.deepEqual(lengths, [500 * 4096, 0])
})

for (const isDirect of [true, false]) {
  test(
    `every byte is right with faults, simulated, ${isDirect ? 'direct' : 'buffered'}`,
    LIMIT,
    async () => {
      for (let seed = 0; seed < seedCount(60); seed++) {
        const errors = seed % 3 === 0 ? { EIO: 0.02, EINTR: 0.05 } : {}
        const faults = { shortRead: 0.1, delay: 0.02, reorder: 0.2, lateCancel: 0.2, errors }
        await simulate({ seed, faults, executor: { ioMemoryBytes: 1 << 20 } }, async () => {
          await readRandomRanges(seed, isDirect)
        })
      }
    },
  )
}

async function readRandomRanges(seed: number, isDirect: boolean): Promise<void> {
  const prng = new Prng(seed)
  const data = pattern(prng.int(1, 60_000), seed)
  const writer = await retry(() => BufferedFile.create('/many'))
  await retry(() => writer.write(data, 0))
  await writer.close().catch(() => {})
  const File = isDirect ? DirectFile : BufferedFile
  const file = await retry<DirectFile | BufferedFile>(() => File.open('/many'))
  const before = holdings()
  const ranges = Array.from({ length: prng.int(0, 300) }, () =>
    range(prng.int(0, data.length + 9000), prng.pick([0, 1, 700, 4096, 9000])),
  )
  async function* slowly(): AsyncGenerator<ByteRange> {
    for (const range of ranges) {
      if (prng.chance(0.05)) await yieldNow()
      yield range
    }
  }
  const options = {
    mergedBytesMax: prng.pick([0, 4096, 20_000, 1 << 17]),
    holeBytesMax: prng.pick([0, 600, 10_000]),
    concurrency: prng.int(1, 20),
    memoryBytesMax: prng.pick([0, 10_000, 1 << 20]),
  }
  const stopAt = prng.chance(0.3) ? prng.int(0, 300) : Infinity
  const kept: [Lease, ByteRange][] = []
  let count = 0

  for await (const part of file.readMany(prng.chance(0.5) ? ranges : slowly(), options)) {
    assert.equal(part.range, ranges[count++])
    if (part.error !== null) continue
    assert.equal(Buffer.compare(part.bytes, partOf(data, part.range)), 0)
    if (prng.chance(0.1)) kept.push([part.take(), part.range])
    if (count > stopAt) break
  }

  if (stopAt === Infinity) assert.equal(count, ranges.length)
  for (const [lease, range] of kept) {
    assert.equal(Buffer.compare(lease.bytes, partOf(data, range)), 0)
    lease.release()
  }
  assert.equal(holdings().leasedCount, before.leasedCount)
  assert.equal(file.inFlightCount, 0)
  await file.close().catch(() => {})
}

async function retry<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await attempt()
    } catch (error) {
      if (tries > 100) throw error
    }
  }
}
