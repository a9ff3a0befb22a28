/** Pools and drivers, unchanged, on the threads of a simulated machine. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
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
