/** Requests that are held back: with whole executors, on the simulated kernel and the real one. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkExecutorOptions } from '../../src/executor/executor-options.ts'
import { createTaskQueue, executor, type IoProperties, spawnInto } from '../../src/index.ts'
import { Flow } from '../../src/io/devices/io-flow.ts'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { VectorTransfer } from '../../src/io/requests/vector-transfer.ts'
import { simulate } from '../../src/testing/index.ts'
import { assertNoLeak, holdings, makeFolder } from './support.ts'

const BLOCK_BYTES = 4096

test('createTaskQueue() refuses limits of I/O that are none', () => {
  assert.throws(() => createTaskQueue('a', { io: { bytesPerSecondMax: 0 } }), RangeError)
  assert.throws(
    () => createTaskQueue('b', { io: { operationsPerSecondMax: Number.NaN } }),
    RangeError,
  )
  assert.throws(() => createTaskQueue('c', { io: { bytesPerSecondMax: '1' as never } }), TypeError)
  assert.throws(() => createTaskQueue('d', { io: { bytes: 1 } as never }), TypeError)
})

test('[sim] operations of a queue with a cap come at its rate', async () => {
  await simulate(1, async () => {
    const queue = createTaskQueue('slow', { io: { operationsPerSecondMax: 100 } })
    await using file = await BufferedFile.create('/file')
    await file.write(new Uint8Array(BLOCK_BYTES), 0)
    const startNs = executor().nowNs()

    const task = spawnInto(queue, async () => {
      const reads = Array.from({ length: 50 }, () => file.read(0, 100))
      return (await Promise.all(reads)).length
    })

    assert.equal(await task, 50)
    // Some went at once, and the rest waited for 10 ms each after the one before.
    const { files } = queue.stats()
    assert.deepEqual([files.transferCount, files.readBytes, files.heldCount], [50, 5000, 0])
    assert.ok(files.heldNs > 8e9 && files.heldNs < 13e9, `${files.heldNs}`)
    assert.ok(files.limitedCount > 40 && files.limitedCount <= 50, `${files.limitedCount}`)
    const { heldCount, heldNs, limitedCount } = executor().stats().files
    assert.deepEqual([heldCount, heldNs, limitedCount], [0, files.heldNs, files.limitedCount])
    const elapsedMs = (executor().nowNs() - startNs) / 1e6
    assert.ok(elapsedMs > 450 && elapsedMs < 600, `${elapsedMs}`)
  })
})

test('[sim] what waits is cancelled at once, and what is behind it comes sooner', async () => {
  await simulate(1, async () => {
    const queue = createTaskQueue('slow', { io: { operationsPerSecondMax: 10 } })
    await using file = await BufferedFile.create('/file')
    await file.write(new Uint8Array(BLOCK_BYTES), 0)
    const before = holdings()
    const startNs = executor().nowNs()
    const controller = new AbortController()

    const task = spawnInto(queue, async () => {
      const { signal } = controller
      const cancelled = Array.from({ length: 100 }, () => file.read(0, 10, { signal }))
      const wanted = file.read(0, 10)
      queueMicrotask(() => controller.abort())
      const outcomes = await Promise.allSettled([...cancelled, wanted])
      return outcomes.map(({ status }) => status)
    })

    const outcomes = await task
    assert.equal(outcomes.at(-1), 'fulfilled')
    assert.ok(outcomes.filter((status) => status === 'rejected').length >= 97)
    assert.ok(executor().nowNs() - startNs < 1e9)
    assertNoLeak(before)
  })
})

test('[sim] a time limit ends the wait of what is held back', async () => {
  await simulate(1, async () => {
    const queue = createTaskQueue('slow', { io: { operationsPerSecondMax: 1 } })
    await using file = await BufferedFile.create('/file')

    const task = spawnInto(queue, async () => {
      await Promise.all([file.read(0, 1), file.read(0, 1, { timeoutMs: 60_000 })])
      await file.read(0, 1, { timeoutMs: 20 })
    })

    await assert.rejects(task, { code: 'ERR_TASK_TIMEOUT' })
    assert.equal(file.inFlightCount, 0)
  })
})

test('[sim] closing the executor ends what is held back', async () => {
  let outcome: unknown = null
  await simulate(1, async () => {
    const queue = createTaskQueue('slow', { io: { operationsPerSecondMax: 1 } })
    const file = await BufferedFile.create('/file')
    spawnInto(queue, async () => {
      const reads = Array.from({ length: 10 }, () => file.read(0, 1))
      const outcomes = await Promise.allSettled(reads)
      outcome = (outcomes.at(-1) as PromiseRejectedResult).reason
      await file.close()
    }).detach()
    await spawnInto(createTaskQueue('other'), async () => {})
    await file.stat()
    void executor().close()
  })

  assert.equal((outcome as { code?: string } | null)?.code, 'ERR_EXECUTOR_CLOSED')
})

test('[linux] a program with nothing but a request that is held back goes on', async (t) => {
  const path = join(makeFolder(t), 'file')
  writeFileSync(path, new Uint8Array(BLOCK_BYTES))
  const queue = createTaskQueue('slow', { io: { bytesPerSecondMax: 1_000_000 } })
  await using file = await BufferedFile.open(path)

  const task = spawnInto(queue, async () => {
    const reads = Array.from({ length: 40 }, () => file.read(0, BLOCK_BYTES))
    return (await Promise.all(reads)).every(({ length }) => length === BLOCK_BYTES)
  })

  assert.equal(await task, true)
})

/** So slow that a few blocks are more than a burst. */
const DISK = { bytesPerSecond: 1e7, operationsPerSecond: 1000 }

test('[sim] direct I/O of several queues on a measured device brings the right bytes', async () => {
  const ioProperties: IoProperties = {
    version: 1,
    devices: [{ device: '8:0', read: DISK, write: DISK }],
  }
  await simulate(
    1,
    async () => {
      await using file = await DirectFile.create('/file')
      const heldOf = (): number => executor().stats().files.heldCount
      const queues = [100, 400].map((shares) => createTaskQueue(`q${shares}`, { shares }))
      const before = holdings()
      let queuedMax = 0

      const tasks = queues.map((queue, index) =>
        spawnInto(queue, async () => {
          using buffer = file.allocateBuffer(BLOCK_BYTES)
          for (let block = index; block < 40; block += 2) {
            buffer.bytes.fill(block)
            await file.write(buffer, block * BLOCK_BYTES)
            assert.equal(heldOf(), file.descriptor.dispatcher.queuedCount)
            queuedMax = Math.max(queuedMax, heldOf())
            buffer.bytes.fill(255)
            await file.readInto(buffer, block * BLOCK_BYTES)
            assert.ok(buffer.bytes.every((byte) => byte === block))
          }
        }),
      )
      await Promise.all(tasks)

      assert.ok(queuedMax > 0, 'something had to wait')
      assertNoLeak(before)
    },
    { executor: { ioProperties } },
  )
})

for (const isMeasured of [false, true]) {
  const asks = isMeasured ? 'asks' : 'does not ask'
  const which = isMeasured ? 'were' : 'were not'
  test(`[sim] open() ${asks} for the disk of a device where disks ${which} measured`, async (t) => {
    const devices = isMeasured ? [{ device: '8:0', read: DISK, write: DISK }] : []
    const ioProperties: IoProperties = { version: 1, devices }
    await simulate(
      1,
      async () => {
        const asking = t.mock.method(executor().kernel, 'readTextFile')

        await using file = await BufferedFile.create('/file')

        await file.write(new Uint8Array(1), 0)
        const paths = asking.mock.calls.map(({ arguments: [path] }) => path)
        assert.equal(
          paths.some((path) => path.endsWith('/partition')),
          isMeasured,
        )
      },
      { executor: { ioProperties } },
    )
  })
}

test('[sim] small reads of a latency-sensitive queue are urgent, of however many buffers', async () => {
  await simulate(1, async () => {
    await using file = await DirectFile.create('/file')
    const counts = { countHeld: () => {}, countLimited: () => {} }
    const owner = { shares: 1000, isLatencySensitive: true, ...counts }
    const isUrgent = (isRead: boolean, partBytes: number): boolean => {
      using buffer = file.allocateBuffer(partBytes)
      const plan = { isRead, parts: [buffer, buffer], offsetBytes: 0 }
      const flow = new Flow<VectorTransfer>(owner, null)
      flow.push(new VectorTransfer(file.descriptor, plan), 0)
      return flow.isUrgent
    }

    const found = [isUrgent(true, 32_768), isUrgent(true, 65_536), isUrgent(false, 4096)]

    assert.deepEqual(found, [true, false, false])
  })
})

/** What a file of properties must not be, and what is said of it. */
const WRONG: readonly (readonly [string, RegExp])[] = [
  ['{', /must be JSON/],
  ['[]', /must have an object as the whole/],
  ['{"version":2}', /must have version 1/],
  ['{"version":1}', /must have a list of devices/],
  ['{"version":1,"devices":[{"device":"sda"}]}', /must name devices\[0\].device as 'major:minor'/],
  [
    '{"version":1,"devices":[{"device":"8:0","read":{"bytesPerSecond":0}}]}',
    /as devices\[0\].read.bytesPerSecond/,
  ],
]

for (const [text, message] of WRONG) {
  test(`attachExecutor() refuses properties that are ${text}`, (t) => {
    const path = join(makeFolder(t), 'properties.json')
    writeFileSync(path, text)

    assert.throws(() => checkExecutorOptions({ ioProperties: path }), {
      code: 'ERR_PROPERTIES_INVALID',
      message,
    })
  })
}

test('attachExecutor() refuses properties that are not there', () => {
  assert.throws(() => checkExecutorOptions({ ioProperties: '/nowhere/at/all' }), { code: 'ENOENT' })
})
