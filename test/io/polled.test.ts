/**
 * Files whose device is polled. Simulated, and real where the folder of temporary files is on a device with queues for that: give one by
 * TMPDIR, or see scripts/polling.mjs.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setImmediate as nextRound } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { createTaskQueue, executor, spawnInto } from '../../src/executor/index.ts'
import { findObstacle } from '../../src/io/devices/polling.ts'
import { DirectFile } from '../../src/io/index.ts'
import { EOPNOTSUPP } from '../../src/kernel/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { limited, spreadSeedCount } from '../limits.ts'
import { reactorOf } from '../reactor-of.ts'
import {
  assertNoLeak,
  holdings,
  makeFolder,
  needsDirect,
  parentFolder,
  pattern,
} from './support.ts'

const KIB = 1024

async function findReason(): Promise<string | false> {
  const path = join(parentFolder(), `percore-polled-${process.pid}`)
  try {
    await using file = await DirectFile.create(path, { poll: 'always' })
    return file.isPolled ? false : `no polled device below ${path}`
  } catch (error) {
    return (error as Error).message
  } finally {
    rmSync(path, { force: true })
  }
}

const POLLED = { skip: await findReason(), ...limited(60_000) }
const NOT_POLLED = {
  skip: POLLED.skip === false && `the device below ${parentFolder()} is polled`,
  ...limited(60_000),
}

test(
  'isPolled is false, and nothing is lost by it, where a device has no queues to poll',
  needsDirect(),
  async (t) => {
    const path = join(makeFolder(t), 'file')
    writeFileSync(path, pattern(8 * KIB, 3))
    await using file = await DirectFile.open(path, { poll: 'never' })
    const before = executor().stats().files.polledCount

    using found = await file.read(0, 8 * KIB)

    assert.deepEqual(Buffer.from(found.bytes), Buffer.from(pattern(8 * KIB, 3)))
    assert.equal(file.isPolled, false)
    assert.equal(executor().stats().files.polledCount, before)
  },
)

test('open() refuses what is no mode of polling', async () => {
  const poll = 'sometimes' as 'auto'
  await assert.rejects(DirectFile.open('/dev/null', { poll }), TypeError)
})

test(
  "open() with poll: 'always' says why there is none, and leaves nothing",
  NOT_POLLED,
  async (t) => {
    const folder = makeFolder(t)
    const path = join(folder, 'file')
    await using first = await DirectFile.create(join(folder, 'first'), { fallback: 'buffered' })
    assert.equal(first.isPolled, false)
    const before = holdings()

    const opening = DirectFile.open(path, {
      write: true,
      createNew: true,
      poll: 'always',
      fallback: 'buffered',
    })

    await assert.rejects(opening, { code: 'ERR_UNSUPPORTED' })
    assert.deepEqual(readdirSync(folder), ['first'])
    assertNoLeak(before)
  },
)

const SYSTEM: ReadonlyMap<string, string> = new Map([
  ['/sys/dev/block/259:3/queue/io_poll', '1\n'],
  ['/sys/dev/block/259:4/../queue/io_poll', '1\n'],
  ['/sys/dev/block/8:0/queue/io_poll', '0\n'],
  ['/sys/dev/block/8:1/../queue/io_poll', '0\n'],
  ['/sys/dev/block/253:0/queue/io_poll', '1\n'],
])
const DEVICES: readonly (readonly [what: string, number, number, boolean])[] = [
  ['a disk that is not the first of its driver', 259, 3, true],
  ['a partition of a disk that is polled', 259, 4, true],
  ['a disk without such queues', 8, 0, false],
  ['a partition of that', 8, 1, false],
  ['a mapped device', 253, 0, true],
  ['an overlay, or whatever has no device', 0, 28, false],
]
for (const [what, major, minor, isPolled] of DEVICES) {
  test(`findObstacle() asks the right device for ${what}`, () => {
    const kernel = { readTextFile: (path: string) => SYSTEM.get(path) ?? -2 }

    const obstacle = findObstacle(kernel, { major, minor })

    assert.equal(obstacle === null, isPolled, String(obstacle))
  })
}

async function writeAndRead(path: string, blockCount: number): Promise<void> {
  await using file = await DirectFile.create(path)
  await file.writeBytes(pattern(blockCount * 4 * KIB, 1), 0)
  const reads = Array.from({ length: blockCount }, async (_, index) => {
    using found = await file.read(index * 4 * KIB, 4 * KIB)
    const wanted = pattern(blockCount * 4 * KIB, 1).subarray(index * 4 * KIB, (index + 1) * 4 * KIB)
    assert.equal(Buffer.compare(found.bytes, wanted), 0)
  })
  await Promise.all(reads)
  await file.datasync()
}

test('simulated: a polled file has the right data, whatever the kernel does late', async () => {
  for (let seed = 0; seed < spreadSeedCount(30); seed++) {
    const faults = {
      reorder: 0.2,
      delay: 0.05,
      shortRead: 0.1,
      shortWrite: 0.1,
      enterBusy: 0.1,
      cqOverflow: 0.05,
    }
    await simulate({ seed, hasPollQueues: true, faults }, async () => {
      await writeAndRead('/tmp/file', 16)

      const { files } = executor().stats()
      assert.ok(files.polledCount >= 16, String(files.polledCount))
    })
  }
})

test('simulated: a thread does not park while a device is to be polled, and does afterwards', async () => {
  await simulate({ seed: 5, hasPollQueues: true, diskLatencyNs: [1e6, 1e6] }, async () => {
    await using file = await DirectFile.create('/tmp/file')
    using buffer = file.allocateBuffer(4 * KIB)
    await file.write(buffer, 0)
    const before = executor().stats()

    await file.readInto(buffer, 0)

    const after = executor().stats()
    assert.ok(after.spunNs - before.spunNs >= 0.5e6, 'it polls as long as the disk takes')
    assert.equal(after.parkCount, before.parkCount)
    await file.datasync()
    assert.ok(executor().stats().parkCount > after.parkCount)
  })
})

test('simulated: timers and other threads are served while a device is polled', async () => {
  const { sleep } = await import('../../src/time/index.ts')
  await simulate({ seed: 6, hasPollQueues: true, diskLatencyNs: [5e6, 5e6] }, async () => {
    await using file = await DirectFile.create('/tmp/file')
    using buffer = file.allocateBuffer(4 * KIB)
    const order: string[] = []

    await file.write(buffer, 0)
    const reading = file.readInto(buffer, 0).then(() => order.push('read'))
    await sleep(1)
    order.push('slept')
    await reading

    assert.deepEqual(order, ['slept', 'read'])
  })
})

test('simulated: a cancelled transfer ends with its completion, and an unsubmitted one without', async () => {
  for (let seed = 0; seed < 10; seed++) {
    await simulate({ seed, hasPollQueues: true }, async () => {
      await using file = await DirectFile.create('/tmp/file')
      await file.writeBytes(pattern(8 * KIB, 1), 0)
      const controller = new AbortController()
      const reading = file.read(0, 4 * KIB, { signal: controller.signal })
      if (seed % 2 === 0) reactorOf(executor()).pollRing().submit()
      controller.abort(new Error('enough'))

      await assert.rejects(reading, { message: 'enough' })
      assert.equal(file.inFlightCount, 0)
    })
  }
})

test('simulated: a device that refuses polled requests after all is read without', async () => {
  await simulate({ seed: 7, hasPollQueues: true }, async () => {
    await using file = await DirectFile.create('/tmp/file')
    await file.writeBytes(pattern(8 * KIB, 1), 0)
    await using other = await DirectFile.open('/tmp/file', { poll: 'always' })
    assert.equal(file.isPolled, true)
    const { rings } = reactorOf(executor())
    const polled = rings.find('busyPoll')!
    const { reap } = polled
    polled.reap = function () {
      const { words, layout } = this.memory
      // What such a device completes them with.
      for (let head = words[layout.cqHead]!; head !== words[layout.cqTail]; head++) {
        words[layout.cqes + (head & (layout.cqEntryCount - 1)) * 4 + 2] = -EOPNOTSUPP
      }
      return reap.call(this)
    }

    using found = await file.read(0, 8 * KIB)

    assert.equal(Buffer.compare(found.bytes, pattern(8 * KIB, 1)), 0)
    assert.equal(file.isPolled, false)
    await assert.rejects(other.read(0, 4 * KIB), { code: 'EOPNOTSUPP' })
    await using again = await DirectFile.open('/tmp/file', { poll: 'always' })
    await using later = await DirectFile.open('/tmp/file')
    assert.deepEqual([again.isPolled, later.isPolled], [true, false])
  })
})

test('simulated: a device that can be polled is asked once', async (t) => {
  await simulate({ seed: 7, hasPollQueues: true }, async () => {
    const asking = t.mock.method(executor().kernel, 'readTextFile')
    const askedCount = (): number =>
      asking.mock.calls.filter(({ arguments: [path] }) => path.endsWith('/io_poll')).length
    await using first = await DirectFile.create('/tmp/first')
    const before = askedCount()

    await using second = await DirectFile.create('/tmp/second')

    assert.deepEqual([first.isPolled, second.isPolled], [true, true])
    assert.ok(before > 0)
    assert.equal(askedCount(), before)
  })
})

test('simulated: operations of a queue with a latency class preempt, unless the file is always polled', async () => {
  await simulate({ seed: 8, hasPollQueues: true }, async () => {
    await using file = await DirectFile.create('/tmp/file')
    await file.writeBytes(pattern(4 * KIB, 1), 0)
    await using always = await DirectFile.open('/tmp/file', { poll: 'always' })
    const urgent = createTaskQueue('urgent', { latency: { maxMs: 1 } })
    const count = (): number => executor().stats().files.polledCount
    const before = count()

    await spawnInto(urgent, async () => (await file.read(0, 4 * KIB))[Symbol.dispose]())
    const between = count()
    await spawnInto(urgent, async () => (await always.read(0, 4 * KIB))[Symbol.dispose]())

    assert.equal(between, before)
    assert.equal(count(), before + 1)
  })
})

test('simulated: a ticket says whether its file is polled, and whoever adopts it goes by that', async () => {
  await simulate({ seed: 9, hasPollQueues: true }, async () => {
    for (const poll of ['auto', 'never'] as const) {
      await using file = await DirectFile.create('/tmp/file', { poll })
      const ticket = file.duplicate()

      await using adopted = await DirectFile.adopt(ticket)

      assert.equal(ticket.isPolled, poll === 'auto')
      assert.equal(adopted.isPolled, poll === 'auto')
    }
  })
})

function isolated(t: TestContext): string {
  return join(makeFolder(t), 'file')
}

test('a polled file has the right data', POLLED, async (t) => {
  const path = isolated(t)
  const before = executor().stats().files.polledCount

  await writeAndRead(path, 64)

  assert.equal(Buffer.compare(readFileSync(path), pattern(64 * 4 * KIB, 1)), 0)
  assert.ok(executor().stats().files.polledCount >= before + 64)
})

test('an empty file is polled as well, and nothing is read past an end', POLLED, async (t) => {
  const path = isolated(t)
  await using file = await DirectFile.create(path)
  using empty = await file.read(0, 4 * KIB)
  await file.writeBytes(pattern(100, 2), 0)

  using found = await file.read(0, 4 * KIB)

  assert.equal(empty.bytes.length, 0)
  assert.equal(Buffer.compare(found.bytes, pattern(100, 2)), 0)
  assert.equal(file.isPolled, true)
})

test("Node's own loop goes on while a device is polled", POLLED, async (t) => {
  await using file = await DirectFile.create(isolated(t))
  await file.writeBytes(pattern(64 * KIB, 1), 0)
  let isReading = true
  const reading = (async () => {
    while (isReading) (await file.read(0, 64 * KIB))[Symbol.dispose]()
  })()

  for (let count = 0; count < 20; count++) await nextRound()
  await new Promise((resolve) => setTimeout(resolve, 5))
  isReading = false
  await reading

  assert.equal(file.inFlightCount, 0)
})

test('cancelled reads of a polled device end, and leave nothing', POLLED, async (t) => {
  await using file = await DirectFile.create(isolated(t))
  await file.writeBytes(pattern(256 * KIB, 1), 0)
  const before = holdings()

  for (let count = 0; count < 50; count++) {
    const controller = new AbortController()
    const reading = file.read((count % 64) * 4 * KIB, 4 * KIB, { signal: controller.signal })
    if (count % 2 === 0) reactorOf(executor()).pollRing().submit()
    controller.abort(new Error('enough'))
    await assert.rejects(reading, { message: 'enough' })
  }

  assertNoLeak(before)
})

const MODES = ['reading', 'closing', 'exiting'] as const
for (const mode of MODES) {
  test(
    `a thread that ends with polled requests in flight leaves nothing: ${mode}`,
    POLLED,
    async (t) => {
      const path = isolated(t)
      writeFileSync(path, pattern(4096 * KIB, 1))
      const start = async (): Promise<Worker> => {
        const worker = new Worker(new URL('./polled-worker.js', import.meta.url), {
          workerData: { path, mode },
        })
        await new Promise((resolve, reject) =>
          worker.once('message', resolve).once('error', reject),
        )
        return worker
      }
      const end = async (worker: Worker): Promise<void> => {
        if (mode === 'reading') await worker.terminate()
        else await new Promise((resolve) => worker.once('exit', resolve))
      }
      await end(await start())
      const before = readdirSync('/proc/self/fd').length

      for (let count = 0; count < 3; count++) await end(await start())

      assert.equal(readdirSync('/proc/self/fd').length, before)
    },
  )
}

test('simulated: writes into a file system are not polled for, unless the file is always polled', async () => {
  await simulate({ seed: 10, hasPollQueues: true }, async () => {
    const count = (): number => executor().stats().files.polledCount
    await using file = await DirectFile.create('/tmp/file')
    await using always = await DirectFile.create('/tmp/always', { poll: 'always' })

    await file.writeBytes(pattern(4 * KIB, 1), 0)
    const before = count()
    await always.writeBytes(pattern(4 * KIB, 1), 0)

    assert.equal(before, 0)
    assert.equal(count(), 1)
  })
})
