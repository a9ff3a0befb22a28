/** Functions in other threads, on the real kernel. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KernelError, RuntimeError } from '../../src/base/index.ts'
import { BlockingPool, blocking, spawnBlocking } from '../../src/blocking/index.ts'
import {
  allocateBuffer,
  createTaskQueue,
  currentTaskQueue,
  spawn,
  spawnInto,
} from '../../src/index.ts'
import { sleep } from '../../src/time/index.ts'
import { CpuSet, PoolPlacement } from '../../src/topology/index.ts'
import { limited } from '../limits.ts'
import { OPEN, STARTED } from './work.ts'

type Work = typeof import('./work.ts')

const LIMIT = limited(60_000)
const URL_OF_WORK = new URL('./work.js', import.meta.url)

function createPool(threadCount: number, options: object = {}): BlockingPool {
  return new BlockingPool({ placement: PoolPlacement.unbound(threadCount), ...options })
}

function createWords(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(8))
}

function open(words: Int32Array): void {
  Atomics.store(words, OPEN, 1)
  Atomics.notify(words, OPEN)
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await sleep(1)
}

function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => `resolved to ${value}`,
    (error) => (error instanceof TypeError ? 'TypeError' : (error.code ?? error.message)),
  )
}

test(
  'spawnBlocking() resolves to what the function returns, or what its promise does',
  LIMIT,
  async () => {
    assert.equal(await spawnBlocking(URL_OF_WORK, 'add', [2, 3]), 5)
    assert.equal(await spawnBlocking(URL_OF_WORK.href, 'addLater', [2, 3]), 5)
    const work = blocking<Work>(URL_OF_WORK)
    const sum: number = await work.call('addLater', [2, 3])
    assert.equal(sum, 5)
    // @ts-expect-error A number is no function.
    await assert.rejects(work.call('constant', []), TypeError)
  },
)

test('a call goes on in the task queue and the task of its caller', LIMIT, async () => {
  const queue = createTaskQueue('calling')
  const name = await spawnInto(queue, async () => {
    await spawnBlocking(URL_OF_WORK, 'add', [1, 1])
    return currentTaskQueue().name
  })

  assert.equal(name, 'calling')
  queue.remove()
})

test('errors cross with class, code, cause and the frames of both threads', LIMIT, async () => {
  const work = blocking<Work>(URL_OF_WORK)
  const catchOf = async (name: 'failInside' | 'failWithCode' | 'failOfPercore'): Promise<Error> =>
    work.call(name, []).catch((error: Error) => error)
  const inside = await catchOf('failInside')
  const withCode = (await catchOf('failWithCode')) as NodeJS.ErrnoException
  const ofPercore = (await catchOf('failOfPercore')) as RuntimeError

  assert.ok(inside instanceof RangeError && inside.cause instanceof TypeError)
  assert.match(inside.stack!, /failInside.*work.*called from another thread.*catchOf/s)
  assert.deepEqual([withCode.code, withCode.syscall], ['ENOENT', 'open'])
  assert.ok(!(withCode instanceof KernelError))
  assert.ok(ofPercore instanceof RuntimeError && ofPercore.code === 'ERR_LIMIT_EXCEEDED')
  assert.deepEqual(await work.call('failWithValue', []).catch((error) => error), {
    reason: 42,
  })
})

test(
  'a function, module or result that cannot be is a typed error, and the thread goes on',
  LIMIT,
  async () => {
    await using pool = createPool(1)
    const [thread] = (await pool.call(URL_OF_WORK, 'countCalls')) as [number]

    const outcomes = [
      await codeOf(pool.call(URL_OF_WORK, 'nothing')),
      await codeOf(pool.call(URL_OF_WORK, 'constant')),
      await codeOf(pool.call(URL_OF_WORK, 'toString')),
      await codeOf(pool.call(new URL('./missing.js', import.meta.url), 'add')),
      await codeOf(pool.call(URL_OF_WORK, 'giveFunction')),
      await codeOf(pool.call(URL_OF_WORK, 'add', [() => {}])),
      await codeOf(pool.call(URL_OF_WORK, 'add', [1], { transfer: [{} as ArrayBuffer] })),
    ]

    assert.deepEqual(outcomes.with(3, 'missing'), Array(7).fill('TypeError').with(3, 'missing'))
    assert.equal(outcomes[3], 'ERR_MODULE_NOT_FOUND')
    assert.deepEqual(await pool.call(URL_OF_WORK, 'countCalls'), [thread, 2])
    assert.equal(pool.stats().lostThreadCount, 0)
  },
)

test('arguments of the wrong kind are refused before anything is started', LIMIT, async () => {
  await using pool = createPool(1)
  const call = pool.call.bind(pool) as (...values: unknown[]) => Promise<unknown>
  const wrong: unknown[][] = [
    ['./work.js', 'add'],
    ['work', 'add'],
    [undefined, 'add'],
    [URL_OF_WORK, 5],
    [URL_OF_WORK, 'add', 5],
    [URL_OF_WORK, 'add', [1], { singal: null }],
    [URL_OF_WORK, 'add', [1], { transfer: 5 }],
    [URL_OF_WORK, 'add', [1], { terminate: 1 }],
    [URL_OF_WORK, 'add', [1], { refuseWhenFull: 1 }],
    [URL_OF_WORK, 'add', [1], { signal: {} }],
  ]
  for (const values of wrong) assert.equal(await codeOf(call(...values)), 'TypeError')
  assert.equal(pool.stats().threadCount, 0)
  for (const options of [{ queuedMax: -1 }, { heapMiB: 1 }]) {
    assert.throws(() => new BlockingPool(options), RangeError)
  }
  assert.throws(() => new BlockingPool({ placement: 4 as never }), TypeError)
  assert.throws(() => PoolPlacement.unbound(0), RangeError)
})

test(
  'arguments are those of the moment of the call, also where it has to wait',
  LIMIT,
  async () => {
    await using pool = createPool(1)
    const words = createWords()
    const first = pool.call(URL_OF_WORK, 'pass', [words, 1])
    const bytes = new Uint8Array(4).fill(1)
    const second = pool.call(URL_OF_WORK, 'sum', [bytes])
    const third = pool.call(URL_OF_WORK, 'sum', [bytes], { transfer: [bytes.buffer] })

    assert.equal(bytes.length, 0)
    open(words)
    assert.deepEqual(await Promise.all([first, second, third]), [1, 4, 4])
  },
)

test(
  'a lease is refused rather than cloned to an empty object, its bytes are copied',
  LIMIT,
  async () => {
    using lease = allocateBuffer(512)
    lease.bytes.fill(1)

    assert.equal(await codeOf(spawnBlocking(URL_OF_WORK, 'sum', [lease])), 'TypeError')
    assert.equal(await codeOf(spawnBlocking(URL_OF_WORK, 'giveLease')), 'TypeError')
    assert.equal(await spawnBlocking(URL_OF_WORK, 'sum', [lease.bytes]), 512)
  },
)

test('transferResult() moves a result', LIMIT, async () => {
  const bytes = await blocking<Work>(URL_OF_WORK).call('make', [1 << 20])

  assert.deepEqual([bytes.length, bytes[5]], [1 << 20, 7])
})

test(
  'threads are started as they are needed, up to as many as there may be; the others stand in line',
  LIMIT,
  async () => {
    await using pool = createPool(2)
    const words = createWords()
    const before = pool.stats().threadCount
    const calls = [1, 2, 3, 4].map((value) => pool.call(URL_OF_WORK, 'pass', [words, value]))
    await until(() => Atomics.load(words, STARTED) === 2)
    const { threadCount, busyCount, queuedCount } = pool.stats()
    open(words)

    assert.deepEqual(await Promise.all(calls), [1, 2, 3, 4])
    assert.deepEqual([before, threadCount, busyCount, queuedCount], [0, 2, 2, 2])
    assert.equal(pool.stats().completedCount, 4)
  },
)

test(
  'a call is refused with ERR_WOULD_BLOCK where the line is full, if it asks for that',
  LIMIT,
  async () => {
    await using pool = createPool(1, { queuedMax: 1 })
    const words = createWords()
    const options = { refuseWhenFull: true }
    const calls = [1, 2].map((value) => pool.call(URL_OF_WORK, 'pass', [words, value], options))

    assert.equal(await codeOf(pool.call(URL_OF_WORK, 'add', [1, 1], options)), 'ERR_WOULD_BLOCK')
    const waiting = pool.call(URL_OF_WORK, 'add', [1, 1])
    open(words)
    assert.deepEqual(await Promise.all([...calls, waiting]), [1, 2, 2])
  },
)

test('aborting withdraws a call in line, and lets one that runs go on', LIMIT, async () => {
  await using pool = createPool(1)
  const words = createWords()
  const controller = new AbortController()
  const { signal } = controller
  const running = codeOf(pool.call(URL_OF_WORK, 'pass', [words, 1], { signal }))
  const queued = codeOf(pool.call(URL_OF_WORK, 'loop', [words], { signal }))
  const late = codeOf(pool.call(URL_OF_WORK, 'add', [1, 1], { timeoutMs: 1 }))
  const task = spawn(() => pool.call(URL_OF_WORK, 'loop', [words]))
  await until(() => Atomics.load(words, STARTED) === 1 && pool.stats().queuedCount === 2)
  controller.abort(new Error('enough'))
  await task.cancel()

  assert.deepEqual(await Promise.all([running, queued]), ['enough', 'enough'])
  assert.equal(await late, 'ERR_TASK_TIMEOUT')
  assert.equal(task.state, 'cancelled')
  open(words)
  assert.equal(await pool.call(URL_OF_WORK, 'add', [1, 1]), 2)
  assert.deepEqual([Atomics.load(words, STARTED), pool.stats().lostThreadCount], [1, 0])
  await assert.rejects(pool.call(URL_OF_WORK, 'add', [1, 1], { signal }), { message: 'enough' })
})

test(
  'an endless loop ends at its time limit with terminate, and its thread is replaced',
  LIMIT,
  async () => {
    await using pool = createPool(1)
    const words = createWords()
    const endless = pool.call(URL_OF_WORK, 'loop', [words], { timeoutMs: 300, terminate: true })
    const behind = pool.call(URL_OF_WORK, 'add', [1, 1])

    assert.equal(await codeOf(endless), 'ERR_TASK_TIMEOUT')
    assert.equal(await behind, 2)
    assert.equal(pool.stats().lostThreadCount, 1)
  },
)

for (const [what, name, values, pattern] of [
  ['process.exit()', 'exit', [3], /exit code 3/],
  ['process.exit(0)', 'exit', [0], /exit code 0/],
  ['an exception of nobody', 'failBeside', [], /of nobody/],
  ['a heap that is full', 'eatMemory', [], /ran out of memory/],
] as const) {
  test(
    `${what} in a function is ERR_THREAD_ENDED for its caller, and the pool goes on`,
    LIMIT,
    async () => {
      await using pool = createPool(1, { heapMiB: 24 })
      const ended = pool.call(URL_OF_WORK, name, values)
      const behind = pool.call(URL_OF_WORK, 'add', [1, 1])
      const error: unknown = await ended.catch((reason: unknown) => reason)

      assert.ok(error instanceof RuntimeError, String(error))
      assert.equal(error.code, 'ERR_THREAD_ENDED')
      assert.match(error.message, pattern)
      assert.match(error.stack!, /blocking\.test/)
      assert.equal(await behind, 2)
      assert.equal(pool.stats().lostThreadCount, 1)
    },
  )
}

test('close() lets calls end, refuses others, and leaves no thread', LIMIT, async () => {
  const pool = createPool(1)
  const words = createWords()
  await pool.call(URL_OF_WORK, 'leaveTimer')
  const calls = [1, 2].map((value) => pool.call(URL_OF_WORK, 'pass', [words, value]))
  const closing = [pool.close(), pool.close()]
  const refused = await codeOf(pool.call(URL_OF_WORK, 'add', [1, 1]))
  open(words)

  assert.equal(refused, 'ERR_HANDLE_CLOSED')
  assert.deepEqual(await Promise.all(calls), [1, 2])
  await Promise.all(closing)
  assert.deepEqual([pool.stats().threadCount, pool.stats().lostThreadCount], [0, 0])
  await createPool(1).close()
})

test(
  'a module that calls into threads while one loads it is refused, rather than loaded without end',
  LIMIT,
  async () => {
    const url = new URL('./recursive.js', import.meta.url)

    await assert.rejects(spawnBlocking(url, 'work'), {
      code: 'ERR_UNSUPPORTED',
      message: /put the function into a module of its own/,
    })
  },
)

test(
  'threads run on the processors of the placement, and the caller where it did',
  LIMIT,
  async () => {
    const before = String(CpuSet.allowed())
    const [last] = CpuSet.allowed().ids.slice(-1)
    const cpus = CpuSet.allowed().pickIds([last!])
    await using pool = new BlockingPool({ placement: PoolPlacement.fenced(1, cpus) })

    assert.equal(await pool.call(URL_OF_WORK, 'allowedCpus'), String(last))
    assert.equal(String(CpuSet.allowed()), before)
    assert.equal(await spawnBlocking(URL_OF_WORK, 'allowedCpus'), before)
  },
)

test('stats() and inspection say what a pool does', LIMIT, async () => {
  const { inspect } = await import('node:util')
  await using pool = createPool(1, { name: 'hashes' })
  await pool.call(URL_OF_WORK, 'add', [1, 1])

  assert.equal(inspect(pool), 'BlockingPool(hashes) 0 of 1 thread busy, 0 queued')
})

test(
  'a module of TypeScript is called where Node loads it, and else is an error that says so',
  LIMIT,
  async () => {
    const url = new URL('../../../test/blocking/erasable.ts', import.meta.url)
    const outcome = await spawnBlocking(url, 'multiply', [{ left: 6, right: 7 }]).catch(
      (error) => error.code,
    )
    const { typescript } = process.features as { readonly typescript?: unknown }

    assert.equal(outcome, typescript ? 42 : 'ERR_UNKNOWN_FILE_EXTENSION')
  },
)
