import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createTaskQueue, executor, spawn, spawnInto } from '../../src/index.ts'
import { Interval } from '../../src/time/index.ts'
import { type MissedTicks, nextTickNs } from '../../src/time/missed-ticks.ts'
import { reactorOf } from '../reactor-of.ts'
import { settle } from '../sync/watch.ts'
import { runProgram } from './run-program.ts'

const LONG_MS = 3_600_000

/** Busy until the clock says so: then ticks have been missed, however fast the machine. */
function blockUntil(deadlineNs: number): void {
  while (executor().nowNs() < deadlineNs);
}

async function tick(interval: Interval): Promise<number> {
  const { done, value } = await interval.next()
  assert.equal(done, false)
  return value!
}

test('next() yields when the tick was due, never early', async () => {
  using interval = new Interval(0.4)
  let expectedNs = interval.dueNs

  for (let i = 0; i < 5; i++) {
    const dueNs = await tick(interval)
    assert.ok(executor().nowNs() >= dueNs)
    assert.ok(dueNs >= expectedNs)
    expectedNs = dueNs + 0.4e6
  }
})

test('burst makes up for every missed tick', async () => {
  using interval = new Interval(0.5, { missedTicks: 'burst' })
  const firstNs = interval.dueNs

  blockUntil(firstNs + 5 * 0.5e6)
  const dues = []
  for (let i = 0; i < 6; i++) dues.push(await tick(interval))

  assert.deepEqual(
    dues,
    [0, 1, 2, 3, 4, 5].map((i) => firstNs + i * 0.5e6),
  )
})

test('skip drops missed ticks, and keeps to the grid', async () => {
  using interval = new Interval(1, { missedTicks: 'skip' })
  const firstNs = interval.dueNs

  blockUntil(firstNs + 5.5e6)
  const takenNs = executor().nowNs()
  const dues = [await tick(interval), await tick(interval)]

  assert.equal(dues[0], firstNs)
  assert.ok(dues[1]! > takenNs)
  assert.equal((dues[1]! - firstNs) % 1e6, 0)
})

test('delay drops missed ticks, and starts again with the late one', async () => {
  using interval = new Interval(1, { missedTicks: 'delay' })
  const firstNs = interval.dueNs

  blockUntil(firstNs + 5.5e6)
  const takenNs = executor().nowNs()
  const dues = [await tick(interval), await tick(interval)]

  assert.equal(dues[0], firstNs)
  assert.ok(dues[1]! >= takenNs + 1e6)
})

test('nextTickNs() never drifts but by delay, and never goes back', () => {
  const policy = fc.constantFrom<MissedTicks>('burst', 'delay', 'skip')
  const periodNs = fc.integer({ min: 1, max: 1e9 })
  const times = fc.integer({ min: 0, max: 1e12 })
  const property = fc.property(policy, periodNs, times, times, (missed, period, dueNs, lateNs) => {
    const nowNs = dueNs + lateNs

    const nextNs = nextTickNs(missed, { dueNs, nowNs, periodNs: period })

    assert.ok(nextNs >= dueNs + period)
    if (lateNs < period) assert.equal(nextNs, dueNs + period)
    if (missed === 'burst') assert.equal(nextNs, dueNs + period)
    if (missed !== 'burst') assert.ok(nextNs > nowNs)
    if (missed === 'skip') assert.equal((nextNs - dueNs) % period, 0)
    if (missed === 'skip') assert.ok(nextNs - nowNs <= period)
  })

  fc.assert(property)
})

test('an interval that nobody waits for has no timer', async () => {
  const { timers } = reactorOf(executor())
  const sizeBefore = timers.size

  for await (const _ of new Interval(0.1)) break
  using _idle = new Interval(1)

  assert.equal(timers.size, sizeBefore)
})

test('leaving the iteration early closes the interval', async () => {
  const interval = new Interval(0.1)

  for await (const _ of interval) break

  assert.equal(interval.isClosed, true)
  assert.deepEqual(await interval.next(), { done: true, value: undefined })
})

test('close() ends those who wait, and disarms', async () => {
  const { timers } = reactorOf(executor())
  const sizeBefore = timers.size
  const interval = new Interval(LONG_MS)
  const waits = [interval.next(), interval.next()]
  assert.equal(timers.size, sizeBefore + 1)

  interval.close()

  assert.equal(timers.size, sizeBefore)
  for (const wait of waits) assert.equal((await wait).done, true)
})

test('several who wait get a tick each, in their order', async () => {
  using interval = new Interval(0.2, { missedTicks: 'burst' })
  const firstNs = interval.dueNs

  const dues = await Promise.all([tick(interval), tick(interval), tick(interval)])

  assert.deepEqual(dues, [firstNs, firstNs + 0.2e6, firstNs + 0.4e6])
})

test('an abort rejects the wait with its reason, and disarms', async () => {
  const { timers } = reactorOf(executor())
  const sizeBefore = timers.size
  const controller = new AbortController()
  const interval = new Interval(LONG_MS, { signal: controller.signal })
  const wait = interval.next()

  controller.abort(new Error('gone'))

  assert.equal(timers.size, sizeBefore)
  await assert.rejects(wait, { message: 'gone' })
  await assert.rejects(interval.next(), { message: 'gone' })
})

test('cancelling a task disarms the interval that it waits for', async () => {
  const { timers } = reactorOf(executor())
  const sizeBefore = timers.size
  const interval = new Interval(LONG_MS)
  const task = spawn(() => interval.next())
  await settle()
  assert.equal(timers.size, sizeBefore + 1)

  await task.cancel()

  assert.equal(timers.size, sizeBefore)
})

test('reset() starts the period again', async () => {
  using interval = new Interval(LONG_MS)
  const wait = interval.next()
  const before = interval.dueNs
  blockUntil(executor().nowNs() + 1000)

  interval.reset()

  assert.ok(interval.dueNs > before)
  interval.close()
  assert.equal((await wait).done, true)
})

test('a burst that is never made up for lets another task queue and Node run', async () => {
  // So short a period that every tick is overdue.
  using interval = new Interval(1e-6, { missedTicks: 'burst' })
  let remainingCount = 2
  spawnInto(createTaskQueue('other'), () => {
    remainingCount--
  })
  setTimeout(() => {
    remainingCount--
  }, 1)

  let count = 0
  for await (const _ of interval) if (remainingCount === 0 || ++count === 5_000_000) break

  assert.equal(remainingCount, 0)
})

test('options of the wrong kind are refused', () => {
  assert.throws(() => new Interval(0), RangeError)
  assert.throws(() => new Interval('1' as never), TypeError)
  assert.throws(() => new Interval(1, { missedTicks: 'never' as never }), RangeError)
})

test('a program stays alive for a tick that is waited for, unless keepsAlive is false', () => {
  const alive = runProgram("await new time.Interval(5).next(); console.log('tick')")
  const dead = runProgram(`
    new time.Interval(${LONG_MS}, { keepsAlive: false }).next()
    console.log('end')
  `)

  assert.deepEqual([alive.status, alive.output], [0, 'tick\n'])
  assert.deepEqual([dead.status, dead.output], [0, 'end\n'])
})
