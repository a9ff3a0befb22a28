/** Services, on threads of the real machine and, under seeds, on those of a simulated one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  currentShard,
  defineService,
  ExecutorPool,
  type ExecutorPoolOptions,
  Runtime,
  type ShardExit,
  type ShardedService,
} from '../../src/runtime/index.ts'
import { simTopology } from '../../src/sim/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { CpuSet, PoolPlacement } from '../../src/topology/index.ts'
import { limited, seedCount } from '../limits.ts'
import { type Wanted, WORD_COUNT, WORD_ORDER } from './service-definitions.ts'

const MODULE = new URL('./service-programs.js', import.meta.url)
const LIMIT = limited(60_000)
const SEEDS = seedCount(20)
const topology = simTopology({ coreCount: 4 })

interface Run {
  readonly pool: ExecutorPool
  readonly words: Int32Array
}

interface RunOptions extends Partial<ExecutorPoolOptions<Wanted>> {
  readonly shards?: number
}

/** A test on real threads, and on simulated ones. */
function both(
  name: string,
  program: string,
  options: RunOptions,
  check: (run: Run) => Promise<void>,
): void {
  const { shards = 2, ...more } = options
  const run = async (own: Partial<ExecutorPoolOptions<Wanted>>): Promise<void> => {
    const words = new Int32Array(new SharedArrayBuffer(4 * WORD_COUNT))
    const pool = await ExecutorPool.start<Wanted>({
      module: MODULE,
      argument: { do: program, words },
      executor: { ioMemoryBytes: 256 * 1024 },
      ...own,
      ...more,
    })
    try {
      await check({ pool, words })
    } finally {
      await pool.stop()
    }
  }
  test(`${name} [threads]`, limited(60_000), () =>
    run({ placement: PoolPlacement.unbound(shards) }),
  )
  test(`${name} [sim]`, limited(120_000), async () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const faults = seed % 2 === 0 ? {} : { lateMessage: 0.2, threadPause: 0.05 }
      await simulate({ seed, topology, faults }, () => run({ shards }))
    }
  })
}

/** What was noted, in its order. */
function orderOf(words: Int32Array): number[] {
  return [...words.subarray(WORD_ORDER)].filter((word) => word !== 0).map((word) => word - 1)
}

both('each shard calls all others, and itself', 'callAll', { shards: 3 }, async ({ pool }) => {
  const results = await pool.results()

  assert.deepEqual(
    results,
    [0, 1, 2].map((id) => {
      const to = (id + 1) % 3
      return {
        who: [to, id, `pool-${to}`],
        count: 3,
        ids: [0, 1, 2],
        sum: { map: new Map([[1, new Date(2)]]) },
        local: id,
        base: 100,
      }
    }),
  )
})

both('a call copies what it takes and gives, also on its own shard', 'copies', {}, async (run) => {
  const results = await run.pool.results()

  const expected = {
    list: [1],
    changed: [
      [1, 0],
      [1, 0],
    ],
    undefined: true,
  }
  assert.deepEqual(results, [expected, expected])
})

both('errors cross with all that they say, and misuse has its own', 'errors', {}, async (run) => {
  const [found] = (await run.pool.results()) as Record<string, unknown>[][]

  const [local, remote, rest] = [found!.slice(0, 4), found!.slice(4, 8), found!.slice(8)]
  for (const [failed, unclonableResult, unclonableArgument, thrown] of [local, remote]) {
    assert.equal(failed!.name, 'RangeError')
    assert.equal(failed!.message, 'not today')
    assert.equal(failed!.code, 'ERR_MINE')
    assert.equal(failed!.cause, 'why')
    assert.match(String(failed!.stack), /service-definitions/)
    assert.match(String(unclonableResult!.message), /a result must be cloneable/)
    assert.equal(unclonableResult!.name, 'TypeError')
    assert.match(String(unclonableArgument!.message), /call 'echo' .* arguments must be cloneable/)
    assert.equal(unclonableArgument!.name, 'TypeError')
    assert.deepEqual(thrown, { plain: 1 })
  }
  assert.deepEqual(
    rest.map(({ name }) => name),
    ['TypeError', 'RangeError', 'TypeError', 'RangeError'],
  )
  assert.match(String(rest[0]!.message), /'nope' is none of add, answerFunction/)
})

both('what is larger than a ring crosses it, both ways at once', 'large', {}, async ({ pool }) => {
  assert.deepEqual(await pool.results(), [true, true])
})

both('a signal withdraws what waits, and cancels what runs', 'cancels', {}, async ({ pool }) => {
  const [found] = await pool.results()

  const each = ['ERR_TASK_TIMEOUT', 'enough', 'enough', 0, 4]
  assert.deepEqual(found, [...each, ...each])
})

both(
  'as many calls as allowed are under way, the others wait in line',
  'overload',
  { shards: 3 },
  async ({ pool }) => {
    const results = (await pool.results()) as number[]

    // Four of each of three shards.
    for (const max of results) assert.ok(max >= 4 && max <= 12, `${max} at once`)
  },
)

both(
  'calls that lead to each other go on, whatever is under way, and circles end',
  'relays',
  { shards: 3 },
  async ({ pool }) => {
    const results = await pool.results()

    const expected = { code: 'ERR_LIMIT_EXCEEDED', hasNotRun: undefined }
    assert.deepEqual(results, [expected, expected, expected])
  },
)

both('a service does not wait for the calls of another', 'groups', {}, async ({ pool }) => {
  assert.deepEqual((await pool.results())[0], 6)
})

both(
  'start() starts all or none, in order, and tells each who asked',
  'startFails',
  { shards: 3 },
  async ({ pool, words }) => {
    const results = (await pool.results()) as Record<string, unknown>[]

    for (const { code, message, cause } of results) {
      assert.equal(code, 'ERR_SERVICE_START_FAILED')
      assert.match(String(message), /'ordered' .* 'pool-1' did not: not on this one/)
      assert.equal(cause, 'not on this one')
    }
    const order = orderOf(words)
    // Whoever asked late began it anew.
    assert.equal(order.length % 3, 0)
    for (let index = 0; index < order.length; index += 3) {
      assert.deepEqual(order.slice(index, index + 3), [0, 1, 10])
    }
  },
)

both('start() refuses another argument', 'startDiffers', { shards: 2 }, async ({ pool }) => {
  const results = (await pool.results()) as (number | Record<string, unknown>)[]

  const refused = results.filter((result) => typeof result === 'object')
  for (const { code, message } of refused) {
    assert.equal(code, 'ERR_SERVICE_START_FAILED')
    assert.match(String(message), /must give equal arguments/)
  }
  const bases = results.filter((result) => typeof result === 'number')
  assert.ok(bases.length > 0)
})

both('start() refuses instances that differ, and none', 'startUneven', {}, async ({ pool }) => {
  const results = await pool.results()

  const expected = [
    'ERR_SERVICE_START_FAILED',
    'ERR_SERVICE_START_FAILED',
    'it must be made an object with methods: it is number',
  ]
  assert.deepEqual(results, [expected, expected])
})

both('services that start each other are refused', 'startCircle', {}, async ({ pool }) => {
  const results = await pool.results()

  assert.deepEqual(results, [
    ['ERR_SERVICE_START_FAILED', 'ERR_SERVICE_START_FAILED'],
    ['ERR_SERVICE_START_FAILED', 'ERR_SERVICE_START_FAILED'],
  ])
})

both(
  'an instance that is made anew finds the services that it needs',
  'crashDependent',
  { restart: { backoffMs: 1 }, onExit: () => {} },
  async ({ pool }) => {
    const [first, second] = await pool.join()

    assert.deepEqual([first?.reason, second?.reason], ['returned', 'returned'])
  },
)

both('stop() waits for calls, and ends in reverse', 'stops', {}, async ({ pool, words }) => {
  const results = await pool.results()

  const expected = { code: 'ERR_SERVICE_NOT_RUNNING', hasNotRun: true }
  assert.deepEqual(results, [expected, expected])
  assert.deepEqual(orderOf(words), [0, 1, 11, 10, 0, 1, 11, 10])
})

both('stop() tells of what failed to end', 'stopFails', {}, async ({ pool, words }) => {
  // The last one is told.
  assert.deepEqual((await pool.results()).sort(), ['cannot end', 'stopped'])
  assert.deepEqual(orderOf(words), [0, 1, 11, 10])
})

both(
  'a program that returns serves the others until they end',
  'leavesBehind',
  { shards: 3 },
  async ({ pool }) => {
    assert.deepEqual(await pool.results(), ['early', 'late', 'late'])
  },
)

both('one shard can start it for all', 'oneStarts', { shards: 3 }, async ({ pool }) => {
  await pool.shards[0]!.exited
  const [first, ...others] = await pool.stop()

  assert.deepEqual(first!.reason === 'returned' && first.value, [0, 1, 2])
  assert.deepEqual(
    others.map((exit) => exit.reason === 'returned' && exit.value),
    ['ERR_SHARD_STOPPED', 'ERR_SHARD_STOPPED'],
  )
})

both('a pool stops in the midst of calls', 'waits', { shards: 3 }, async ({ pool, words }) => {
  while (Atomics.load(words, 0) < 3) await sleep(1)

  const exits = await pool.stop()

  assert.deepEqual(
    exits.map(({ reason }) => reason),
    ['stopped', 'stopped', 'stopped'],
  )
})

both(
  'a crash fails what is under way, and the calls after it go to the next one',
  'crash',
  { restart: { backoffMs: 1, backoffMsMax: 1 }, onExit: () => {} },
  async ({ pool }) => {
    const { value } = (await pool.shards[0]!.exited) as ShardExit & { value: unknown }

    assert.deepEqual(value, { ...crashed(), answer: 101 })
  },
)

both(
  'a crash for good fails all calls, and what is left stops',
  'crashForGood',
  { onExit: () => {} },
  async ({ pool }) => {
    const { value } = (await pool.shards[0]!.exited) as ShardExit & { value: unknown }

    const down = { code: 'ERR_SHARD_FAILED', hasNotRun: true }
    assert.deepEqual(value, { ...crashed(), down })
  },
)

test('a shard that exits fails who waits for it, and ends what it has called', LIMIT, async () => {
  const words = new Int32Array(new SharedArrayBuffer(4 * WORD_COUNT))
  await using pool = await ExecutorPool.start<Wanted>({
    module: MODULE,
    argument: { do: 'exits', words },
    placement: PoolPlacement.unbound(2),
    executor: { ioMemoryBytes: 256 * 1024 },
    onExit: () => {},
  })

  const [first, second] = await pool.join()

  assert.deepEqual(first!.reason === 'returned' && first.value, 'told')
  assert.deepEqual(second!.reason === 'exit' && second.exitCode, 7)
})

test('terminate() fails the calls of simulated shards, at whatever moment', LIMIT, async () => {
  for (let seed = 0; seed < SEEDS * 2; seed++) {
    await simulate({ seed, topology }, async () => {
      const words = new Int32Array(new SharedArrayBuffer(4 * WORD_COUNT))
      const pool = await ExecutorPool.start<Wanted>({
        module: MODULE,
        argument: { do: 'terminated', words },
        shards: 3,
        onExit: () => {},
      })
      while (Atomics.load(words, 0) < 10 * seed) await sleep(1)
      await pool.shards[1]!.terminate()
      Atomics.store(words, 1, 1)

      const exits = await pool.join()

      assert.equal(exits[1]!.reason, 'terminated')
      for (const id of [0, 2]) assert.deepEqual('value' in exits[id]! && exits[id].value, 'told')
    })
  }
})

test('defineService() refuses what is wrong, and a second of one name', () => {
  defineService('taken', () => ({}))

  assert.throws(() => defineService('taken', () => ({})), { code: 'ERR_NAME_TAKEN' })
  assert.throws(() => defineService(3 as never, () => ({})), TypeError)
  assert.throws(() => defineService('x', {} as never), TypeError)
  assert.throws(() => defineService('x', () => ({}), { nope: 1 } as never), TypeError)
  assert.throws(() => defineService('x', () => ({}), { outstandingMax: 0 }), RangeError)
})

test('start() and of() refuse what is no shard: the thread of the pool calls nothing', async () => {
  const service = defineService('lonely', () => ({}))
  await using runtime = await Runtime.start({
    executor: { ioMemoryBytes: 256 * 1024 },
    onExit: () => {},
  })
  const [driver] = runtime.drivers

  for (const other of [{}, runtime, driver, driver!.shard]) {
    await assert.rejects(service.start(other as never), TypeError)
    assert.throws(() => service.of(other as never), {
      name: 'TypeError',
      message: /^Cannot find service 'lonely' as shard must be the Shard that a program/,
    })
  }
  assert.throws(() => currentShard(), { code: 'ERR_UNSUPPORTED' })
})

test(
  'work of drivers calls services by the shard that each of them is',
  limited(60_000),
  async () => {
    const module = new URL('./driver-services.js', import.meta.url)
    const { node } = CpuSet.allowed().groupBy('node')[0]!
    await using runtime = await Runtime.start({
      // Two of them, however many nodes there are.
      layout: (context) => {
        const driver = { kind: 'task', cpus: context.cpus } as const
        return context.node === node ? [driver, driver] : []
      },
      onExit: () => {},
    })
    const [one, other] = runtime.drivers

    // What defines the service is loaded by the first work alone.
    await assert.rejects(one!.run({ module, name: 'count' }), {
      code: 'ERR_SERVICE_START_FAILED',
    })
    assert.equal(await other!.run({ module, name: 'whoAmI' }), 1)
    const counts = [
      await one!.run({ module, name: 'count' }),
      await other!.run({ module, name: 'count' }),
    ]

    // Each counts on the other.
    assert.deepEqual(counts, [
      [1, 'task-0.1'],
      [1, 'task-0.0'],
    ])
  },
)

/** Never called: what compiles, and what must not. */
export async function checkTypes(
  service: ShardedService<{
    add(value: number, name?: string): Promise<number>
    size(): bigint
    label: string
  }>,
): Promise<void> {
  const sum: number = await service.on(0).add(1)
  const size: bigint = await service.on(0).size()
  const all: number[] = await service.onAll('add', sum, 'x')
  const reduced: string = await service.mapReduce('size', [], (text, each) => text + each, '')
  // @ts-expect-error an argument of another type
  await service.on(0).add('1')
  // @ts-expect-error a result of another type
  const text: string = await service.on(0).add(1)
  // @ts-expect-error what is no method
  void service.on(0).label
  // @ts-expect-error too few arguments
  await service.submitTo(0, 'add', [])
  // @ts-expect-error an unknown method
  await service.onAll('label')
  void [size, all, reduced, text]
}

function crashed(): { codes: string[]; hasNotRun: boolean[] } {
  return {
    codes: Array(5).fill('ERR_SHARD_FAILED'),
    hasNotRun: [false, false, false, false, true],
  }
}
