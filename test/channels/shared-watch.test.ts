import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Prng } from '../../src/base/index.ts'
import {
  attachWatchReader,
  attachWatchWriter,
  createSharedWatch,
  type SharedWatch,
  type SharedWatchReader,
} from '../../src/channels/index.ts'
import { spawn, yieldNow } from '../../src/index.ts'
import { seedCount } from '../limits.ts'
import { runThreads } from './shared-world.ts'

test('readers of other threads see values in order, and the last one, whoever sleeps', async () => {
  for (let seed = 0; seed < seedCount(100); seed++) {
    const prng = new Prng(seed)
    const watch = createSharedWatch<{ value: number }>()
    const read = async (): Promise<void> => {
      for (let count = prng.int(0, 3); count > 0; count--) await yieldNow()
      let last = -1
      for await (const { value } of attachWatchReader(watch)) {
        assert.ok(value > last)
        last = value
      }
      assert.equal(last, 9)
    }
    await runThreads(seed, [
      async () => {
        const writer = attachWatchWriter(watch)
        for (let value = 0; value < 10; value++) {
          writer.write({ value })
          if (prng.int(0, 1) === 0) await yieldNow()
        }
        writer.close()
      },
      read,
      read,
    ])
  }
})

test('a writer whose thread ends fails readers that have seen its last value', async () => {
  for (let seed = 0; seed < seedCount(50); seed++) {
    const watch = createSharedWatch<number>({ codec: 'numbers' })
    await runThreads(seed, [
      async () => {
        const reader = attachWatchReader(watch)
        assert.equal(await reader.changed(), 5)
        await assert.rejects(reader.changed(), { code: 'ERR_PEER_ENDED' })
        assert.equal(reader.read(), 5)
      },
      async ({ end }) => {
        attachWatchWriter(watch).write(5)
        end()
      },
    ])
  }
})

test('read() shows the latest value, and changed() waits for the next', async () => {
  const watch = createSharedWatch<string>()
  const writer = attachWatchWriter(watch)
  const reader = attachWatchReader(watch)
  assert.equal(reader.read(), undefined)
  const both = Promise.all([reader.changed(), reader.changed()])
  writer.write('a')
  assert.deepEqual(await both, ['a', 'a'])
  writer.write('b')
  writer.write('c')

  assert.equal(reader.hasNews, true)
  assert.equal(reader.read(), 'c')
  assert.equal(reader.hasNews, false)
  await assert.rejects(reader.changed({ timeoutMs: 1 }), { code: 'ERR_TASK_TIMEOUT' })
  writer.close()
  assert.equal(await reader.changed(), undefined)
  assert.equal(reader.read(), 'c')
  assert.throws(() => writer.write('d'), { code: 'ERR_CHANNEL_CLOSED' })
})

test('a reader that closes leaves its place to others, and ends who waits', async () => {
  const watch = createSharedWatch<string>({ readers: 1 })
  const reader = attachWatchReader(watch)
  assert.throws(() => attachWatchReader(watch), { code: 'ERR_LIMIT_EXCEEDED' })
  const waiting = spawn(() => reader.changed())
  await yieldNow()
  reader.close()

  assert.equal(await waiting, undefined)
  const next = attachWatchReader(watch)
  attachWatchWriter(watch).write('a')
  assert.equal(await next.changed(), 'a')
})

test('readers that come and go use up no inboxes, however long the writer goes on', async () => {
  const inboxCount = 4095
  const watch = createSharedWatch<number>({ codec: 'numbers' })
  const isReady = createSharedWatch<number>({ codec: 'numbers' })
  await runThreads(1, [
    async () => {
      const writer = attachWatchWriter(watch)
      writer.write(1)
      assert.equal(await attachWatchReader(isReady).changed(), 1)
      writer.write(2)
      writer.close()
    },
    async () => {
      const lasting = attachWatchReader(watch)
      assert.equal(await lasting.changed(), 1)
      for (let count = 0; count < inboxCount; count++) attachWatchReader(watch).close()

      const last = attachWatchReader(watch)
      assert.equal(await last.changed(), 1)
      const both = Promise.all([lasting.changed(), last.changed()])
      attachWatchWriter(isReady).write(1)
      assert.deepEqual(await both, [2, 2])
    },
  ])
})

test('a reader that gets no inbox leaves its place to others', () => {
  const watch = createSharedWatch<number>({ codec: 'numbers', readers: 1 })
  const others = Array.from({ length: 5 }, () => createSharedWatch<number>({ readers: 1024 }))
  const readers: SharedWatchReader<number>[] = []
  assert.throws(
    () => {
      for (const other of others) {
        for (let count = 0; count < 1024; count++) readers.push(attachWatchReader(other))
      }
    },
    { message: /inboxes/ },
  )
  assert.throws(() => attachWatchReader(watch), { message: /inboxes/ })
  for (const reader of readers) reader.close()

  attachWatchReader(watch).close()
})

test('a reader whose thread ends leaves its place to others', async () => {
  const watch: SharedWatch<string> = createSharedWatch<string>({ readers: 1 })
  await runThreads(1, [
    async ({ end }) => {
      attachWatchReader(watch)
      end()
    },
    async () => {
      for (;;) {
        try {
          attachWatchReader(watch)
          return
        } catch {
          await yieldNow()
        }
      }
    },
  ])
})

test('a watch refuses what is too long, and what is wrong', () => {
  const watch = createSharedWatch<Uint8Array>({ codec: 'bytes', valueBytes: 2 })
  const writer = attachWatchWriter(watch)

  assert.throws(() => writer.write(new Uint8Array(3)), RangeError)
  assert.throws(() => attachWatchWriter(watch), { code: 'ERR_STILL_HELD' })
  assert.throws(() => attachWatchReader({} as never), TypeError)
  assert.throws(() => createSharedWatch({ readers: 0 }), RangeError)
  assert.throws(() => createSharedWatch({ valueBytes: 2 ** 20 }), RangeError)
})

test('a codec that gives no bytes is refused, and nothing is written', () => {
  const watch = createSharedWatch<object>({ codec: 'custom' })
  const codec = { encode: JSON.stringify, decode: () => ({}) }
  const writer = attachWatchWriter(watch, { codec: codec as never })

  assert.throws(() => writer.write({ a: 1 }), { name: 'TypeError', message: /encode\(\)/ })

  assert.equal(attachWatchReader(watch, { codec: codec as never }).read(), undefined)
})

test('values are seen when their count has gone around', async () => {
  const watch = createSharedWatch({ codec: 'numbers' }) as SharedWatch<number>
  // So many were written that the one after the next is the 2^32nd.
  new Int32Array(watch.cell.memory)[32] = -2
  const writer = attachWatchWriter(watch)
  const reader = attachWatchReader(watch)
  writer.write(0)
  assert.equal(reader.read(), 0)

  for (const value of [1, 2, 3]) {
    assert.equal(reader.hasNews, false)
    writer.write(value)
    assert.equal(reader.hasNews, true)
    assert.equal(await reader.changed(), value)
  }
})
