import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UringKernel } from '../../src/kernel/index.ts'
import { ExecutorPool, type ExecutorPoolOptions, type ShardExit } from '../../src/runtime/index.ts'
import { CpuSet, PoolPlacement } from '../../src/topology/index.ts'
import { limited } from '../limits.ts'
import type { Wanted } from './shard-programs.ts'

const LIMIT = limited(60_000)
const MODULE = new URL('./shard-programs.js', import.meta.url)
const kernel = new UringKernel()

type Options = Partial<ExecutorPoolOptions<Wanted, unknown>>

function start(argument: Wanted, options: Options = {}): Promise<ExecutorPool> {
  return ExecutorPool.start<Wanted>({
    module: MODULE,
    argument,
    placement: PoolPlacement.unbound(2),
    executor: { ioMemoryBytes: 256 * 1024 },
    onExit: () => {},
    ...options,
  })
}

/** A module of that text. */
function moduleOf(text: string): URL {
  return new URL(`data:text/javascript,${encodeURIComponent(text)}`)
}

function newCounter(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4))
}

/** Until so many functions have begun. */
async function begun(words: Int32Array, functionCount: number): Promise<void> {
  while (Atomics.load(words, 0) < functionCount) await new Promise(setImmediate)
}

function affinity(): string {
  const mask = new Uint8Array(1024)
  return Buffer.from(mask.subarray(0, kernel.getAffinity(0, mask))).toString('hex')
}

test(
  'start() runs the function on each shard once, and gives its results by shard',
  LIMIT,
  async () => {
    await using pool = await start({ do: 'describe' }, { placement: PoolPlacement.unbound(3) })

    const results = (await pool.results()) as {
      id: number
      count: number
      name: string
      peers: string[]
    }[]

    assert.deepEqual(
      results.map(({ id, count, name }) => [id, count, name]),
      [0, 1, 2].map((id) => [id, 3, `pool-${id}`]),
    )
    assert.deepEqual(results[0]!.peers, ['pool-0', 'pool-1', 'pool-2'])
  },
)

test(
  'start() binds each shard to a processor of its own, and its own thread to none',
  LIMIT,
  async () => {
    const before = affinity()
    const cores = CpuSet.allowed().groupBy('core').length
    await using pool = await start(
      { do: 'describe' },
      { placement: PoolPlacement.maxSpread(cores) },
    )

    const results = (await pool.results()) as { cpus: number[] }[]

    assert.equal(affinity(), before)
    assert.equal(pool.shards.length, cores)
    assert.equal(new Set(pool.shards.map(({ cpus }) => String(cpus))).size, cores)
    for (const { id, cpus, boundCpus, refusals } of pool.shards) {
      assert.deepEqual(results[id]!.cpus, cpus.ids)
      if (refusals.length === 0) assert.deepEqual(boundCpus, cpus.ids)
    }
  },
)

test('start() takes a shard for each core where nothing is said', LIMIT, async () => {
  await using pool = await ExecutorPool.start({
    module: moduleOf('export default (shard) => shard.count'),
  })

  assert.deepEqual(
    new Set(await pool.results()),
    new Set([CpuSet.allowed().groupBy('core').length]),
  )
})

const broken: readonly [why: string, text: string, cause: RegExp][] = [
  ['throws as it is loaded', 'throw new Error("broken")', /broken/],
  [
    'has no default export',
    'export const x = 1',
    /default export .* must be a function: it is missing/,
  ],
  ['has another default export', 'export default 3', /it is of type number/],
  ['exits as it is loaded', 'process.exit(4)', /exited with code 4/],
  [
    'fails elsewhere as it is loaded',
    'setTimeout(() => { throw new Error("elsewhere") }); await new Promise(() => {})',
    /elsewhere/,
  ],
  [
    'starts a pool of itself',
    `
    import { ExecutorPool } from ${JSON.stringify(new URL('../../src/runtime/index.js', import.meta.url).href)}
    await ExecutorPool.start({ module: import.meta.url, shards: 1 })`,
    /must not start one of itself/,
  ],
]

for (const [why, text, cause] of broken) {
  test(`start() rejects, and leaves no thread, when the module ${why}`, LIMIT, async () => {
    await assert.rejects(start({ do: '' }, { module: moduleOf(text) }), (error: Error) => {
      assert.equal((error as { code?: string }).code, 'ERR_POOL_START_FAILED')
      assert.match(error.message, /'pool-[01]'/)
      assert.match((error.cause as Error).message, cause)
      return true
    })
  })
}

test(
  'start() rejects when the module is missing, the executor refused, or the time is up',
  LIMIT,
  async () => {
    const refused: [Options, RegExp][] = [
      [{ module: new URL('./is-not-there.js', import.meta.url) }, /is-not-there/],
      [{ executor: { ringDepth: 3 } }, /ringDepth/],
      [{ module: moduleOf('await new Promise(() => {})'), startTimeoutMs: 300 }, /within 300 ms/],
      [{ execArgv: ['--expose-gc'] }, /expose-gc/],
    ]
    for (const [options, cause] of refused) {
      await assert.rejects(start({ do: 'serve' }, options), (error: Error) => {
        assert.equal((error as { code?: string }).code, 'ERR_POOL_START_FAILED')
        assert.match((error.cause as Error).message, cause)
        return true
      })
    }
  },
)

test('start() refuses options that cannot be right before any thread is made', LIMIT, async () => {
  const before = kernel.threadIds().length
  const tooMany = CpuSet.allowed().size + 1
  const refused: [unknown, object][] = [
    [{ module: './shard.js' }, { name: 'TypeError', message: /absolute path/ }],
    [{ module: 5 }, TypeError],
    [{ argument: () => {} }, { name: 'TypeError', message: /argument must be cloneable/ }],
    [{ shards: 0, placement: undefined }, RangeError],
    [{ shards: 3 }, { name: 'RangeError', message: /the placement has 2/ }],
    [{ shards: tooMany, placement: undefined }, { code: 'ERR_TOO_FEW_CPUS' }],
    [{ placement: { kind: 'unbound' } }, TypeError],
    [{ shard: 2 }, { name: 'TypeError', message: /did you mean 'shards'/ }],
    [{ heap: { young: 3 } }, TypeError],
    [{ heap: { oldMiB: 0 } }, RangeError],
    [{ executor: { kernel: 1 } }, TypeError],
    [{ restart: 'always' }, TypeError],
    [{ restart: { limit: 0 } }, RangeError],
    [{ execArgv: 'x' }, TypeError],
    [{ env: 3 }, TypeError],
    [{ onExit: 3 }, TypeError],
    [{ helperCpus: [0] }, TypeError],
  ]
  for (const [options, expected] of refused) {
    await assert.rejects(start({ do: 'serve' }, options as Options), expected as Error)
  }
  assert.equal(kernel.threadIds().length, before)
})

const ends: readonly [program: string, expected: Partial<ShardExit>][] = [
  ['throw', { reason: 'threw' }],
  ['throwValue', { reason: 'threw', error: { plain: 1 } }],
  ['throwLater', { reason: 'threw' }],
  ['rejectLater', { reason: 'threw' }],
  ['exit', { reason: 'exit', exitCode: 7 }],
  ['exitZero', { reason: 'exit', exitCode: 0 }],
  ['exitCode', { reason: 'exit', exitCode: 5 }],
  ['fillHeap', { reason: 'outOfMemory' }],
  ['returnFunction', { reason: 'threw' }],
]

for (const [program, expected] of ends) {
  test(
    `the others serve on when one shard ends by ${program}, and its handle says why`,
    LIMIT,
    async () => {
      const words = newCounter()
      await using pool = await start({ do: program, shard: 0, words }, { heap: { oldMiB: 16 } })
      const [failing, other] = pool.shards

      const exit = await failing!.exited
      await begun(words, 2)

      assert.deepEqual({ ...exit, ...expected }, exit)
      assert.equal(failing!.state, 'ended')
      assert.equal(other!.state, 'running')
      const [, last] = await pool.stop()
      assert.deepEqual(last, { shard: 1, generation: 1, reason: 'returned', value: 'served 1' })
    },
  )
}

test('a message that a shard cannot read ends it, rather than be waited for', LIMIT, async () => {
  // The kernel of Node makes such an event of what it cannot read.
  const text = `import { parentPort } from 'node:worker_threads'
    export default () => {
      parentPort.emit('messageerror', new Error('unreadable'))
      return new Promise(() => {})
    }`
  const module = new URL(`data:text/javascript,${encodeURIComponent(text)}`)
  const placement = PoolPlacement.unbound(1)
  await using pool = await ExecutorPool.start({ module, placement, onExit: () => {} })

  const [exit] = await pool.join()

  assert.equal(exit?.reason, 'threw')
  assert.equal((exit as { error: Error }).error.message, 'unreadable')
})

test('an error that a shard throws keeps its class, code, cause and stack', LIMIT, async () => {
  await using pool = await start({ do: 'throw' }, { placement: PoolPlacement.unbound(1) })

  await assert.rejects(pool.results(), ({ code, cause }: { code: string; cause: RangeError }) => {
    assert.equal(code, 'ERR_SHARD_FAILED')
    assert.ok(cause instanceof RangeError)
    assert.equal((cause as { code?: string }).code, 'ERR_OF_MINE')
    assert.equal((cause.cause as Error).message, 'why')
    assert.match(cause.stack!, /shard-programs/)
    return true
  })
})

test('results() names the shard that failed first', LIMIT, async () => {
  const placement = PoolPlacement.unbound(2)
  await using pool = await start({ do: 'throwAfterLast' }, { placement })

  await assert.rejects(pool.results(), {
    message: /^Cannot take the result of shard 'pool-1' .* the last$/,
  })
  assert.deepEqual(
    (await pool.join()).map(({ reason }) => reason),
    ['threw', 'threw'],
  )
})

test('terminate() ends an endless loop, and nothing but that shard', LIMIT, async () => {
  const words = newCounter()
  await using pool = await start({ do: 'loop', shard: 0, words })
  await begun(words, 2)

  const exit = await pool.shards[0]!.terminate()

  assert.equal(exit.reason, 'terminated')
  assert.equal(pool.shards[1]!.state, 'running')
  assert.equal((await pool.stop())[1]!.reason, 'returned')
})

const stops: readonly [
  program: string,
  deadlineMs: number | undefined,
  expected: Partial<ShardExit>,
][] = [
  ['graceful', undefined, { reason: 'returned', value: 'in order' }],
  ['throughSignal', undefined, { reason: 'stopped' }],
  ['waitForEver', undefined, { reason: 'stopped' }],
  ['waitElsewhere', undefined, { reason: 'stopped' }],
  ['deaf', 100, { reason: 'terminated' }],
]

for (const [program, deadlineMs, expected] of stops) {
  test(`stop() ends a shard that does ${program}: ${expected.reason}`, LIMIT, async () => {
    const words = newCounter()
    const pool = await start({ do: program, words }, { placement: PoolPlacement.unbound(1) })
    await begun(words, 1)

    const [exit] = await pool.stop(deadlineMs === undefined ? {} : { deadlineMs })

    assert.deepEqual({ ...exit, ...expected }, exit)
  })
}

test('times that are longer than a timer of Node waits are not over at once', LIMIT, async () => {
  const words = newCounter()
  const pool = await start({ do: 'graceful', words }, { startTimeoutMs: 2 ** 43 })
  await begun(words, 2)

  const exits = await pool.stop({ deadlineMs: 2 ** 43 })

  assert.deepEqual(
    exits.map(({ reason }) => reason),
    ['returned', 'returned'],
  )
})

test(
  'stop() ends an endless loop at its deadline, and an earlier deadline holds',
  LIMIT,
  async () => {
    const words = newCounter()
    const pool = await start({ do: 'loop', words }, { placement: PoolPlacement.unbound(1) })
    await begun(words, 1)

    const first = pool.stop({ deadlineMs: 1e9 })
    const [exit] = await pool.stop({ deadlineMs: 10 })

    assert.equal(exit!.reason, 'terminated')
    assert.deepEqual(await first, [exit])
  },
)

test(
  'a shard that fails is restarted: a new generation takes its place, and the others learn it',
  LIMIT,
  async () => {
    const words = newCounter()
    const told: [number | null, number][] = []
    await using pool = await start(
      { do: 'throw', shard: 0, generation: 1, words },
      {
        restart: { backoffMs: 1 },
        onExit: ({ exit, restartMs }) => told.push([restartMs, exit.generation]),
      },
    )
    const [shard] = pool.shards
    // Both, and the new generation.
    await begun(words, 3)
    assert.equal(shard!.generation, 2)

    const exits = await pool.stop()

    assert.deepEqual(told[0], [1, 1])
    assert.deepEqual(exits[0], { shard: 0, generation: 2, reason: 'returned', value: 'served 0' })
  },
)

test('a shard that fails again and again is given up', LIMIT, async () => {
  await using pool = await start(
    { do: 'throw' },
    { placement: PoolPlacement.unbound(1), restart: { limit: 2, backoffMs: 1 } },
  )

  const [exit] = await pool.join()

  assert.equal(exit!.generation, 3)
  assert.equal(exit!.reason, 'threw')
})

test(
  'a shard that is terminated is restarted, and stop() ends the wait for that',
  LIMIT,
  async () => {
    const pool = await start(
      { do: 'serve' },
      { placement: PoolPlacement.unbound(1), restart: { backoffMs: 1e9, backoffMsMax: 1e9 } },
    )
    await pool.shards[0]!.terminate()
    assert.equal(pool.shards[0]!.state, 'restarting')

    const [exit] = await pool.stop()

    assert.equal(exit!.reason, 'terminated')
  },
)

test('a failure that nobody asks about is a warning of the process', LIMIT, async () => {
  const warned = new Promise<Error>((resolve) => process.once('warning', resolve))
  await ExecutorPool.start({
    module: MODULE,
    argument: { do: 'throw' },
    placement: PoolPlacement.unbound(1),
  })

  const warning = await warned

  assert.equal(warning.name, 'ShardFailure')
  assert.match(warning.message, /'pool-0' threw RangeError: no/)
})

test('two pools, and a pool within a shard, go on beside each other', LIMIT, async () => {
  const href = new URL('../../src/runtime/index.js', import.meta.url).href
  const outer = moduleOf(
    `
    import { ExecutorPool } from ${JSON.stringify(href)}
    export default async ({ argument }) => {
      await using pool = await ExecutorPool.start({ module: argument.module, shards: 1, argument: { do: 'describe' } })
      return (await pool.results())[0].name
    }`.replace('await using', 'const'),
  )
  await using first = await start({ do: 'describe' }, { placement: PoolPlacement.unbound(1) })
  await using second = await ExecutorPool.start({
    module: outer,
    argument: { module: MODULE.href },
    shards: 1,
    name: 'outer',
  })

  assert.equal((await first.results()).length, 1)
  assert.deepEqual(await second.results(), ['pool-0'])
})

test('shards know each other by the numbers of their executors', LIMIT, async () => {
  await using pool = await start(
    { do: '' },
    { module: moduleOf('export default ({ peers }) => peers.map(({ executorId }) => executorId)') },
  )

  const [first, second] = (await pool.results()) as number[][]

  assert.deepEqual(first, second)
  assert.equal(new Set(first).size, 2)
  assert.ok(first!.every((id) => id > 0))
})

test('env and execArgv reach the shards', LIMIT, async () => {
  await using pool = await start(
    { do: '' },
    {
      module: moduleOf('export default () => [process.env.WORD, process.execArgv]'),
      env: { WORD: 'x' },
      execArgv: ['--no-warnings'],
      shards: 2,
    },
  )

  assert.deepEqual((await pool.results())[1], ['x', ['--no-warnings']])
})
