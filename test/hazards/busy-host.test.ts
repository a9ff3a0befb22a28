/**
 * Node's loop and busy task queues share the thread: neither holds the other up, nor a latency class.
 *
 * What is counted is iterations of Node's loop and turns, not time, so that a slow machine changes little.
 *
 * Proof that these can fail: where the hook leaves after each turn while libuv has something due, an
 * echo takes dozens of iterations; where it leaves only between slices, a socket of Node's waits for
 * whole ones.
 */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { test } from 'node:test'
import {
  createTaskQueue,
  executor,
  needPreempt,
  spawnInto,
  type Task,
  type TaskQueueStats,
  yieldNow,
} from '../../src/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { limited } from '../limits.ts'
import { runChild, success } from './child.ts'

const LIMIT = limited(120_000)
const ECHOES = 100

function statsOf(name: string): TaskQueueStats {
  return executor()
    .stats()
    .queues.find((queue) => queue.name === name)!
}

function percentile(values: readonly number[], part: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length * part)]!
}

function burn(ns: number): void {
  const endNs = executor().nowNs() + ns
  while (executor().nowNs() < endNs);
}

/** Keeps Node's loop busy: each iteration has something due, and takes a while. */
function keepNodeBusy(): () => void {
  let isOver = false
  const act = (): void => {
    burn(10e6)
    if (!isOver) setImmediate(act)
  }
  setImmediate(act)
  return () => {
    isOver = true
  }
}

async function onlyYield(task: Task<void>): Promise<void> {
  while (!task.isCancelled) await yieldNow()
}

for (const count of [1, 8, 50]) {
  test(
    `an echo of a latency class waits for few beside Node and ${count} queues that yield`,
    LIMIT,
    async () => {
      const busy = Array.from({ length: count }, (_, i) => createTaskQueue(`busy ${i}`))
      const tasks = busy.flatMap((queue) =>
        Array.from({ length: 5 }, () => spawnInto(queue, onlyYield)),
      )
      const serving = createTaskQueue('serving', { latency: { maxMs: 2 } })
      const stop = keepNodeBusy()
      const nodeFrom = statsOf('node').turnCount
      const visits: number[] = []

      await spawnInto(serving, async () => {
        const listener = await TcpListener.bind({ host: '127.0.0.1', port: 0 })
        const client = await TcpStream.connect({ host: '127.0.0.1', port: listener.address.port })
        const server = await listener.accept()
        for (let i = 0; i < ECHOES; i++) {
          const before = statsOf('node')
          const startNs = executor().nowNs()
          await client.write(Uint8Array.of(1))
          await server.read()
          await server.write(Uint8Array.of(2))
          await client.read()
          const after = statsOf('node')
          // Node's loop has a class of 1 ms: of so much work on a slow machine it may be due each time.
          const nodeNs = after.runtimeNs - before.runtimeNs
          const dueCount = Math.floor((executor().nowNs() - startNs - nodeNs) / 1e6)
          visits.push(after.turnCount - before.turnCount - dueCount)
        }
        await Promise.all([client.close(), server.close(), listener.close()])
      })
      // Nobody is starved for it: each queue gets its turns, and Node its iterations.
      while (busy.some((queue) => queue.stats().turnCount === 0)) await yieldNow()
      const nodeCount = statsOf('node').turnCount - nodeFrom
      stop()
      await Promise.all(tasks.map((task) => task.cancel()))
      for (const queue of busy) queue.remove()
      serving.remove()

      // Where every second turn is an iteration, half of them meet three.
      assert.ok(percentile(visits, 0.9) <= 4, `p90 of ${percentile(visits, 0.9)} iterations`)
      assert.ok(percentile(visits, 0.5) <= 1, `p50 of ${percentile(visits, 0.5)} iterations`)
      assert.ok(nodeCount >= 3, `${nodeCount} iterations of Node's loop`)
    },
  )
}

const workloads: Record<string, (task: Task<void>) => Promise<void>> = {
  'a queue that asks needPreempt()': async (task) => {
    while (!task.isCancelled) if (needPreempt()) await yieldNow()
  },
  'a queue that yields each millisecond': async (task) => {
    while (!task.isCancelled) {
      burn(1e6)
      await yieldNow()
    }
  },
}

for (const [what, work] of Object.entries(workloads)) {
  test(`a socket of Node's waits for no whole slice beside ${what}`, LIMIT, async () => {
    const server = createServer((socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    await once(socket, 'connect')
    const busy = createTaskQueue('busy', { shares: 50 })
    const task = spawnInto(busy, work)
    const waitsNs: number[] = []

    // On a fast machine a hundred may be over before the queue's first turn.
    for (let i = 0; i < 100 || busy.stats().runtimeNs === 0; i++) {
      const before = busy.stats().runtimeNs
      socket.write('x')
      await once(socket, 'data')
      waitsNs.push(busy.stats().runtimeNs - before)
    }
    const { runtimeNs } = busy.stats()
    await task.cancel()
    busy.remove()
    socket.destroy()
    server.close()
    await once(server, 'close')

    // There and back are two iterations; with slices of 10 ms each would wait for that long.
    assert.ok(percentile(waitsNs, 0.5) < 6e6, `${percentile(waitsNs, 0.5) / 1e6} ms at p50`)
    assert.ok(runtimeNs > 0, 'the queue has run, too')
  })
}

test('a slice that is over before the first turn does not park the thread', async () => {
  const result = await runChild(`
    percore.attachExecutor({ preemptTimerMs: 1e-6 })
    const queues = ['one', 'two'].map((name) => percore.createTaskQueue(name))
    queues.push(percore.createTaskQueue('urgent', { latency: { maxMs: 1e-6 } }))
    const body = async () => {
      for (let i = 0; i < 200; i++) if (percore.needPreempt()) await percore.yieldNow()
    }
    const tasks = queues.flatMap((queue) => [1, 2, 3].map(() => percore.spawnInto(queue, body)))
    Promise.all(tasks).then(() => console.log('ended'))
  `)

  assert.deepEqual(result, success('ended\n'))
})

for (const [what, start] of Object.entries({
  "a timer of Node's": `setTimeout(end, 5)`,
  "a socket of Node's": `socket.write('x')`,
})) {
  test(`needPreempt() sees ${what} in a slice that is over too late`, LIMIT, async () => {
    const result = await runChild(`
      import net from 'node:net'
      percore.attachExecutor({ preemptTimerMs: 60_000 })
      let isOver = false
      const end = () => { isOver = true }
      const server = net.createServer((peer) => peer.once('data', end)).listen(0, '127.0.0.1')
      await new Promise((resolve) => server.once('listening', resolve))
      const socket = net.connect(server.address().port, '127.0.0.1')
      await new Promise((resolve) => socket.once('connect', resolve))
      await percore.spawn(async () => {
        // So that Node's loop has nothing to do as the turn begins.
        await time.sleep(20)
        ${start}
        while (!isOver) if (percore.needPreempt()) await percore.yieldNow()
      })
      console.log('seen')
      process.exit()
    `)

    assert.deepEqual(result, success('seen\n'))
  })
}

test("stats() show Node's loop last, with its time and its iterations", async () => {
  const before = executor().stats().queues.at(-1)!
  burnInNode()
  await new Promise((resolve) => setImmediate(resolve))
  await new Promise((resolve) => setImmediate(resolve))

  const after = executor().stats().queues.at(-1)!

  assert.equal(after.name, 'node')
  assert.ok(after.turnCount > before.turnCount)
  assert.ok(after.runtimeNs - before.runtimeNs >= 5e6)
})

function burnInNode(): void {
  setImmediate(() => burn(5e6))
}
