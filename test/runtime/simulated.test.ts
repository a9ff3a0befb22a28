/** Pools and drivers, unchanged, on the threads of a simulated machine. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BufferTicket, discardBuffer } from '../../src/index.ts'
import { TcpStream } from '../../src/net/index.ts'
import { ExecutorPool, Runtime, type Shard, splitSiblings } from '../../src/runtime/index.ts'
import { simTopology } from '../../src/sim/index.ts'
import { type SimulationOptions, simulate } from '../../src/testing/index.ts'
import { nameFunction } from '../../src/testing/simulated-starter.ts'
import { nowMs, sleep } from '../../src/time/index.ts'
import { seedCount } from '../limits.ts'

const SEEDS = seedCount(20)
const topology = simTopology({ nodeCount: 2, coreCount: 2, threadCount: 2 })

/** For each seed, with a module whose default export is that function. */
async function eachSeed(
  main: (shard: Shard<never>) => unknown,
  run: (module: URL) => Promise<void>,
): Promise<void> {
  for (let seed = 0; seed < SEEDS; seed++) {
    const { url, forget } = nameFunction(main as (shard: Shard) => unknown)
    const options: SimulationOptions = { seed, topology }
    try {
      await simulate(options, () => run(new URL(url)))
    } finally {
      forget()
    }
  }
}

test('a pool has a shard on each core of a simulated machine, bound, and its memory beside it', async () => {
  await eachSeed(
    async (shard) => {
      await sleep(1000 * (4 - shard.id))
      return [shard.id, shard.node]
    },
    async (module) => {
      const pool = await ExecutorPool.start({ module })

      assert.deepEqual(await pool.results(), [
        [0, 0],
        [1, 1],
        [2, 0],
        [3, 1],
      ])
      for (const { cpus, boundCpus, node, memoryNodes } of pool.shards) {
        assert.deepEqual(boundCpus, cpus.ids)
        assert.deepEqual(memoryNodes, [node])
      }
    },
  )
})

test('a shard that fails is restarted while the others serve, and all stop in order', async () => {
  await eachSeed(
    async (shard) => {
      const { signal } = shard
      if (shard.id === 1 && shard.generation < 3) {
        await sleep(5)
        throw new Error(`generation ${shard.generation}`)
      }
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      return shard.peers.map(({ generation }) => generation)
    },
    async (module) => {
      const told: unknown[] = []
      const pool = await ExecutorPool.start({
        module,
        restart: { backoffMs: 10_000, backoffMsMax: 20_000 },
        onExit: ({ exit, restartMs }) => told.push([exit.generation, exit.reason, restartMs]),
      })
      const startMs = nowMs()
      while (pool.shards[1]!.generation < 3 || pool.shards[1]!.state !== 'running') await sleep(500)
      assert.ok(nowMs() - startMs >= 30_000)
      await sleep(1000)

      const exits = await pool.stop()

      assert.deepEqual(told.slice(0, 2), [
        [1, 'threw', 10_000],
        [2, 'threw', 20_000],
      ])
      assert.deepEqual(
        exits.map((exit) => 'value' in exit && exit.value),
        Array(4).fill([1, 3, 1, 1]),
      )
    },
  )
})

test('a shard that will not end is terminated at the deadline', async () => {
  await eachSeed(
    async (shard) => {
      shard.signal.addEventListener('abort', () => {})
      await new Promise(() => {})
    },
    async (module) => {
      const pool = await ExecutorPool.start({ module, shards: 2 })
      await sleep(10)
      const startMs = nowMs()

      const exits = await pool.stop({ deadlineMs: 1000 })

      assert.deepEqual(
        exits.map(({ reason }) => reason),
        ['terminated', 'terminated'],
      )
      assert.ok(nowMs() - startMs >= 1000)
    },
  )
})

test('all shards start or none does', async () => {
  await eachSeed(
    () => {},
    async () => {
      const module = new URL('./is-not-there.js', import.meta.url)

      await assert.rejects(ExecutorPool.start({ module }), { code: 'ERR_POOL_START_FAILED' })
    },
  )
})

test('a runtime has contexts for the nodes, and drivers on sibling threads that run work', async () => {
  const module = new URL('./work.js', import.meta.url)
  for (let seed = 0; seed < SEEDS; seed++) {
    await simulate({ seed, topology }, async () => {
      const runtime = await Runtime.start({ layout: splitSiblings })

      assert.deepEqual(
        runtime.contexts.map(({ node, memoryNodes, drivers }) => [
          node,
          memoryNodes,
          drivers.length,
        ]),
        [
          [0, [0], 4],
          [1, [1], 4],
        ],
      )
      for (const context of runtime.contexts) {
        const work = { module, name: 'whereAmI' }
        const at = await Promise.all([
          context.run<{ name: string }>(work, { needs: 'task' }),
          context.run<{ name: string }>(work, { needs: 'task' }),
          context.run<{ name: string }>(work, { needs: 'io' }),
        ])
        const names = ['task', 'task', 'io'].map(
          (kind, index) => `${kind}-${context.node}.${index % 2}`,
        )
        assert.deepEqual(
          at.map(({ name }) => name),
          names,
        )
      }
      await runtime.stop()
    })
  }
})

test('a port is served while its drivers end and come again, in either way of accepting', async () => {
  const connections = new URL('./connections.js', import.meta.url)
  const work = new URL('./work.js', import.meta.url)
  for (let seed = 0; seed < SEEDS; seed++) {
    const accept = seed % 2 === 0 ? 'shared' : 'reusePort'
    await simulate({ seed, topology }, async () => {
      await using runtime = await Runtime.start({
        layout: splitSiblings,
        restart: { limit: 100, backoffMs: 1 },
        onExit: () => {},
      })
      const { address } = await runtime.listen({ port: 0, module: connections, accept })
      const waiting = runtime.driver('io-0.0').run({ module: work, name: 'waitForEver' })
      const lost = assert.rejects(waiting, { code: 'ERR_SHARD_FAILED' })
      const ended = runtime.driver('io-0.0').shard.terminate()
      const served = new Set<string>()

      while (served.size < 4) {
        const name = await whoServes(address.port)
        if (name !== null) served.add(name)
        else await sleep(1)
      }

      await Promise.all([lost, ended])
      while (runtime.driver('io-0.0').shard.generation < 2) await sleep(1)
      while ((await whoServes(address.port)) !== 'io-0.0') await sleep(1)
      await runtime.stop()
      await assert.rejects(TcpStream.connect({ port: address.port }), { code: 'ECONNREFUSED' })
    })
  }
})

/** Which driver serves a connection of its own; null where it was lost with one. */
async function whoServes(port: number): Promise<string | null> {
  try {
    await using stream = await TcpStream.connect({ port })
    const chunk = await stream.read()
    return chunk === null ? null : new TextDecoder().decode(chunk).trim()
  } catch (error) {
    assert.ok(['ECONNREFUSED', 'ECONNRESET'].includes((error as { code: string }).code))
    return null
  }
}

test('buffers go to drivers for tasks and come back, while these end at any moment', async () => {
  const buffers = new URL('./buffers.js', import.meta.url)
  for (let seed = 0; seed < SEEDS; seed++) {
    await simulate({ seed, topology }, async () => {
      await using runtime = await Runtime.start({
        layout: splitSiblings,
        executor: { ioMemoryBytes: 64 * 1024 },
        restart: { limit: 100, backoffMs: 1 },
        onExit: () => {},
      })
      const io = runtime.driver('io-0.0')
      const task = runtime.driver('task-0.0')
      const leased = async (): Promise<number> => {
        const memory = await io.run<{ leasedCount: number }>({ module: buffers, name: 'memory' })
        return memory.leasedCount
      }
      for (let count = 0; count < 6; count++) {
        const argument = { value: 1, lengthBytes: 4096 }
        const ticket = await io.run({ module: buffers, name: 'fill', argument })
        const name = count % 2 === 0 ? 'sum' : 'keep'
        const using = task.run({ module: buffers, name, argument: ticket }).catch(() => null)
        if (count % 3 === 2) await task.shard.terminate()
        // A ticket that nobody got to is still good.
        const result = await using
        if (result === null) discardBuffer(ticket as BufferTicket)
        while (!task.isRunning) await sleep(1)
      }

      await task.shard.terminate()

      while ((await leased()) > 0) await sleep(1)
    })
  }
})
