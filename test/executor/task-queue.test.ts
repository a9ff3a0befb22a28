import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createChannel } from '../../src/channels/index.ts'
import {
  createTaskQueue,
  executor,
  type Shares,
  spawn,
  spawnInto,
  type TaskQueue,
  yieldNow,
} from '../../src/index.ts'
import { Semaphore } from '../../src/sync/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { createPipe } from '../hazards/pipe.ts'
import { nop, poll } from './operations.ts'

test('createTaskQueue() refuses options of the wrong kind', () => {
  const wrongTypes = [
    () => createTaskQueue(1 as never),
    () => createTaskQueue('a\0b'),
    () => createTaskQueue('q', null as never),
    () => createTaskQueue('q', 5 as never),
    () => createTaskQueue('q', { shares: '10' as never }),
    () => createTaskQueue('q', { shares: {} as never }),
    () => createTaskQueue('q', { latency: 2 as never }),
    () => createTaskQueue('q', { latency: { maxMs: '2' as never } }),
  ]
  const wrongRanges = [0, -1, 1001, 1.5, Number.NaN].map(
    (shares) => () => createTaskQueue('q', { shares }),
  )
  const wrongLatencies = [-1, Number.NaN, Number.POSITIVE_INFINITY].map(
    (maxMs) => () => createTaskQueue('q', { latency: { maxMs } }),
  )
  const count = executor().taskQueues().length

  for (const wrong of wrongTypes) assert.throws(wrong, TypeError)
  for (const wrong of [...wrongRanges, ...wrongLatencies]) assert.throws(wrong, RangeError)

  assert.equal(executor().taskQueues().length, count)
})

test('spawn() and spawnInto() refuse what is no function, and no queue', () => {
  for (const wrong of [undefined, null, 1, {}, 'body']) {
    assert.throws(() => spawn(wrong as never), TypeError)
    assert.throws(() => spawnInto(executor().defaultQueue, wrong as never), TypeError)
    assert.throws(() => spawnInto(wrong as never, () => {}), TypeError)
  }
})

test('remove() throws ERR_QUEUE_ACTIVE while there are tasks, queued or running', async () => {
  const queue = createTaskQueue('active')
  const task = spawnInto(queue, () => sleep(5))

  assert.throws(() => queue.remove(), { code: 'ERR_QUEUE_ACTIVE' })
  await yieldNow()
  assert.throws(() => queue.remove(), { code: 'ERR_QUEUE_ACTIVE' })
  await task
  queue.remove()

  assert.ok(queue.isRemoved)
  assert.ok(!executor().taskQueues().includes(queue))
})

test('a removed queue is ERR_QUEUE_NOT_FOUND, and the body never runs', async () => {
  const queue = createTaskQueue('removed')
  queue.remove()
  let hasRun = false

  assert.throws(
    () =>
      spawnInto(queue, () => {
        hasRun = true
      }),
    { code: 'ERR_QUEUE_NOT_FOUND' },
  )
  assert.throws(() => queue.remove(), { code: 'ERR_QUEUE_NOT_FOUND' })
  await yieldNow()

  assert.equal(hasRun, false)
})

test('the default queue cannot be removed', () => {
  assert.throws(() => executor().defaultQueue.remove(), { code: 'ERR_UNSUPPORTED' })
})

test('a queue of another executor is ERR_QUEUE_NOT_FOUND, and ERR_EXECUTOR_CLOSED later', async () => {
  let foreign: TaskQueue | undefined
  const own = executor().defaultQueue
  await simulate({ seed: 1 }, async ({ executor: simulated }) => {
    foreign = createTaskQueue('foreign')
    assert.throws(() => simulated.spawnInto(own, () => {}), { code: 'ERR_QUEUE_NOT_FOUND' })
  })

  await assert.rejects(
    spawnInto(foreign!, () => {}),
    { code: 'ERR_EXECUTOR_CLOSED' },
  )
})

test('the least latency class counts while its queue is there', () => {
  const current = executor()
  const urgent = createTaskQueue('urgent', { latency: { maxMs: 2 } })
  const lax = createTaskQueue('lax', { latency: { maxMs: 5 } })

  assert.equal(current.latencyNsMin, 2e6)
  urgent.remove()
  assert.equal(current.latencyNsMin, 5e6)
  lax.remove()
  assert.equal(current.latencyNsMin, Number.POSITIVE_INFINITY)
})

test('stats() count, and reading does not reset them', async () => {
  const queue = createTaskQueue('counted', { shares: 500 })
  const before = queue.stats()
  assert.deepEqual(before, {
    name: 'counted',
    shares: 500,
    runtimeNs: 0,
    turnCount: 0,
    settledCount: 0,
    taskCount: 0,
    files: {
      transferCount: 0,
      readBytes: 0,
      writtenBytes: 0,
      heldCount: 0,
      heldNs: 0,
      limitedCount: 0,
    },
  })

  await Promise.all(
    [1, 2, 3].map(() =>
      spawnInto(queue, async () => {
        const endNs = executor().nowNs() + 2e6
        while (executor().nowNs() < endNs);
        await yieldNow()
      }),
    ),
  )
  await yieldNow()
  const after = queue.stats()

  assert.ok(after.runtimeNs >= 6e6, `${after.runtimeNs} ns of 6 ms`)
  assert.ok(after.turnCount >= 2)
  assert.equal(after.settledCount, 6)
  assert.deepEqual(queue.stats(), after)
  assert.equal(
    executor()
      .stats()
      .queues.find(({ name }) => name === 'counted')?.settledCount,
    6,
  )
  queue.remove()
})

test('stats() exclude sleep', async () => {
  const runtimeNs = await simulate(1, async () => {
    const queue = createTaskQueue('sleeper')
    await spawnInto(queue, () => sleep(100))
    await yieldNow()
    return queue.stats().runtimeNs
  })

  assert.ok(runtimeNs < 50e6, `${runtimeNs} ns`)
})

test('a manager is asked when its queue runs, not more often than it says', async () => {
  let asked = 0
  const manager = { shares: () => ++asked, adjustmentPeriodMs: 3_600_000 }
  const queue = createTaskQueue('managed', { shares: manager })
  assert.equal(asked, 1)

  for (let i = 0; i < 20; i++) await spawnInto(queue, () => {})

  assert.equal(asked, 2)
  assert.equal(queue.shares, 2)
  queue.remove()
})

test('what a manager says is clamped to 1 … 1000', async () => {
  for (const [said, expected] of [
    [0, 1],
    [-5, 1],
    [Number.NaN, 1],
    [5000, 1000],
    [Number.POSITIVE_INFINITY, 1000],
    ['many', 1],
    [250.5, 250.5],
  ]) {
    const shares = { shares: () => said } as Shares
    const queue = createTaskQueue('clamped', { shares })

    await spawnInto(queue, () => {})

    assert.equal(queue.shares, expected, String(said))
    queue.remove()
  }
})

test('a queue may be removed by the last turn of its own task', async () => {
  const queue = createTaskQueue('itself')
  const task = spawnInto(queue, () => 1)

  await task.finally(() => queue.remove())

  assert.ok(queue.isRemoved)
  assert.equal(await spawn(() => 2), 2)
})

test('what was begun in a queue and left behind is settled after its removal', async () => {
  const queue = createTaskQueue('left')
  const semaphore = new Semaphore(0)
  const { sender, receiver } = createChannel<string>({ capacity: 1 })
  const controller = new AbortController()
  const pipe = createPipe()
  // Neither of these is a task of the queue once its only task has ended.
  const left = await spawnInto(queue, () => ({
    permit: semaphore.acquire(),
    value: receiver.receive(),
    slept: sleep(1).then(() => 'slept'),
    read: poll(pipe.readFd),
    aborted: semaphore
      .acquire(1, { signal: controller.signal })
      .then(undefined, (error) => error.name),
    continued: sleep(1)
      .then(() => nop())
      .then(() => yieldNow())
      .then(() => 'continued'),
  }))

  queue.remove()
  semaphore.signal(1)
  sender.trySend('received')
  controller.abort()
  pipe.write()

  const { permit, value, slept, read, aborted, continued } = left
  assert.deepEqual(await Promise.all([value, slept, aborted, continued]), [
    'received',
    'slept',
    'AbortError',
    'continued',
  ])
  ;(await permit).release()
  await read
  assert.equal(queue.isRemoved, true)
  assert.ok(!executor().taskQueues().includes(queue))
  pipe.close()
})
