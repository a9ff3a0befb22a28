/** A ring that takes no more entries: what was to be submitted fails, and nothing of it stays. */

import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { attachExecutor, createTaskQueue, executor, spawnInto } from '../../src/index.ts'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { ENOMEM } from '../../src/kernel/index.ts'
import type { Lease } from '../../src/memory/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { poll } from '../executor/operations.ts'
import { createPipe } from '../hazards/pipe.ts'
import { reactorOf } from '../reactor-of.ts'
import { refuseEntry } from '../ring/refuse.ts'
import { makeFolder } from './support.ts'

/** More entries than any of the actions takes. */
const ENTRIES_MAX = 100
const BLOCK_BYTES = 4096

interface Given {
  readonly signal: AbortSignal
  readonly timeoutMs: number
}

type Action<F> = (file: F, options: Given, buffer: Lease) => Promise<unknown>

const BUFFERED: Readonly<Record<string, Action<BufferedFile>>> = {
  'read()': (file, options) => file.read(0, 100, options),
  'read() of much': (file, options) => file.read(0, 600_000, options),
  'readInto()': (file, options, buffer) => file.readInto(buffer, 0, options),
  'write()': (file, options) => file.write(new Uint8Array(100), 0, options),
  'write() of a buffer': (file, options, buffer) => file.write(buffer, 0, options),
  'write() of much': (file, options) => file.write(new Uint8Array(600_000), 0, options),
  'stat()': (file, options) => file.stat(options),
  'sync()': (file, options) => file.sync(options),
  'allocate()': (file, options) => file.allocate(100, options),
  'punch()': (file, options) => file.punch(0, 100, options),
  'truncate()': (file, options) => file.truncate(100_000, options),
  'rename()': (file, options) => file.rename('/tmp/other', options),
}

const DIRECT: Readonly<Record<string, Action<DirectFile>>> = {
  'read()': async (file, options) => (await file.read(10, 5000, options)).release(),
  'readInto()': (file, options, buffer) => file.readInto(buffer, 0, options),
  'write()': (file, options, buffer) => file.write(buffer, 0, options),
  'writeBytes()': (file, options) => file.writeBytes(new Uint8Array(5000), 10, options),
}

/** Does `action` again and again, with another of its entries refused each time. */
async function refuseEach<F extends BufferedFile | DirectFile>(
  t: TestContext,
  open: () => Promise<F>,
  action: Action<F>,
): Promise<void> {
  const reactor = reactorOf(executor())
  const file = await open()
  using buffer = reactor.memory.allocate(BLOCK_BYTES)
  const { signal } = new AbortController()
  const held = (): number[] => [
    reactor.memory.leasedCount,
    reactor.timers.size,
    getEventListeners(signal, 'abort').length,
    file.inFlightCount,
  ]
  const before = held()
  let refusedCount = 0
  for (; refusedCount < ENTRIES_MAX; refusedCount++) {
    const wasRefused = refuseEntry(t, reactor.main, refusedCount)
    const outcome = await action(file, { signal, timeoutMs: 1e6 }, buffer).then(
      () => null,
      (error) => error,
    )
    if (!wasRefused()) break
    assert.equal(outcome?.code, 'ENOMEM')
    assert.deepEqual(held(), before)
  }
  assert.ok(refusedCount > 0 && refusedCount < ENTRIES_MAX, 'each entry was refused once')
  await file.close()
}

const OPTIONS = { seed: 1, checkBuffers: true, faults: { shortRead: 0.5, shortWrite: 0.5 } }

for (const [name, action] of Object.entries(BUFFERED)) {
  test(`${name} of a buffered file whose entry is refused does not hold close() up`, async (t) => {
    await simulate(OPTIONS, async () => {
      await refuseEach(t, () => BufferedFile.create('/tmp/file'), action)
    })
  })
}

for (const [name, action] of Object.entries(DIRECT)) {
  test(`${name} of a direct file whose entry is refused does not hold close() up`, async (t) => {
    await simulate(OPTIONS, async () => {
      await refuseEach(t, () => DirectFile.create('/tmp/file'), action)
    })
  })
}

test('open() whose entry is refused leaves nothing', async (t) => {
  await simulate(OPTIONS, async () => {
    let opened: BufferedFile | null = null
    await refuseEach(
      t,
      () => BufferedFile.create('/tmp/file'),
      async (_, wait) => {
        opened = await BufferedFile.open('/tmp/file', wait)
      },
    )
    await opened!.close()
  })
})

test('close() whose entry is refused closes the file by a call', async (t) => {
  await simulate(OPTIONS, async ({ kernel }) => {
    const file = await BufferedFile.create('/tmp/file')
    const wasRefused = refuseEntry(t, executor().io.main, 0)

    await file.close()

    assert.ok(wasRefused())
    assert.deepEqual(kernel.leftovers().descriptors, [])
  })
})

test('a latency ring that can not be made does not hold close() up', async (t) => {
  const file = await BufferedFile.create(join(makeFolder(t), 'file'))
  const { host } = reactorOf(executor())
  const refusal = t.mock.method(host, 'setupRing', () => -ENOMEM)
  const urgent = createTaskQueue('urgent', { latency: { maxMs: 2 } })

  await assert.rejects(async () => spawnInto(urgent, () => file.sync()), {
    code: 'ERR_MEMLOCK_LIMIT',
  })

  refusal.mock.restore()
  assert.equal(file.inFlightCount, 0)
  await file.close()
})

test('close() resolves once the executor is closed, whatever was under way', async (t) => {
  const pipe = createPipe()
  t.after(() => pipe.close())
  await executor().close()
  const current = attachExecutor()
  const file = await BufferedFile.open(`/proc/self/fd/${pipe.readFd}`)
  const reading = file.read(0, 1)
  await poll(pipe.readFd, { timeoutMs: 1 }).catch(() => {})
  assert.equal(file.inFlightCount, 1)

  await current.close()

  await assert.rejects(reading, { code: 'ERR_EXECUTOR_CLOSED' })
  await file.close()
  assert.equal(file.fd, -1)
})

const STREAMS: Readonly<Record<string, (file: BufferedFile) => Promise<unknown>>> = {
  stream: async (file) => {
    for await (const _ of file.stream({ blockBytes: BLOCK_BYTES }));
  },
  writer: async (file) => {
    const writer = file.writer({ blockBytes: BLOCK_BYTES })
    await writer.write(new Uint8Array(2 * BLOCK_BYTES))
    await writer.end()
  },
}

for (const [name, move] of Object.entries(STREAMS)) {
  test(`a ${name} of a queue with a cap whose entry is refused does not hold close() up`, async (t) => {
    await simulate(OPTIONS, async () => {
      const file = await BufferedFile.create('/tmp/file')
      await file.write(new Uint8Array(2 * BLOCK_BYTES), 0)
      const { memory } = reactorOf(executor())
      const before = memory.leasedCount
      const capped = createTaskQueue('capped', { io: { operationsPerSecondMax: 1e6 } })
      const wasRefused = refuseEntry(t, executor().io.main, 0)

      await assert.rejects(async () => spawnInto(capped, () => move(file)), { code: 'ENOMEM' })

      assert.ok(wasRefused())
      assert.equal(file.inFlightCount, 0)
      await file.close()
      assert.equal(memory.leasedCount, before)
    })
  })
}

test('leases that wait while the ring refuses a gathered block do not hold close() up', async (t) => {
  let refusedCount = 0
  for (let seed = 0; seed < 8; seed++) {
    for (let skipCount = 2; skipCount < 6; skipCount++) {
      await simulate({ seed, checkBuffers: true, faults: { delay: 0.5 } }, async () => {
        const file = await DirectFile.create('/tmp/file')
        const { memory } = reactorOf(executor())
        const before = memory.leasedCount
        // Two of the leases do not fit in one block; blocks that end out of order leave room for several at once.
        const writer = file.writer({ blockBytes: 32 * BLOCK_BYTES, writeBehind: 3 })
        const wasRefused = refuseEntry(t, executor().io.main, skipCount)

        const pushed = Array.from({ length: 8 }, () =>
          writer.push(file.allocateBuffer(24 * BLOCK_BYTES)).catch((error) => error.code),
        )
        const codes = await Promise.all(pushed)
        const code = await writer.end().then(
          () => null,
          (error) => error.code,
        )

        if (wasRefused()) {
          refusedCount++
          assert.equal(code, 'ENOMEM')
          assert.ok(codes.every((pushedCode) => [undefined, 'ENOMEM'].includes(pushedCode)))
        }
        await file.close()
        assert.equal(memory.leasedCount, before)
      })
    }
  }
  assert.ok(refusedCount > 0, 'some were refused')
})
