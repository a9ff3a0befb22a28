import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTaskQueue, spawn, spawnInto } from '../../src/index.ts'
import { type Permit, Semaphore } from '../../src/sync/index.ts'
import { settle, watch } from './watch.ts'

test('acquire() takes units and release() gives them back', async () => {
  const semaphore = new Semaphore(3)

  const permit = await semaphore.acquire(2)
  const availableCount = semaphore.available
  permit.release()

  assert.equal(availableCount, 1)
  assert.equal(semaphore.available, 3)
})

test('release() does nothing the second time', async () => {
  const semaphore = new Semaphore(1)
  const permit = await semaphore.acquire()

  permit.release()
  permit.release()

  assert.equal(semaphore.available, 1)
  assert.equal(permit.count, 0)
})

test('using releases a permit at the end of its block', async () => {
  const semaphore = new Semaphore(1)

  {
    using permit = await semaphore.acquire()
    assert.equal(permit.count, 1)
  }

  assert.equal(semaphore.available, 1)
})

test('forget() keeps the units out', async () => {
  const semaphore = new Semaphore(2)
  const permit = await semaphore.acquire()

  permit.forget()
  permit.release()

  assert.equal(semaphore.available, 1)
})

test('acquire() serves waiters in the order in which they came', async () => {
  const semaphore = new Semaphore(0)
  const order: number[] = []
  const waits = [1, 2, 3, 4].map((id) => semaphore.acquire().then(() => order.push(id)))

  semaphore.signal(4)
  await Promise.all(waits)

  assert.deepEqual(order, [1, 2, 3, 4])
})

test('acquire() does not overtake a waiter when there are units for the newcomer', async () => {
  const semaphore = new Semaphore(1)
  const big = watch(semaphore.acquire(2))

  const small = watch(semaphore.acquire(1))
  await settle()

  assert.equal(small.state, 'pending')
  assert.equal(semaphore.tryAcquire(1), null)
  semaphore.signal()
  await settle()
  assert.equal(big.state, 'fulfilled')
  assert.equal(small.state, 'pending')
})

test('acquire() of many is not starved by a stream of small ones', async () => {
  const semaphore = new Semaphore(2)
  const first = await semaphore.acquire()
  const second = await semaphore.acquire()
  const big = watch(semaphore.acquire(2))
  const small = watch(semaphore.acquire(1))

  first.release()
  await settle()
  assert.deepEqual([big.state, small.state], ['pending', 'pending'])
  second.release()
  await settle()

  assert.deepEqual([big.state, small.state], ['fulfilled', 'pending'])
})

test('a fresh acquire() cannot barge between a grant and the turn of its waiter', async () => {
  const semaphore = new Semaphore(0)
  const waiting = watch(semaphore.acquire())

  semaphore.signal()
  const fresh = watch(semaphore.acquire())
  const taken = semaphore.tryAcquire()
  await settle()

  assert.equal(taken, null)
  assert.equal(waiting.state, 'fulfilled')
  assert.equal(fresh.state, 'pending')
})

test('an abort after the grant leaves the unit with its waiter', async () => {
  const semaphore = new Semaphore(0)
  const controller = new AbortController()
  const first = watch(semaphore.acquire(1, { signal: controller.signal }))
  const second = watch(semaphore.acquire())

  semaphore.signal()
  controller.abort()
  await settle()

  assert.equal(first.state, 'fulfilled')
  first.value?.release()
  await settle()
  assert.equal(second.state, 'fulfilled')
})

test('an abort before the grant rejects with its reason, and takes nothing', async () => {
  const semaphore = new Semaphore(0)
  const controller = new AbortController()
  const first = semaphore.acquire(1, { signal: controller.signal })
  const second = watch(semaphore.acquire())

  controller.abort(new Error('gone'))
  await assert.rejects(first, { message: 'gone' })
  semaphore.signal()
  await settle()

  assert.equal(second.state, 'fulfilled')
  assert.equal(semaphore.available, 0)
})

test('a waiter that is cancelled at the head lets those behind it be granted', async () => {
  const semaphore = new Semaphore(1)
  const controller = new AbortController()
  const big = watch(semaphore.acquire(5, { signal: controller.signal }))
  const small = watch(semaphore.acquire(1))

  controller.abort(new Error('gone'))
  await settle()

  assert.equal(big.code, 'gone')
  assert.equal(small.state, 'fulfilled')
})

test('acquire() rejects with the reason of a signal that is aborted, even if units are free', async () => {
  const semaphore = new Semaphore(1)
  const signal = AbortSignal.abort(new Error('before'))

  await assert.rejects(semaphore.acquire(1, { signal }), { message: 'before' })

  assert.equal(semaphore.available, 1)
})

test('acquire() rejects with ERR_TASK_TIMEOUT when its time limit has passed', async () => {
  const semaphore = new Semaphore(0)

  await assert.rejects(semaphore.acquire(1, { timeoutMs: 1 }), { code: 'ERR_TASK_TIMEOUT' })

  assert.equal(semaphore.waiterCount, 0)
})

test('cancelling a task ends its acquire(), and the next in line is served', async () => {
  const semaphore = new Semaphore(0)
  const task = spawn(async () => semaphore.acquire())
  await settle()
  const next = watch(semaphore.acquire())

  await task.cancel()
  semaphore.signal()
  await settle()

  assert.equal(task.state, 'cancelled')
  assert.equal(next.state, 'fulfilled')
})

test('acquire() of a cancelled task rejects with ERR_TASK_CANCELLED, even if units are free', async () => {
  const semaphore = new Semaphore(1)
  const task = spawn(async (self) => {
    void self.cancel()
    return semaphore.acquire()
  })

  await assert.rejects(Promise.resolve(task), { code: 'ERR_TASK_CANCELLED' })

  assert.equal(semaphore.available, 1)
})

test('acquire(0) waits for nobody', async () => {
  const semaphore = new Semaphore(0)
  void semaphore.acquire(3)

  const permit = await semaphore.acquire(0)

  assert.equal(permit.count, 0)
  assert.equal(semaphore.waiterCount, 1)
})

test('close() fails those who wait and those who come, and keeps permits valid', async () => {
  const semaphore = new Semaphore(1)
  const held = await semaphore.acquire()
  const waits = [semaphore.acquire(), semaphore.acquire(2)]

  semaphore.close()

  for (const wait of waits) await assert.rejects(wait, { code: 'ERR_SEMAPHORE_CLOSED' })
  await assert.rejects(semaphore.acquire(), { code: 'ERR_SEMAPHORE_CLOSED' })
  await assert.rejects(semaphore.acquire(0), { code: 'ERR_SEMAPHORE_CLOSED' })
  assert.throws(() => semaphore.tryAcquire(), { code: 'ERR_SEMAPHORE_CLOSED' })
  held.release()
  assert.equal(semaphore.available, 1)
})

test('close() does not take away what has been granted', async () => {
  const semaphore = new Semaphore(0)
  const wait = semaphore.acquire()

  semaphore.signal()
  semaphore.close()

  assert.equal((await wait).count, 1)
})

test('counts of the wrong kind are refused', async () => {
  const semaphore = new Semaphore(1)

  assert.throws(() => new Semaphore(-1), RangeError)
  assert.throws(() => new Semaphore('1' as never), TypeError)
  assert.throws(() => semaphore.tryAcquire(0.5), RangeError)
  assert.throws(() => semaphore.signal(Number.MAX_SAFE_INTEGER), RangeError)
  await assert.rejects(semaphore.acquire(-1), RangeError)
  await assert.rejects(semaphore.acquire(1, { signal: {} as never }), TypeError)
  await assert.rejects(semaphore.acquire(1, { timeoutMs: -1 }), RangeError)
  assert.equal(semaphore.available, 1)
})

/** Far more than any budget, and bounded, so that starving others fails rather than hangs. */
const LOOP_COUNT_MAX = 5_000_000

async function loopUntil(isDone: () => boolean): Promise<boolean> {
  const semaphore = new Semaphore(1)
  for (let count = 0; count < LOOP_COUNT_MAX && !isDone(); count++) {
    const permit: Permit = await semaphore.acquire()
    permit.release()
  }
  return isDone()
}

test('a loop over a free semaphore lets another task queue run', async () => {
  let isDone = false
  spawnInto(createTaskQueue('other'), () => {
    isDone = true
  })

  assert.ok(await loopUntil(() => isDone))
})

test("a loop over a free semaphore lets Node's timers run", async () => {
  let isDone = false
  setTimeout(() => {
    isDone = true
  }, 1)

  assert.ok(await loopUntil(() => isDone))
})
