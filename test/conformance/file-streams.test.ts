/** Glommio's behaviours of stream readers and writers of files, by their numbers; and its defects there, which are not ours. */

import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { makeFolder, needsDirect, pattern } from '../io/support.ts'
import { spreadSeedCount } from '../limits.ts'

const direct = needsDirect()
const KIB = 1024

function write(t: TestContext, data: Uint8Array): string {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, data)
  return path
}

test(
  '74: a lease is on one block, shorter at the end of the file, and there is none behind it',
  direct,
  async (t) => {
    const data = pattern(10_000, 74)
    await using file = await DirectFile.open(write(t, data))
    const reader = file.stream({ blockBytes: 4096 })

    const lengths: number[] = []
    for await (const lease of reader.leases()) lengths.push(lease.lengthBytes)

    assert.deepEqual(lengths, [4096, 4096, 1808])
  },
)

test(
  '75: a file that is open for writing alone is EBADF on reading, and closes',
  direct,
  async (t) => {
    await using file = await DirectFile.open(write(t, pattern(100, 75)), { write: true })
    const reader = file.stream()

    await assert.rejects(reader.pull(), { code: 'EBADF' })

    await reader.close()
  },
)

test('76: a read that is asked for again and again is one read', direct, async (t) => {
  await using file = await DirectFile.open(write(t, pattern(4096, 76)))
  await using reader = file.stream({ readAhead: 1 })

  const pulling = reader.pull()
  const more = Array.from({ length: 10 }, () => reader.pull())
  const outcomes = await Promise.allSettled(more)
  using lease = await pulling

  assert.ok(outcomes.every(({ status }) => status === 'rejected'))
  assert.deepEqual(lease?.bytes, pattern(4096, 76))
  assert.equal(file.stats().readCount, 1)
})

test('77: a million writes of one byte have their exact length at the end', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await DirectFile.create(path)
  const writer = file.writer({ writeBehind: 2, blockBytes: 4096 })
  const byte = Uint8Array.of(77)

  for (let count = 0; count < 1_000_000; count++) await writer.write(byte)
  await writer.end()

  const found = readFileSync(path)
  assert.equal(found.length, 1_000_000)
  assert.ok(found.every((value) => value === 77))
})

test('77: more is written than fits what is written behind', direct, async (t) => {
  const path = join(makeFolder(t), 'file')
  await using file = await DirectFile.create(path)
  const data = pattern(1024 * KIB + 1, 77)

  await using writer = file.writer({ writeBehind: 2, blockBytes: 4096 })
  await writer.write(data)
  await writer.end()

  assert.equal(Buffer.compare(readFileSync(path), data), 0)
})

test(
  '80: a file that is open for reading alone fails at the end of the stream',
  direct,
  async (t) => {
    await using file = await DirectFile.open(write(t, pattern(100, 80)))
    const writer = file.writer()

    await writer.write(pattern(100, 80))

    await assert.rejects(writer.end(), { code: 'EBADF' })
  },
)

for (const lengthBytes of [100, 200_000]) {
  test(
    `81: flushedBytes is behind until a flush, and exact at the end: ${lengthBytes} bytes`,
    direct,
    async (t) => {
      const path = join(makeFolder(t), 'file')
      await using file = await DirectFile.create(path)
      const writer = file.writer({ blockBytes: 128 * KIB })

      await writer.write(pattern(lengthBytes, 81))
      assert.deepEqual([writer.positionBytes, writer.flushedBytes], [lengthBytes, 0])
      await writer.flushAligned()
      assert.ok(writer.flushedBytes <= lengthBytes && lengthBytes - writer.flushedBytes < 4096)
      await writer.end()

      assert.deepEqual([writer.flushedBytes, statSync(path).size], [lengthBytes, lengthBytes])
    },
  )
}

test(
  '82: a flush in the middle of a block leaves the exact length, also when the writer is given up',
  direct,
  async (t) => {
    const path = join(makeFolder(t), 'file')
    await using file = await DirectFile.create(path)
    const writer = file.writer()

    await writer.write(pattern(5000, 82))
    await writer.flush()
    await writer.write(pattern(5000, 82))
    await writer.abort()

    assert.equal(Buffer.compare(readFileSync(path), pattern(5000, 82)), 0)
  },
)

test(
  '83: what is written after a sync in the middle of a block goes on there',
  direct,
  async (t) => {
    const path = join(makeFolder(t), 'file')
    await using file = await DirectFile.create(path)
    const writer = file.writer()
    const data = pattern(10_000, 83)

    await writer.write(data.subarray(0, 5000))
    await writer.sync()
    const synced = [writer.flushedBytes, statSync(path).size]
    await writer.write(data.subarray(5000))
    await writer.end()

    assert.deepEqual(synced, [5000, 5000])
    assert.equal(Buffer.compare(readFileSync(path), data), 0)
  },
)

test('84: flushedBytes goes no further than blocks were written without a gap', async () => {
  for (let seed = 0; seed < spreadSeedCount(30); seed++) {
    await simulate({ seed, faults: { reorder: 1, delay: 0.5 } }, async ({ kernel }) => {
      await using file = await DirectFile.create('/tmp/file')
      const writer = file.writer({ blockBytes: 4096, writeBehind: 8 })
      const data = pattern(80_000, seed)
      for (let at = 0; at < data.length; at += 4096) {
        await writer.write(data.subarray(at, at + 4096))
        const { flushedBytes } = writer
        const found = kernel.files.readFile('/tmp/file')!.subarray(0, flushedBytes)
        assert.equal(Buffer.compare(found, data.subarray(0, flushedBytes)), 0, `seed ${seed}`)
      }
      await writer.end()
      assert.equal(writer.flushedBytes, data.length)
    })
  }
})

test('85: writers in one task, written and ended together', direct, async (t) => {
  const folder = makeFolder(t)
  const files = await Promise.all([1, 2, 3].map((n) => DirectFile.create(join(folder, String(n)))))
  const writers = files.map((file) => file.writer({ blockBytes: 4096 }))

  await Promise.all(writers.map((writer) => writer.write(pattern(50_000, 85))))
  await Promise.all(writers.map((writer) => writer.end()))
  await Promise.all(files.map((file) => file.close()))

  for (const { path } of files) {
    assert.equal(Buffer.compare(readFileSync(path), pattern(50_000, 85)), 0)
  }
})

test('D6: blocks of 12 KiB keep their positions apart', direct, async (t) => {
  const data = pattern(60 * KIB, 6)
  await using file = await DirectFile.open(write(t, data))

  const chunks: Uint8Array[] = []
  for await (const chunk of file.stream({ blockBytes: 12 * KIB })) chunks.push(chunk)

  assert.equal(chunks[0]?.length, 12 * KIB)
  assert.equal(Buffer.compare(Buffer.concat(chunks), data), 0)
})

test('D7: a reader that is closed as its file is closes without a failure', direct, async (t) => {
  const file = await DirectFile.open(write(t, pattern(100 * KIB, 7)))
  const reader = file.stream({ blockBytes: 4096 })
  ;(await reader.pull())?.release()

  await Promise.all([file.close(), reader.close(), file.close()])
})

test('D8, D9: writes that take less than they are given go on, and no byte is missing', async () => {
  for (const File of [DirectFile, BufferedFile]) {
    for (let seed = 0; seed < spreadSeedCount(20); seed++) {
      await simulate({ seed, faults: { shortWrite: 0.8 } }, async ({ kernel }) => {
        await using file = await File.create('/tmp/file')
        await using writer = file.writer({ blockBytes: 4096 })
        await writer.write(pattern(30_001, seed))
        await writer.end()
        assert.equal(Buffer.compare(kernel.files.readFile('/tmp/file')!, pattern(30_001, seed)), 0)
      })
    }
  }
})

test('D9: a sync that fails at the end is reported', async () => {
  let count = 0
  for (let seed = 0; seed < spreadSeedCount(40); seed++) {
    await simulate({ seed, faults: { errors: { EIO: 0.2 } } }, async () => {
      const file = await BufferedFile.create('/tmp/file').catch(() => null)
      if (file === null) return
      const writer = file.writer({ syncAtEnd: true })
      await writer.write(pattern(10, 9))
      const error = await writer.end().then(
        () => null,
        (reason: { syscall?: string }) => reason,
      )
      if (error?.syscall === 'fdatasync') count++
      await file.close().catch(() => {})
    })
  }

  assert.ok(count > 2, String(count))
})

test('D11: seek() shows nothing of before, counts from what was taken, and refuses what is negative', async (t) => {
  const data = pattern(64 * KIB, 11)
  await using file = await BufferedFile.open(write(t, data))
  await using reader = file.stream({ blockBytes: 4096, readAhead: 8 })

  ;(await reader.pull())?.release()
  reader.skip(100)
  using skipped = await reader.pull()
  reader.seek(10)
  using again = await reader.pull()

  assert.equal(skipped?.bytes[0], data[4196])
  assert.deepEqual(again?.bytes.subarray(0, 100), data.subarray(10, 110))
  assert.throws(() => reader.seek(-1), RangeError)
  assert.throws(() => reader.skip(-5000), RangeError)
})
