import assert from 'node:assert/strict'
import { test } from 'node:test'
import { currentOrNull } from '../../src/executor/index.ts'
import {
  attachExecutor,
  createTaskQueue,
  type ExecutorOptions,
  executor,
  spawnInto,
  type Task,
  yieldNow,
} from '../../src/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { SimKernel } from '../../src/sim/index.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(120_000)
const MS = 1e6
const SEEDS = 3

/** A loop that has always something to do, and takes long for it. */
const BUSY_HOST = { readyProbability: 1, visitNs: [1 * MS, 20 * MS] as const }

async function inSimulation(
  seed: number,
  host: ExecutorOptions['host'],
  main: () => Promise<void>,
): Promise<string> {
  let stuck = ''
  const kernel = new SimKernel(
    { seed },
    {
      host: BUSY_HOST,
      onStuck: (reason) => {
        stuck = reason
        void attached.close()
      },
    },
  )
  const attached = attachExecutor({ kernel, ioMemoryBytes: 65_536, ...(host && { host }) })
  try {
    const ended = spawnInto(attached.defaultQueue, main).catch(() => {})
    while (stuck === '' && !(await Promise.race([ended.then(() => true), nextImmediate()])));
  } finally {
    await attached.close()
  }
  return stuck
}

async function nextImmediate(): Promise<false> {
  await new Promise((resolve) => setImmediate(resolve))
  return false
}

function node(): { turnCount: number; runtimeNs: number } {
  return executor().stats().queues.at(-1)!
}

async function onlyYield(task: Task<void>): Promise<void> {
  while (!task.isCancelled) await yieldNow()
}

test(
  'an echo of a latency class beside a busy host waits for one iteration, rarely for two',
  LIMIT,
  async () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const visits: number[] = []
      const stuck = await inSimulation(seed, undefined, async () => {
        const busy = Array.from({ length: 20 }, (_, i) => createTaskQueue(`busy ${i}`))
        const tasks = busy.map((queue) => spawnInto(queue, onlyYield))
        const serving = createTaskQueue('serving', { latency: { maxMs: 2 } })
        await spawnInto(serving, async () => {
          const listener = await TcpListener.bind({ host: '127.0.0.1', port: 0 })
          const client = await TcpStream.connect({ host: '127.0.0.1', port: listener.address.port })
          const server = await listener.accept()
          for (let i = 0; i < 100; i++) {
            const before = node().turnCount
            await client.write(Uint8Array.of(1))
            await server.read()
            await server.write(Uint8Array.of(2))
            await client.read()
            visits.push(node().turnCount - before)
          }
          await Promise.all([client.close(), server.close(), listener.close()])
        })
        await Promise.all(tasks.map((task) => task.cancel()))
      })

      visits.sort((a, b) => a - b)
      assert.equal(stuck, '')
      assert.ok(visits[50]! <= 1 && visits[95]! <= 2, `seed ${seed}: ${visits}`)
    }
  },
)

test('a busy host and busy queues each get their part of the thread', LIMIT, async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    let part = 0
    const stuck = await inSimulation(seed, undefined, async () => {
      const busy = Array.from({ length: 5 }, (_, i) => createTaskQueue(`busy ${i}`))
      const tasks = busy.map((queue) => spawnInto(queue, onlyYield))
      const queuesNs = (): number => executor().stats().runtimeNs
      while (queuesNs() < 100 * MS) await yieldNow()
      part = node().runtimeNs / (node().runtimeNs + queuesNs())
      await Promise.all(tasks.map((task) => task.cancel()))
    })

    assert.equal(stuck, '')
    // Three quarters by its class; iterations of up to 2 s are forgiven in part.
    assert.ok(part > 0.7 && part < 0.99, `seed ${seed}: ${part}`)
  }
})

test('a host without a class and of few shares is not starved', LIMIT, async () => {
  let visitCount = 0
  const stuck = await inSimulation(1, { shares: 200, latency: null }, async () => {
    const task = spawnInto(createTaskQueue('busy'), onlyYield)
    while (visitCount < 3) {
      visitCount = node().turnCount
      await yieldNow()
    }
    await task.cancel()
  })

  assert.equal(stuck, '')
  assert.ok(visitCount >= 3)
})

test('attachExecutor() refuses shares and classes of the host that are none', async () => {
  await currentOrNull()?.close()
  const kernel = new SimKernel()
  const attach = (host: unknown) => () => attachExecutor({ kernel, host: host as object })

  assert.throws(attach({ shares: 0 }), RangeError)
  assert.throws(attach({ shares: 10_001 }), RangeError)
  assert.throws(attach({ latency: 1 }), TypeError)
  assert.throws(attach({ latency: { maxMs: -1 } }), RangeError)
  assert.throws(attach({ share: 1 }), TypeError)
  assert.throws(attach(1), TypeError)
})
