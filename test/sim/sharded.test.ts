/** Programs of several shards under simulate(), and the pools that they start. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { currentOrNull } from '../../src/executor/index.ts'
import { executor } from '../../src/index.ts'
import { currentKernel } from '../../src/kernel/index.ts'
import { TcpListener } from '../../src/net/index.ts'
import { ExecutorPool, type ExecutorPoolOptions } from '../../src/runtime/index.ts'
import { simTopology, simulate } from '../../src/testing/index.ts'
import { nowMs, sleep } from '../../src/time/index.ts'
import { CpuSet, PoolPlacement } from '../../src/topology/index.ts'
import { seedCount } from '../limits.ts'
import { expectedSums, type PipeMutant, passNumbers } from './number-pipe.ts'

const MODULE = new URL('./shard-programs.js', import.meta.url)
const FAULTS = { lateMessage: 0.2, delay: 0.05, reorder: 0.05, threadPause: 0.02 }
const PROTOCOL_SEEDS = seedCount(200)

function start(
  argument: unknown,
  options: Partial<ExecutorPoolOptions> = {},
): Promise<ExecutorPool> {
  return ExecutorPool.start({ module: MODULE, shards: 3, argument, onExit: () => {}, ...options })
}

test('simulate() runs its function on each shard, and resolves to what they return', async () => {
  const executors = new Set<unknown>()

  const results = await simulate(
    1,
    async (simulation) => {
      const { shard, seed } = simulation
      executors.add(simulation.executor)
      assert.equal(currentOrNull(), simulation.executor)
      assert.equal(currentKernel(), simulation.kernel)
      await sleep(shard.id)
      return [shard.id, shard.count, shard.name, seed]
    },
    { shards: 4 },
  )

  assert.deepEqual(
    results,
    [0, 1, 2, 3].map((id) => [id, 4, `shard-${id}`, 1]),
  )
  assert.equal(executors.size, 4)
})

test('simulate() takes shards among the other options as well, more than a machine has cores', async () => {
  const cpus = await simulate({ seed: 1, shards: 6 }, ({ shard }) => shard.cpus.ids)

  assert.equal(new Set(cpus.flat()).size, 6)
})

test('simulate() fails as its first shard does, though others wait for it', async () => {
  const cause = new Error('no')
  const failed = simulate(
    3,
    async ({ shard }) => {
      if (shard.id === 1) throw cause
      await sleep(1e9)
    },
    { shards: 3 },
  )

  await assert.rejects(failed, (error: Error & { code?: string }) => {
    assert.equal(error.code, 'ERR_SIMULATION_FAILED')
    assert.equal(error.cause, cause)
    assert.match(error.message, /seed 3 that .*sharded\.test.*: shard-1 fails: no\n/)
    return true
  })
})

test('simulate() refuses numbers of shards that are none', async () => {
  const main = (): void => {}

  await assert.rejects(simulate(1, main, { shards: 0 }), RangeError)
  await assert.rejects(simulate({ seed: 1, shards: 1.5 }, main), RangeError)
  await assert.rejects(simulate(1, main, { shards: '2' } as never), TypeError)
})

test('the wake-up protocol loses no number between four shards, whatever the seed', async () => {
  for (let seed = 0; seed < PROTOCOL_SEEDS; seed++) {
    const main = passNumbers(4, null)
    const faults = seed % 2 === 0 ? {} : FAULTS

    const sums = await simulate(seed, ({ shard }) => main(shard), { shards: 4, faults })

    assert.deepEqual(sums, expectedSums(4))
  }
})

for (const mutant of ['waits without another look', 'rings too early'] satisfies PipeMutant[]) {
  test(`a pipe that ${mutant} loses a wake-up, which some seed finds and replays`, async () => {
    const messageOf = async (seed: number): Promise<string | null> => {
      const main = passNumbers(4, mutant)
      return await simulate(seed, ({ shard }) => main(shard), { shards: 4 }).then(
        () => null,
        (error) => {
          assert.equal(error.code, 'ERR_SIMULATION_STUCK')
          return error.message
        },
      )
    }
    let seed = 0
    let found = await messageOf(seed)
    while (found === null && seed < 500) found = await messageOf(++seed)

    assert.match(found ?? 'none was found', /shard-\d: task 'shard-\d' .* waits/)
    assert.equal(await messageOf(seed), found)
  })
}

test('PERCORE_SEED replays a wake-up that four shards lose', () => {
  const program = fileURLToPath(new URL('./planted-wake.js', import.meta.url))
  const run = (seed: string) =>
    spawnSync(process.execPath, [program], {
      encoding: 'utf8',
      env: { ...process.env, PERCORE_SEED: seed },
    })
  const found = run('')
  assert.equal(found.status, 1, found.stderr)
  const seed = /PERCORE_SEED=(\d+)/.exec(found.stderr)?.[1]
  assert.ok(seed !== undefined, found.stderr)

  const again = run(seed)

  assert.equal(again.status, 1)
  assert.equal(again.stderr, found.stderr)
})

test('a pool of a simulated program runs in its simulation, and gives its results', async () => {
  const run = (seed: number): Promise<unknown> =>
    simulate(seed, async () => {
      await using pool = await start({ do: 'describe', at: 7 })
      const results = await pool.results()
      assert.deepEqual(
        pool.shards.map(({ state }) => state),
        ['ended', 'ended', 'ended'],
      )
      return [results, nowMs()]
    })

  const first = await run(9)

  assert.deepEqual((first as [unknown[]])[0], [
    { id: 0, count: 3, name: 'pool-0', at: 7, peers: ['pool-0', 'pool-1', 'pool-2'] },
    { id: 1, count: 3, name: 'pool-1', at: 7, peers: ['pool-0', 'pool-1', 'pool-2'] },
    { id: 2, count: 3, name: 'pool-2', at: 7, peers: ['pool-0', 'pool-1', 'pool-2'] },
  ])
  assert.deepEqual(await run(9), first)
})

test('a simulated pool puts each shard on its processor and node', async () => {
  const topology = simTopology({ nodeCount: 2, coreCount: 2 })
  await simulate({ seed: 1, topology }, async () => {
    const before = CpuSet.allowed().ids
    await using pool = await start(
      { do: 'place' },
      { shards: 4, placement: PoolPlacement.maxSpread(4) },
    )

    for (const shard of pool.shards) {
      assert.deepEqual(shard.boundCpus, [...shard.cpus.ids])
      assert.deepEqual(shard.memoryNodes, [shard.node])
    }
    assert.deepEqual(new Set(pool.shards.map(({ node }) => node)), new Set([0, 1]))
    assert.deepEqual(CpuSet.allowed().ids, before)
    await pool.results()
  })
})

test('stop() of a simulated pool ends what serves, waits or loops without end', async () => {
  for (const what of ['serve', 'waitForEver', 'loop', 'waitElsewhere']) {
    await simulate(2, async ({ kernel }) => {
      const pool = await start({ do: what })
      await sleep(10)
      const exits = await pool.stop({ deadlineMs: 20 })

      const reason = what === 'loop' || what === 'waitElsewhere' ? /stopped|terminated/ : /stopped/
      for (const exit of exits) assert.match(exit.reason, reason, what)
      assert.deepEqual(kernel.leftovers().descriptors, [])
    })
  }
})

test('a shard of a simulated pool that throws has another take its place, and others go on', async () => {
  for (let seed = 0; seed < seedCount(8); seed++) {
    await simulate(seed, async () => {
      const reasons: string[] = []
      await using pool = await start(
        { do: 'throwFirst', shard: 1 },
        {
          restart: 'onFailure',
          onExit: ({ shard, exit }) => reasons.push(`${shard.id} ${exit.reason}`),
        },
      )
      while (pool.shards[1]!.generation < 2 || pool.shards[1]!.state !== 'running') await sleep(10)

      assert.deepEqual(reasons, ['1 threw'])
      assert.deepEqual(
        pool.shards.map(({ generation }) => generation),
        [1, 2, 1],
      )
    })
  }
})

test('terminate() of a shard leaves its peers running, whenever it comes', async () => {
  for (let seed = 0; seed < seedCount(30); seed++) {
    await simulate(seed, async ({ kernel }) => {
      await using pool = await start({ do: 'serve' })
      await sleep(kernel.prng.int(0, 20))
      const exit = await pool.shards[1]!.terminate()

      assert.equal(exit.reason, 'terminated')
      assert.deepEqual(
        [0, 2].map((id) => pool.shards[id]!.state),
        ['running', 'running'],
      )
      // The port that it listened on is free again.
      await using _listener = await TcpListener.bind({ host: '127.0.0.1', port: 7001 })
    })
  }
})

test('start() of a simulated pool fails where one shard does not load, and none is left', async () => {
  await simulate(1, async ({ executor: main }) => {
    const missing = new URL('./missing.js', import.meta.url)
    await assert.rejects(start(null, { module: missing }), { code: 'ERR_POOL_START_FAILED' })
    assert.equal(executor(), main)
  })
})

test('a simulation fails whose program leaves a pool running', async () => {
  const left = simulate(1, async () => {
    await start({ do: 'serve' })
  })

  await assert.rejects(left, { message: /must stop what it starts: pool-0, pool-1, pool-2/ })
})
