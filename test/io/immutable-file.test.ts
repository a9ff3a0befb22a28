import assert from 'node:assert/strict'
import { existsSync, linkSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Prng } from '../../src/base/index.ts'
import { createDeferred, type Deferred } from '../../src/executor/index.ts'
import { type Lease, spawn, yieldNow } from '../../src/index.ts'
import { SharedReads } from '../../src/io/bulk/shared-reads.ts'
import { type FilePath, ImmutableFile } from '../../src/io/index.ts'
import { leaseHeap } from '../../src/memory/index.ts'
import { fromIterable, pipe } from '../../src/streams/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { limited, seedCount } from '../limits.ts'
import { assertNoLeak, holdings, makeFolder, needsDirect, pattern } from './support.ts'

const LIMIT = limited(30_000)
const direct = { ...needsDirect(), ...LIMIT }

async function buildFile(path: FilePath, data: Uint8Array): Promise<ImmutableFile> {
  await using sink = await ImmutableFile.build(path)
  for (let at = 0; at < data.length; at += 777) await sink.write(data.subarray(at, at + 777))
  assert.equal(sink.positionBytes, data.length)
  return await sink.seal()
}

test('what was sealed is read by stretches, ranges and as a stream', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  const data = pattern(300_000, 1)
  const before = holdings()
  {
    await using file = await buildFile(path, data)
    assert.deepEqual([file.sizeBytes, file.path], [data.length, path])
    using part = await file.read(1234, 5678)
    assert.deepEqual(part.bytes, data.subarray(1234, 1234 + 5678))
    using end = await file.read(data.length - 10, 500)
    assert.deepEqual(end.bytes, data.subarray(-10))
    using beyond = await file.read(data.length + 5000, 10)
    assert.equal(beyond.lengthBytes, 0)
    const ranges = [{ offsetBytes: 100_000, lengthBytes: 9 }]
    for await (const { bytes } of file.readMany(ranges)) {
      assert.deepEqual(bytes, data.subarray(100_000, 100_009))
    }
    const chunks: Uint8Array[] = []
    for await (const chunk of file.stream({ startBytes: 7 })) chunks.push(chunk)
    assert.deepEqual(new Uint8Array(Buffer.concat(chunks)), data.subarray(7))
  }
  {
    await using file = await ImmutableFile.open(path)
    using part = await file.read(0, 10)
    assert.deepEqual(part.bytes, data.subarray(0, 10))
  }

  assertNoLeak(before)
})

test('the name is there once the file is sealed, and nothing else is left', direct, async (t) => {
  const folder = makeFolder(t)
  const path = join(folder, 'file')
  await using sink = await ImmutableFile.build(path)
  await sink.write(pattern(200_000, 2))
  await sink.end()

  assert.equal(existsSync(path), false)
  await assert.rejects(ImmutableFile.open(path), { code: 'ENOENT' })
  const file = await sink.seal()
  assert.equal(await sink.seal(), file)
  await file.close()

  assert.deepEqual(readdirSync(folder), ['file'])
  assert.deepEqual(new Uint8Array(readFileSync(path)), pattern(200_000, 2))
})

test('an existing file is refused at first, and at last', direct, async (t) => {
  const folder = makeFolder(t)
  const path = join(folder, 'file')
  const before = holdings()
  const sink = await ImmutableFile.build(path)
  await sink.write(pattern(10, 3))
  writeFileSync(path, 'another')

  await assert.rejects(ImmutableFile.build(path), { code: 'EEXIST', path })
  await assert.rejects(sink.seal(), { code: 'EEXIST' })
  await sink.abandon()

  assert.equal(readFileSync(path, 'utf8'), 'another')
  assert.deepEqual(readdirSync(folder), ['file'])
  assertNoLeak(before)
})

test('a sink that is left without sealing leaves nothing', direct, async (t) => {
  const folder = makeFolder(t)
  const before = holdings()
  const sink = await ImmutableFile.build(join(folder, 'file'), { reservedBytes: 1 << 20 })
  await sink.write(pattern(500_000, 4))
  assert.equal(readdirSync(folder).length, 1)

  await sink[Symbol.asyncDispose]()
  await sink.abandon()

  await assert.rejects(sink.seal(), { code: 'ERR_HANDLE_CLOSED' })
  await assert.rejects(sink.write(pattern(1, 4)), { code: 'ERR_HANDLE_CLOSED' })
  assert.deepEqual(readdirSync(folder), [])
  assertNoLeak(before)
})

test('a pipe that fails leaves nothing that could be sealed', direct, async (t) => {
  const folder = makeFolder(t)
  const before = holdings()
  const failure = new Error('broken')
  function* pieces(): Generator<Uint8Array> {
    yield pattern(10_000, 5)
    throw failure
  }
  const sink = await ImmutableFile.build(join(folder, 'file'))

  await assert.rejects(pipe(fromIterable(pieces()), sink), failure)

  await assert.rejects(sink.seal(), { code: 'ERR_HANDLE_CLOSED' })
  assert.deepEqual(readdirSync(folder), [])
  assertNoLeak(before)
})

test('abort() of a sink that has ended is nothing: it may be sealed', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  await using sink = await ImmutableFile.build(path)
  assert.equal(await pipe(fromIterable([pattern(10_000, 6)]), sink), 10_000)

  await sink.abort()

  await using file = await sink.seal()
  assert.equal(file.sizeBytes, 10_000)
})

test('an empty file, long names, and options of the wrong kind', direct, async (t) => {
  const folder = makeFolder(t)
  const path = join(folder, 'n'.repeat(255))
  await using sink = await ImmutableFile.build(path, { syncAtSeal: false })
  await using file = await sink.seal()
  using nothing = await file.read(0, 10)

  assert.deepEqual([file.sizeBytes, nothing.lengthBytes], [0, 0])
  const build = (options: object): Promise<unknown> =>
    ImmutableFile.build(join(folder, 'x'), options)
  await assert.rejects(build({ syncOnSeal: true }), TypeError)
  await assert.rejects(build({ syncAtSeal: 1 }), TypeError)
  await assert.rejects(build({ writeBehind: 0 }), RangeError)
  await assert.rejects(build({ reservedBytes: -1 }), RangeError)
  await assert.rejects(file.read(-1, 1), RangeError)
  assert.deepEqual(readdirSync(folder), ['n'.repeat(255)])
})

test('reads of the same blocks at the same time are one', direct, async (t) => {
  const folder = makeFolder(t)
  const data = pattern(300_000, 5)
  await using file = await buildFile(join(folder, 'file'), data)
  const before = holdings()

  const leases = await Promise.all([
    file.read(0, 65_536),
    ...Array.from({ length: 100 }, (_, index) => file.read(index * 512, 4096)),
  ])

  assert.equal(file.stats().readCount, 1)
  assert.equal(file.joinedCount, 100)
  assert.equal(holdings().leasedCount, before.leasedCount + 1, 'they share their memory')
  for (const [index, lease] of leases.slice(1).entries()) {
    assert.deepEqual(lease.bytes, data.subarray(index * 512, index * 512 + 4096))
  }
  for (const lease of leases) lease.release()
  using again = await file.read(0, 4096)
  assert.equal(file.stats().readCount, 2, 'what has ended is read again')
  again.release()
  assertNoLeak(before)
})

test('a hard link is the same file by another name', direct, async (t) => {
  const folder = makeFolder(t)
  await using file = await buildFile(join(folder, 'file'), pattern(10, 6))
  linkSync(file.path, join(folder, 'link'))
  await using same = await ImmutableFile.open(join(folder, 'link'))

  assert.deepEqual(same.identity, file.identity)
})

test('a read that is cancelled does not cancel those that have joined it', direct, async (t) => {
  const data = pattern(100_000, 7)
  await using file = await buildFile(join(makeFolder(t), 'file'), data)
  const before = holdings()
  const controller = new AbortController()

  const first = file.read(0, 50_000, { signal: controller.signal })
  const task = spawn(() => file.read(10, 20))
  const joined = file.read(100, 1000)
  controller.abort()
  task.cancel()
  const ends = await Promise.allSettled([first, task, joined])

  assert.equal(ends[2].status, 'fulfilled')
  for (const end of ends) if (end.status === 'fulfilled') (end.value as Lease).release()
  assertNoLeak(before)
})

test('whoever joins a read that fails reads for itself', LIMIT, async () => {
  const reads: Deferred<Lease>[] = []
  const shared = new SharedReads({
    alignmentBytes: 1,
    read: () => {
      const deferred = createDeferred<Lease>()
      reads.push(deferred)
      return deferred.promise
    },
  })
  const error = new Error('the disk is broken')

  const results = [shared.read(0, 10), shared.read(0, 10), shared.read(2, 5)]
  const settled = Promise.allSettled(results)
  assert.equal(reads.length, 1)
  reads[0]!.reject(error)
  for (let turn = 0; turn < 3; turn++) await yieldNow()
  assert.equal(reads.length, 3)
  reads[1]!.reject(error)
  reads[2]!.resolve(leaseHeap(Uint8Array.of(2, 3, 4, 5, 6)))
  const ends = await settled

  assert.deepEqual(
    ends.map(({ status }) => status),
    ['rejected', 'rejected', 'fulfilled'],
  )
})

test(
  'a crash at any point leaves a whole file of that name, or none, simulated',
  LIMIT,
  async () => {
    const data = pattern(40_000, 8)
    let sealedCount = 0
    for (let seed = 0; seed < seedCount(80); seed++) {
      const prng = new Prng(seed)
      const { disk, isSealed } = await simulate(seed, async ({ kernel }) => {
        let isSealed = false
        const building = (async () => {
          await using sink = await ImmutableFile.build('/tmp/file', { blockBytes: 4096 })
          await sink.write(data)
          const file = await sink.seal()
          isSealed = true
          await file.close()
        })()
        await sleep(prng.int(0, prng.pick([200, 1000, 3000])) / 1000)
        const crash = { disk: kernel.crash(), isSealed }
        await building
        return crash
      })
      if (isSealed) sealedCount++
      await simulate({ seed, disk }, async () => {
        const file = await ImmutableFile.open('/tmp/file').catch(() => null)
        assert.ok(file !== null || !isSealed, 'what was sealed is there')
        if (file === null) return
        using all = await file.read(0, 100_000)
        assert.equal(Buffer.compare(all.bytes, data), 0, 'what is there is whole')
        await file.close()
      })
    }
    assert.ok(sealedCount > 0)
  },
)
