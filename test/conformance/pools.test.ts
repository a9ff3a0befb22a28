/** Glommio's behaviours of executors on threads of their own: rows 2, 3, 26 to 31 and 38, and its defects there. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { UringKernel } from '../../src/kernel/index.ts'
import { ExecutorPool, type ExecutorPoolOptions } from '../../src/runtime/index.ts'
import { CpuSet, Placement, PoolPlacement, Topology } from '../../src/topology/index.ts'
import { limited } from '../limits.ts'
import type { Part, StallReport } from './pool-shard.ts'

const LIMIT = limited(60_000)
const MODULE = new URL('./pool-shard.js', import.meta.url)
/** More than any machine has, and less than what is refused as no number of a processor. */
const NO_SUCH_CPU = 65_535
const kernel = new UringKernel()

type Options = Partial<ExecutorPoolOptions<Part, unknown>>

function start(argument: Part, options: Options): Promise<ExecutorPool> {
  return ExecutorPool.start<Part>({
    module: MODULE,
    argument,
    executor: { ioMemoryBytes: 256 * 1024 },
    onExit: () => {},
    ...options,
  })
}

function newCounter(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4))
}

/** What the process holds that an executor of a thread must give back. */
function holdings(): object {
  return {
    threads: kernel.threadIds().length,
    descriptors: readdirSync('/proc/self/fd').length,
    leftBytes: kernel.leftBytes(),
    executors: kernel.directory.usedCount,
  }
}

test('2: a processor that is not there is an error, whatever its number', LIMIT, async () => {
  const placement = Placement.fixed(NO_SUCH_CPU)

  assert.throws(() => placement.resolve(Topology.read()), { code: 'ERR_CPU_UNAVAILABLE' })
  for (const cpu of [Number.MAX_SAFE_INTEGER, -1, 0.5]) {
    assert.throws(() => Placement.fixed(cpu), RangeError)
  }
})

test('3: a thread can be bound to each processor of the process', LIMIT, async () => {
  for (const cpu of CpuSet.allowed()) {
    const placement = PoolPlacement.custom([CpuSet.allowed().pick(String(cpu.id))])
    const pool = await start({ do: 'count' }, { placement })

    assert.deepEqual(pool.shards[0]!.boundCpus, [cpu.id])
    await pool.stop()
  }
})

test('26: each shard runs once, and what it returns is collected', LIMIT, async () => {
  const counter = newCounter()
  await using pool = await start({ do: 'count', counter }, { placement: PoolPlacement.unbound(4) })

  assert.deepEqual(await pool.results(), [0, 1, 2, 3])
  assert.equal(Atomics.load(counter, 0), 4)
})

test('27: no shards at all are refused', LIMIT, async () => {
  const before = kernel.threadIds().length

  await assert.rejects(start({ do: 'count' }, { shards: 0 }), RangeError)
  for (const place of [PoolPlacement.unbound, PoolPlacement.maxSpread, PoolPlacement.maxPack]) {
    assert.throws(() => place(0), RangeError)
  }
  assert.throws(() => PoolPlacement.custom([]), RangeError)
  assert.equal(kernel.threadIds().length, before)
})

test(
  '28: executors of every placement have numbers of their own, and what is bound its processor',
  LIMIT,
  async () => {
    const allowed = CpuSet.allowed()
    const single = allowed.ids.map((id) => allowed.pick(String(id)))
    const placements = [
      PoolPlacement.unbound(3),
      PoolPlacement.fenced(3, allowed),
      PoolPlacement.maxSpread(allowed.size),
      PoolPlacement.maxPack(allowed.size),
      PoolPlacement.custom(single),
    ]
    for (const placement of placements) {
      const pool = await start({ do: 'name' }, { placement })
      const cpus = pool.shards.map(({ boundCpus }) => boundCpus!)

      assert.equal(new Set(await pool.results()).size, pool.shards.length)
      const isBound = placement.kind !== 'unbound' && placement.kind !== 'fenced'
      if (isBound) assert.deepEqual(cpus.flat().sort(byNumber), [...allowed.ids])
      else assert.deepEqual(cpus, Array(3).fill([...allowed.ids]))
    }
  },
)

test(
  '29: one shard more than processors starts only where they need none of their own',
  LIMIT,
  async () => {
    const allowed = CpuSet.allowed()
    const count = allowed.size + 1
    for (const placement of [PoolPlacement.maxSpread(count), PoolPlacement.maxPack(count)]) {
      await assert.rejects(start({ do: 'count' }, { placement }), { code: 'ERR_TOO_FEW_CPUS' })
    }
    for (const placement of [PoolPlacement.unbound(count), PoolPlacement.fenced(count, allowed)]) {
      const pool = await start({ do: 'count' }, { placement })

      assert.equal((await pool.results()).length, count)
    }
  },
)

test('30: where all shards fail each one is told of', LIMIT, async () => {
  const pool = await start({ do: 'fail' }, { placement: PoolPlacement.unbound(3) })

  const exits = await pool.join()

  const errors = exits.map((exit) => exit.reason === 'threw' && (exit.error as Error).message)
  assert.deepEqual(errors, ['shard 0', 'shard 1', 'shard 2'])
  await assert.rejects(pool.results(), { code: 'ERR_SHARD_FAILED' })
})

test(
  '31: where one shard cannot start no function is called, and who started them is told',
  LIMIT,
  async () => {
    const counter = newCounter()
    const before = kernel.threadIds().length
    const starting = start(
      { do: 'count', counter },
      {
        module: new URL('./pool-shard-refusing.js', import.meta.url),
        placement: PoolPlacement.unbound(4),
      },
    )

    await assert.rejects(starting, (error: Error & { code?: string }) => {
      assert.equal(error.code, 'ERR_POOL_START_FAILED')
      assert.match(error.message, /'pool-2'/)
      assert.equal((error.cause as Error).message, 'planted')
      return true
    })
    assert.equal(Atomics.load(counter, 0), 0)
    assert.equal(kernel.threadIds().length, before)
  },
)

test(
  '38: of many executors that are watched each is told of its own stalls alone',
  LIMIT,
  async () => {
    const placement = PoolPlacement.unbound(4)
    await using pool = await start({ do: 'stall' }, { placement })

    const reports = (await pool.results()) as StallReport[][]

    for (const [id, ofShard] of reports.entries()) {
      const named = ofShard.filter(({ queue }) => queue.startsWith('stalls'))
      // Any turn may take long on a busy machine, but it is never told to another executor.
      assert.deepEqual(new Set(ofShard.map(({ executor }) => executor)), new Set([`pool-${id}`]))
      assert.deepEqual(named, [{ executor: `pool-${id}`, queue: `stalls ${id}` }])
    }
  },
)

test(
  'D24: executors that are created and destroyed leave neither descriptors nor memory',
  LIMIT,
  async () => {
    const placement = PoolPlacement.unbound(4)
    const run = async (part: Part): Promise<void> => {
      const pool = await start(part, { placement })
      while (pool.shards.some(({ state }) => state === 'running')) await new Promise(setImmediate)
      // What a function leaves open keeps its thread.
      await pool.stop()
    }
    // Node starts helpers of its own with the first threads.
    await run({ do: 'holdAll' })
    const before = holdings()

    for (const part of ['count', 'fail', 'holdAll', 'exit'] as const) await run({ do: part })
    const asleep = await start({ do: 'sleep' }, { placement })
    await Promise.all(asleep.shards.map((shard) => shard.terminate()))

    assert.deepEqual(holdings(), before)
  },
)

function byNumber(a: number, b: number): number {
  return a - b
}
