/** What goes wrong while a file is written as a stream: from seeds, and for real. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { executor, yieldNow } from '../../src/index.ts'
import { BufferedFile, DirectFile, type FileWriter } from '../../src/io/index.ts'
import { type FileSystem, type Simulation, simulate } from '../../src/testing/index.ts'
import { spreadSeedCount } from '../limits.ts'
import { assertNoLeak, holdings, mountFolder, needsRoot, pattern } from './support.ts'

const PATH = '/tmp/stream'
const FAULTS = { shortWrite: 0.3, delay: 0.1, reorder: 0.3, lateCancel: 0.5 }

interface Opener {
  create(path: string): Promise<BufferedFile | DirectFile>
}

function fileOf(seed: number): Opener {
  return seed % 2 === 0 ? DirectFile : BufferedFile
}

/** Opening fails now and then as well, which is not what is looked at. */
async function createUnharmed(File: Opener): Promise<BufferedFile | DirectFile> {
  for (;;) {
    try {
      return await File.create(PATH)
    } catch (error) {
      if ((error as { errno?: number }).errno === undefined) throw error
    }
  }
}

function codeOf(error: unknown): string {
  return (error as { code: string }).code
}

test('[sim] short, late and reordered writes change nothing', async () => {
  for (let seed = 0; seed < spreadSeedCount(60); seed++) {
    const faults = { ...FAULTS, errors: { EAGAIN: 0.1, EINTR: 0.1 } }
    await simulate(
      { seed, faults: { ...FAULTS, ...(seed % 3 === 0 ? {} : faults) } },
      async ({ kernel }) => {
        const data = pattern(30_000 + (seed % 60) * 97, seed)
        const file = await createUnharmed(fileOf(seed))
        const writer = file.writer({ blockBytes: 4096, writeBehind: 1 + (seed % 5) })
        for (let at = 0; at < data.length; at += 777)
          await writer.write(data.subarray(at, at + 777))
        const isWhole = await writer.end().then(
          () => true,
          // What a tail asks of the kernel beside the write may be interrupted.
          (error) => assert.ok(['EAGAIN', 'EINTR'].includes(codeOf(error))),
        )
        if (isWhole)
          assert.equal(Buffer.compare(kernel.files.readFile(PATH)!, data), 0, `seed ${seed}`)
        await file.close().catch(() => {})
      },
    )
  }
})

test('[sim] what is flushed is in the file, whatever fails; and the failure is reported', async () => {
  const seen = { failed: 0, whole: 0, between: 0 }
  for (let seed = 0; seed < spreadSeedCount(100); seed++) {
    const faults = { ...FAULTS, errors: { [seed % 3 === 0 ? 'ENOSPC' : 'EIO']: 0.04 } }
    await simulate({ seed, faults }, async ({ kernel }: Simulation) => {
      const data = pattern(60_000, seed)
      const file = await createUnharmed(fileOf(seed))
      const writer = file.writer({ blockBytes: 4096, writeBehind: 4 })
      let failure: unknown = null
      try {
        for (let at = 0; at < data.length; at += 900) {
          await writer.write(data.subarray(at, at + 900))
          if (at % 9000 === 0) await writer.flush()
        }
        await writer.end()
      } catch (error) {
        failure = error
      }
      const { flushedBytes } = writer
      const found = kernel.files.readFile(PATH)!
      assert.equal(
        Buffer.compare(found.subarray(0, flushedBytes), data.subarray(0, flushedBytes)),
        0,
      )
      if (failure === null) {
        assert.equal(flushedBytes, data.length)
        assert.equal(found.length, data.length)
        seen.whole++
      } else {
        assert.ok(['EIO', 'ENOSPC'].includes(codeOf(failure)), String(failure))
        await assert.rejects(writer.write(data), { code: codeOf(failure) })
        await assert.rejects(writer.end(), { code: codeOf(failure) })
        seen.failed++
        if (flushedBytes > 0) seen.between++
      }
      await file.close().catch(() => {})
      const { inFlightCount, ioMemory } = executor().stats()
      assert.deepEqual([inFlightCount, ioMemory.leasedCount], [0, 0], `seed ${seed}`)
    })
  }

  assert.ok(seen.failed > 10 && seen.whole > 3 && seen.between > 5, JSON.stringify(seen))
})

test('[sim] a tail that fails takes back nothing that zero() or allocate() has added', async () => {
  let failedCount = 0
  for (let seed = 0; seed < spreadSeedCount(150); seed++) {
    const faults = { delay: 0.3, reorder: 0.3, errors: { EIO: 0.3 } }
    await simulate({ seed, faults }, async ({ kernel }) => {
      const file = await createUnharmed(DirectFile)
      const writer = file.writer({ startBytes: 8192 })
      const ended = writer.write(Buffer.from('tail')).then(() => writer.end())

      const grown = seed % 2 === 0 ? file.zero(0, 4096) : file.allocate(4096)
      const [tail, growth] = await Promise.allSettled([ended, grown])

      const sizeBytes = kernel.files.readFile(PATH)!.length
      if (growth.status === 'fulfilled') assert.ok(sizeBytes >= 4096, `seed ${seed}: ${sizeBytes}`)
      if (growth.status === 'fulfilled' && tail.status === 'rejected') failedCount++
      await file.close().catch(() => {})
    })
  }

  assert.ok(failedCount > 0)
})

/** Writes records, syncs now and then, and loses power in the middle of more. */
async function writeAndCrash(
  { kernel, random }: Simulation & { random: () => number },
  File: Opener,
  data: Uint8Array,
): Promise<{ readonly disk: FileSystem; readonly syncedBytes: number }> {
  const file = await File.create(PATH)
  kernel.files.syncDirectory('/tmp')
  const writer = file.writer({ blockBytes: 4096, writeBehind: 3 })
  let syncedBytes = 0
  const until = random() * data.length
  for (let at = 0; at < until; ) {
    const lengthBytes = 1 + Math.floor(random() * 3000)
    await writer.write(data.subarray(at, at + lengthBytes))
    at = writer.positionBytes
    if (random() < 0.2) {
      await writer.sync()
      syncedBytes = at
    } else if (random() < 0.1) {
      await writer.flush()
    }
  }
  // Some of it on its way, a tail too.
  const flushing = random() < 0.5 ? writer.flush() : Promise.resolve()
  for (let turns = random() * 10; turns > 1; turns--) await yieldNow()
  const disk = kernel.crash()
  await flushing
  await file.close()
  return { disk, syncedBytes }
}

test('[sim] what was synced is there after a crash at any moment', async () => {
  let syncedCount = 0
  for (let seed = 0; seed < spreadSeedCount(150); seed++) {
    const data = pattern(50_000, seed)
    const { disk, syncedBytes } = await simulate({ seed, faults: FAULTS }, async (simulation) =>
      writeAndCrash({ ...simulation, random: randomOf(seed) }, fileOf(seed), data),
    )
    const found = disk.readFile(PATH) ?? new Uint8Array(0)
    if (syncedBytes > 0) syncedCount++
    assert.ok(found.length >= syncedBytes, `seed ${seed}: ${found.length} of ${syncedBytes}`)
    assert.equal(
      Buffer.compare(found.subarray(0, syncedBytes), data.subarray(0, syncedBytes)),
      0,
      `seed ${seed}`,
    )
  }

  assert.ok(syncedCount > 50, String(syncedCount))
})

function randomOf(seed: number): () => number {
  let state = seed * 2_654_435_761 + 1
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0
    return ((state ^ (state >>> 12)) >>> 0) / 2 ** 32
  }
}

/** Pushes leases of whole blocks, a few at a time, so that requests write several of them. */
async function pushAll(
  file: DirectFile,
  writer: FileWriter,
  data: Uint8Array,
  random: () => number,
): Promise<void> {
  for (let at = 0; at < data.length; ) {
    const pushes: Promise<void>[] = []
    for (let left = 1 + random() * 6; left > 1 && at < data.length; left--) {
      const lengthBytes = Math.min(data.length - at, (4 + Math.floor(random() * 5)) * 4096)
      const lease = file.allocateBuffer(lengthBytes)
      lease.bytes.set(data.subarray(at, at + lengthBytes))
      pushes.push(writer.push(lease))
      at += lengthBytes
    }
    await settleAll(pushes)
    if (random() < 0.1) await writer.flush()
  }
  await writer.end()
}

/** Waits for all, and fails with the first that does. */
async function settleAll(promises: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(promises)
  await Promise.all(promises)
}

test('[sim] leases that are written together are whole, short or failed, and all are given back', async () => {
  const seen = { failed: 0, whole: 0, between: 0, gathered: 0 }
  for (let seed = 0; seed < spreadSeedCount(100); seed++) {
    const errors = seed % 2 === 0 ? { EIO: 0.05 } : { EAGAIN: 0.1, EINTR: 0.1 }
    await simulate({ seed, faults: { ...FAULTS, errors } }, async ({ kernel }) => {
      const data = pattern(100 * 4096, seed)
      const file = (await createUnharmed(DirectFile)) as DirectFile
      const writer = file.writer({ blockBytes: 80 * 1024, writeBehind: 3 })
      const failure = await pushAll(file, writer, data, randomOf(seed)).then(
        () => null,
        (error: unknown) => error,
      )
      const { flushedBytes } = writer
      const found = kernel.files.readFile(PATH)!
      assert.equal(
        Buffer.compare(found.subarray(0, flushedBytes), data.subarray(0, flushedBytes)),
        0,
        `seed ${seed}`,
      )
      if (failure === null) {
        assert.deepEqual([flushedBytes, found.length], [data.length, data.length])
        // None is longer than eight blocks: without gathering there would be as many requests as leases.
        if (file.stats().writeCount < 100 / 8) seen.gathered++
        seen.whole++
      } else {
        assert.equal(codeOf(failure), 'EIO')
        seen.failed++
        if (flushedBytes > 0) seen.between++
      }
      await writer.abort()
      await file.close().catch(() => {})
      const { inFlightCount, ioMemory } = executor().stats()
      assert.deepEqual(
        [inFlightCount, ioMemory.leasedCount, executor().memory.usedBytes],
        [0, 0, 0],
        `seed ${seed}`,
      )
    })
  }

  const { failed, whole, between, gathered } = seen
  assert.ok(failed > 5 && whole > 5 && between > 2 && gathered > 5, JSON.stringify(seen))
})

test('[sim] what was pushed and synced is there after a crash at any moment', async () => {
  let betweenCount = 0
  for (let seed = 0; seed < spreadSeedCount(100); seed++) {
    const data = pattern(100 * 4096, seed)
    const { disk, syncedBytes } = await simulate({ seed, faults: FAULTS }, async ({ kernel }) => {
      const random = randomOf(seed)
      const file = await DirectFile.create(PATH)
      kernel.files.syncDirectory('/tmp')
      const writer = file.writer({ blockBytes: 80 * 1024, writeBehind: 3 })
      let syncedBytes = 0
      const pushing = pushAll(file, writer, data, random)
      // Bounded, as what is delayed comes no sooner for it.
      for (let turns = random() * 40; turns > 1; turns--) await yieldNow()
      const position = writer.positionBytes
      await writer.sync().then(
        () => {
          syncedBytes = position
        },
        // It has ended meanwhile.
        () => {},
      )
      for (let turns = random() * 10; turns > 1; turns--) await yieldNow()
      const disk = kernel.crash()
      await pushing
      await file.close()
      return { disk, syncedBytes }
    })
    const found = disk.readFile(PATH) ?? new Uint8Array(0)
    if (syncedBytes > 0 && syncedBytes < data.length) betweenCount++
    assert.ok(found.length >= syncedBytes, `seed ${seed}: ${found.length} of ${syncedBytes}`)
    assert.equal(
      Buffer.compare(found.subarray(0, syncedBytes), data.subarray(0, syncedBytes)),
      0,
      `seed ${seed}`,
    )
  }

  assert.ok(betweenCount > 20, String(betweenCount))
})

test('[sim] a writer that is given up gives back what waits for more', async () => {
  for (let seed = 0; seed < spreadSeedCount(40); seed++) {
    await simulate({ seed, faults: FAULTS }, async () => {
      await using file = await DirectFile.create(PATH)
      const writer = file.writer({ writeBehind: 3 })
      const told = Array.from({ length: 2 + (seed % 5) }, () =>
        writer.push(file.allocateBuffer(16_384)).catch(() => {}),
      )
      for (let turns = seed % 4; turns > 0; turns--) await yieldNow()

      await writer.abort()

      await Promise.all(told)
      const { inFlightCount, ioMemory } = executor().stats()
      assert.deepEqual([inFlightCount, ioMemory.leasedCount], [0, 0], `seed ${seed}`)
      assert.equal(executor().memory.usedBytes, 0, `seed ${seed}`)
    })
  }
})

test('[sim] a sync that fails is reported, and nothing is taken any more', async () => {
  let failedCount = 0
  for (let seed = 0; seed < spreadSeedCount(40); seed++) {
    await simulate({ seed, faults: { errors: { EIO: 0.2 } } }, async () => {
      const file = await createUnharmed(BufferedFile)
      const writer = file.writer()
      const error = await writer.write(Buffer.from('some')).then(() =>
        writer.sync().then(
          () => null,
          (reason: unknown) => reason,
        ),
      )
      if (error !== null) {
        failedCount++
        await assert.rejects(writer.write(Buffer.from('more')), (again) => again === error)
        await assert.rejects(writer.end(), (again) => again === error)
      }
      await file.close().catch(() => {})
    })
  }

  assert.ok(failedCount > 5, String(failedCount))
})

test('[sim] a writer that is given up at any moment leaves nothing behind', async () => {
  for (let seed = 0; seed < spreadSeedCount(60); seed++) {
    await simulate({ seed, faults: FAULTS }, async () => {
      await using file = await fileOf(seed).create(PATH)
      const writer = file.writer({ blockBytes: 4096, writeBehind: 3 })
      const writing = writer.write(pattern(1000 * (seed % 60), seed))
      const told = writing.then(
        () => {},
        (error) => assert.equal(codeOf(error), 'ERR_HANDLE_CLOSED'),
      )
      const flushed = seed % 3 === 0 ? writer.flush().catch(() => {}) : null
      for (let turns = seed % 4; turns > 0; turns--) await yieldNow()
      await writer.abort()
      await Promise.all([told, flushed])
      const { inFlightCount, ioMemory } = executor().stats()
      assert.deepEqual([inFlightCount, ioMemory.leasedCount], [0, 0], `seed ${seed}`)
    })
  }
})

test('[sim] the close of the executor lets what was taken go to the file, and tells who waits', async () => {
  await simulate(1, async ({ kernel }) => {
    const file = await DirectFile.create(PATH)
    const writer = file.writer({ blockBytes: 4096, writeBehind: 2 })
    const told = assert.rejects(writer.write(pattern(100_000, 1)), { code: 'ERR_EXECUTOR_CLOSED' })

    await executor().close()

    await told
    const { flushedBytes } = writer
    const found = kernel.files.readFile(PATH)!
    assert.ok(flushedBytes >= 8192, String(flushedBytes))
    assert.equal(
      Buffer.compare(
        found.subarray(0, flushedBytes),
        pattern(100_000, 1).subarray(0, flushedBytes),
      ),
      0,
    )
  })
})

test('a disk that is full in the middle, or at the end, is reported', needsRoot(), async (t) => {
  const folder = mountFolder(t, ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs'])
  const data = pattern(2_000_000, 1)

  for (const lengthBytes of [2_000_000, 1_050_000]) {
    const path = join(folder, 'file')
    const file = await BufferedFile.create(path)
    const before = holdings()
    const writer = file.writer({ blockBytes: 64 * 1024, writeBehind: 4 })
    const writing = (async () => {
      for (let at = 0; at < lengthBytes; at += 1000)
        await writer.write(data.subarray(at, at + 1000))
      await writer.end()
    })()
    await assert.rejects(writing, { code: 'ENOSPC', syscall: 'write', path })
    await assert.rejects(writer.end(), { code: 'ENOSPC' })
    const found = readFileSync(path)
    assert.ok(writer.flushedBytes >= 900_000, String(writer.flushedBytes))
    assert.equal(
      Buffer.compare(found.subarray(0, writer.flushedBytes), data.subarray(0, writer.flushedBytes)),
      0,
    )
    assertNoLeak(before)
    await file.remove()
    await file.close()
  }
})

test(
  'a direct disk that is full is reported, and its file has whole what was flushed',
  needsRoot(),
  async (t) => {
    const folder = mountFolder(t, ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs'])
    const file = await DirectFile.create(join(folder, 'file'), { fallback: 'buffered' })
    const writer = file.writer({ blockBytes: 64 * 1024, writeBehind: 4 })
    const data = pattern(1_300_000, 1)

    await assert.rejects(
      (async () => {
        await writer.write(data)
        await writer.sync()
      })(),
      { code: 'ENOSPC' },
    )

    const found = readFileSync(join(folder, 'file'))
    assert.equal(
      Buffer.compare(found.subarray(0, writer.flushedBytes), data.subarray(0, writer.flushedBytes)),
      0,
    )
    await file.close()
  },
)
