import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Schedulable, Scheduler } from '../../src/executor/scheduler.ts'

interface Queue extends Schedulable {
  readonly shares: number
  runtime: number
}

function queue(shares = 1000): Queue {
  return { heapIndex: -1, virtualRuntime: 0, order: 0, hasYielded: false, shares, runtime: 0 }
}

/** Runs the next for some time, and puts it back. */
function turn(scheduler: Scheduler<Queue>, time: number): Queue {
  const next = scheduler.pick()!
  next.runtime += time
  next.virtualRuntime += (time * 1000) / next.shares
  scheduler.add(next)
  return next
}

test('busy queues run in proportion to their shares, whatever those are', () => {
  const shares = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 2, maxLength: 6 })
  fc.assert(
    fc.property(shares, fc.integer({ min: 1, max: 50 }), (all, time) => {
      const scheduler = new Scheduler<Queue>()
      const queues = all.map(queue)
      for (const one of queues) scheduler.wake(one)

      for (let i = 0; i < 5000; i++) turn(scheduler, time)

      // Each is at most one turn ahead of any other, in its own virtual time.
      const virtual = queues.map(({ virtualRuntime }) => virtualRuntime)
      const turnMax = Math.max(...queues.map((one) => (time * 1000) / one.shares))
      assert.ok(Math.max(...virtual) - Math.min(...virtual) <= turnMax + 1e-6)
    }),
  )
})

test('turns of different lengths change nothing about the proportion', () => {
  const scheduler = new Scheduler<Queue>()
  const [long, short] = [queue(200), queue(100)]
  scheduler.wake(long)
  scheduler.wake(short)

  for (let i = 0; i < 10_000; i++) {
    const next = scheduler.pick()!
    const time = next === long ? 20 : 1
    next.runtime += time
    next.virtualRuntime += (time * 1000) / next.shares
    scheduler.add(next)
  }

  assert.ok(Math.abs(long.runtime / short.runtime - 2) < 0.01)
})

test('a queue that slept gets no credit for it', () => {
  const scheduler = new Scheduler<Queue>()
  const [busy, sleeper] = [queue(), queue()]
  scheduler.wake(busy)
  for (let i = 0; i < 1000; i++) turn(scheduler, 10)

  scheduler.wake(sleeper)
  for (let i = 0; i < 100; i++) turn(scheduler, 10)

  assert.ok(sleeper.runtime <= 510, `the sleeper ran ${sleeper.runtime} of 1000`)
})

test('a queue that slept keeps what it owes', () => {
  const scheduler = new Scheduler<Queue>()
  const [greedy, modest] = [queue(), queue()]
  scheduler.wake(greedy)
  scheduler.wake(modest)
  const first = scheduler.pick()!
  first.virtualRuntime += 1000

  scheduler.wake(first)
  const order = Array.from({ length: 5 }, () => turn(scheduler, 100))

  assert.ok(order.every((one) => one !== first))
})

test('a queue that yields lets another go first, once', () => {
  const scheduler = new Scheduler<Queue>()
  const [favoured, other] = [queue(1000), queue(1)]
  scheduler.wake(favoured)
  scheduler.wake(other)
  turn(scheduler, 1)
  turn(scheduler, 1)
  assert.equal(turn(scheduler, 1), favoured, 'it has far less virtual time')

  favoured.hasYielded = true

  assert.equal(turn(scheduler, 1), other)
  assert.equal(turn(scheduler, 1), favoured)
})

test('a queue that yields runs on when it is alone', () => {
  const scheduler = new Scheduler<Queue>()
  const alone = queue()
  scheduler.wake(alone)
  alone.hasYielded = true

  assert.equal(scheduler.pick(), alone)
  assert.equal(alone.hasYielded, false)
  assert.equal(scheduler.pick(), undefined)
})

test('a yield is forgotten once another queue has had a turn', () => {
  const scheduler = new Scheduler<Queue>()
  const [light, heavy] = [queue(), queue(1)]
  scheduler.wake(light)
  scheduler.wake(heavy)
  assert.equal(turn(scheduler, 1), light)
  light.hasYielded = true
  assert.equal(turn(scheduler, 1), heavy)

  light.hasYielded = true

  assert.equal(turn(scheduler, 1), light, 'the other has just gone first')
})

test('rescale() lets a queue that gets more shares wait no longer than they say', () => {
  const scheduler = new Scheduler<Queue>()
  const [poor, rich] = [queue(1), queue(1000)]
  scheduler.wake(poor)
  scheduler.wake(rich)
  turn(scheduler, 10)
  assert.equal(turn(scheduler, 10), rich)
  assert.equal(poor.virtualRuntime, 10_000)

  scheduler.rescale(poor, 1000)

  assert.ok(poor.virtualRuntime <= 20)
  const next = [turn(scheduler, 10), turn(scheduler, 10), turn(scheduler, 10)]
  assert.ok(next.includes(poor))
})

test('rescale() of a queue that sleeps counts when it wakes', () => {
  const scheduler = new Scheduler<Queue>()
  const sleeper = queue()
  sleeper.virtualRuntime = 5000

  scheduler.rescale(sleeper, 10)
  scheduler.wake(sleeper)

  assert.equal(scheduler.pick(), sleeper)
  assert.equal(sleeper.virtualRuntime, 500)
})

test('equals go in the order in which they became runnable', () => {
  const scheduler = new Scheduler<Queue>()
  const queues = Array.from({ length: 20 }, () => queue())
  for (const one of queues) scheduler.wake(one)

  const picked = queues.map(() => scheduler.pick())

  assert.deepEqual(picked, queues)
})

test('nobody waits for more than the turns of the others, whatever the shares', () => {
  const all = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 2, maxLength: 5 })
  fc.assert(
    fc.property(all, (shares) => {
      const scheduler = new Scheduler<Queue>()
      const queues = shares.map(queue)
      for (const one of queues) scheduler.wake(one)
      const total = shares.reduce((sum, share) => sum + share)
      const least = Math.min(...shares)

      const seen = new Set<Queue>()
      for (let i = 0; i < (total / least + 1) * 2; i++) seen.add(turn(scheduler, 1))

      assert.equal(seen.size, queues.length)
    }),
  )
})

test('remove() of a queue that is not runnable is nothing', () => {
  const scheduler = new Scheduler<Queue>()
  const [one, two] = [queue(), queue()]
  scheduler.wake(one)

  scheduler.remove(two)
  scheduler.remove(one)

  assert.equal(scheduler.size, 0)
})
