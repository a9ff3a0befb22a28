import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { Runtime, type RuntimeOptions } from '../../src/runtime/index.ts'
import { CpuSet } from '../../src/topology/index.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(60_000)
const module = new URL('./work.js', import.meta.url)

/** Two drivers on one core: one for I/O, one for tasks. */
function startPair(options: RuntimeOptions = {}): Promise<Runtime> {
  const [cpu] = CpuSet.allowed()
  return Runtime.start({
    cpus: CpuSet.allowed().filter(({ id }) => id === cpu!.id),
    layout: ({ cpus }) => [
      { kind: 'io', cpus },
      { kind: 'task', cpus, name: 'compute' },
    ],
    executor: { ioMemoryBytes: 64 * 1024 },
    onExit: () => {},
    ...options,
  })
}

test(
  'start() makes a context for each node, and a hybrid driver for each core',
  LIMIT,
  async () => {
    await using runtime = await Runtime.start()

    const allowed = CpuSet.allowed()
    assert.deepEqual(
      runtime.contexts.map(({ node }) => node),
      allowed.nodes,
    )
    assert.equal(runtime.drivers.length, allowed.groupBy('core').length)
    const [context] = runtime.contexts
    assert.ok(context!.memoryNodes.length > 0)
    const doubled = await context!.run({ module, name: 'double', argument: 21 })
    assert.equal(doubled, 42)
  },
)

test('work runs on the driver that is named, in the queue of its priority', LIMIT, async () => {
  await using runtime = await startPair()
  const work = { module, name: 'whereAmI' }

  const at = await runtime.driver('compute').run(work)
  const urgent = await runtime.driver('io-0.0').run(work, { priority: 'high' })

  assert.deepEqual(at, { name: 'compute', queue: 'default' })
  assert.deepEqual(urgent, { name: 'io-0.0', queue: 'high' })
  assert.throws(() => runtime.driver('io-9'), RangeError)
})

test(
  'a context picks a driver that does what the work needs, and the less busy one',
  LIMIT,
  async () => {
    await using runtime = await startPair()
    const [context] = runtime.contexts
    const words = new Int32Array(new SharedArrayBuffer(8))

    assert.equal(context!.pick({ needs: 'task' }).name, 'compute')
    const waiting = context!.run({ module, name: 'waitFor', argument: words })
    assert.equal(context!.drivers[0]!.pendingCount(), 1)
    assert.equal(context!.pick().name, 'compute')
    Atomics.store(words, 0, 1)
    assert.equal(await waiting, 'waited')
    assert.equal(context!.pick().name, 'io-0.0')
  },
)

test('run() fails with what the work threw, and says what cannot be run', LIMIT, async () => {
  await using runtime = await startPair()
  const driver = runtime.driver('compute')

  await assert.rejects(driver.run({ module, name: 'fail' }), {
    name: 'RangeError',
    code: 'ERR_MINE',
  })
  await assert.rejects(driver.run({ module, name: 'notAFunction' }), TypeError)
  await assert.rejects(driver.run({ module, name: 'absent' }), /is missing/)
  await assert.rejects(driver.run({ module, name: 'answerFunction' }), /result must be cloneable/)
  await assert.rejects(driver.run({ module, argument: () => {} }), /argument must be cloneable/)
  await assert.rejects(driver.run({ module: './work.js' }), TypeError)
  await assert.rejects(driver.run({ module }, { needs: 'io' } as object), TypeError)
  assert.equal(driver.pendingCount(), 0)
})

test('an aborted signal ends the work and its wait', LIMIT, async () => {
  await using runtime = await startPair()
  const driver = runtime.driver('compute')
  const controller = new AbortController()
  const running = driver.run({ module, name: 'waitForEver' }, { signal: controller.signal })
  assert.equal(driver.pendingCount(), 1)

  controller.abort(new Error('enough'))

  await assert.rejects(running, /enough/)
  while (driver.pendingCount() > 0) await new Promise(setImmediate)
  await assert.rejects(driver.run({ module }, { signal: controller.signal }), /enough/)
})

test('one signal serves any number of calls by one listener', LIMIT, async () => {
  await using runtime = await startPair()
  const driver = runtime.driver('compute')
  const controller = new AbortController()
  const { signal } = controller
  const call = (): Promise<unknown> => driver.run({ module, name: 'waitForEver' }, { signal })
  const running = Array.from({ length: 12 }, call)
  const listenerCount = getEventListeners(signal, 'abort').length

  controller.abort(new Error('enough'))

  const ends = await Promise.allSettled(running)
  assert.deepEqual([...new Set(ends.map(({ status }) => status))], ['rejected'])
  assert.equal(listenerCount, 1)
  while (driver.pendingCount() > 0) await new Promise(setImmediate)
  assert.equal(getEventListeners(signal, 'abort').length, 0)
})

test(
  'a driver that ends fails its work and takes no more; another takes its place',
  LIMIT,
  async () => {
    await using runtime = await startPair({ restart: { backoffMs: 1 } })
    const [context] = runtime.contexts
    const driver = runtime.driver('compute')

    await assert.rejects(driver.run({ module, name: 'exit' }), { code: 'ERR_SHARD_FAILED' })
    await assert.rejects(driver.run({ module, name: 'double' }), { code: 'ERR_SHARD_FAILED' })
    assert.equal(context!.pick().name, 'io-0.0')
    assert.throws(() => context!.pick({ needs: 'task' }), { code: 'ERR_UNSUPPORTED' })
    while (!driver.isRunning) await new Promise(setImmediate)

    assert.equal(driver.shard.generation, 2)
    assert.equal(await driver.run({ module, name: 'double', argument: 2 }), 4)
  },
)

test('stop() lets drivers return that have not begun', LIMIT, async () => {
  const runtime = await startPair()

  const exits = await runtime.stop()

  assert.deepEqual(
    exits.map(({ reason }) => reason),
    ['returned', 'returned'],
  )
})

test('stop() lets work that has begun end', LIMIT, async () => {
  const runtime = await startPair()
  const words = new Int32Array(new SharedArrayBuffer(8))
  const waiting = runtime.driver('compute').run({ module, name: 'waitFor', argument: words })
  while (Atomics.load(words, 1) === 0) await new Promise(setImmediate)

  const stopped = runtime.stop()
  Atomics.store(words, 0, 1)

  assert.equal(await waiting, 'waited')
  assert.deepEqual(
    (await stopped).map(({ reason }) => reason),
    ['returned', 'returned'],
  )
})

test('start() refuses layouts and processors that cannot be right', LIMIT, async () => {
  const refused: [RuntimeOptions, object][] = [
    [{ layout: () => [] }, RangeError],
    [
      { layout: ({ cpus }) => [1, 2].map(() => ({ kind: 'io', cpus, name: 'same' })) },
      /different names/,
    ],
    [{ layout: ({ cpus }) => [{ kind: 'disk' as 'io', cpus }] }, TypeError],
    [{ layout: ({ cpus }) => [{ kind: 'io', cpus: cpus.difference(cpus) }] }, RangeError],
    [{ layout: 'split' as never }, TypeError],
    [{ cpus: CpuSet.allowed().difference(CpuSet.allowed()) }, { code: 'ERR_CPU_UNAVAILABLE' }],
    [{ module } as RuntimeOptions, TypeError],
  ]
  for (const [options, expected] of refused) {
    await assert.rejects(Runtime.start(options), expected as Error)
  }
})
