import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Claim, type Schedulable, Scheduler } from '../../src/executor/scheduler.ts'

interface Queue extends Schedulable {
  shares: number
  runtime: number
}

function queue(shares = 1000, claim: Claim | null = null): Queue {
  return {
    heapIndex: -1,
    virtualRuntime: 0,
    order: 0,
    hasYielded: false,
    shares,
    isHost: claim?.isHost === true,
    claim,
    runtime: 0,
  }
}

/** Runs the next for some time, and puts it back. */
function turn(scheduler: Scheduler<Queue>, time: number): Queue {
  const next = scheduler.pick()!
  next.runtime += time
  scheduler.charge(next, time)
  scheduler.add(next, 0)
  return next
}

test('busy queues run in proportion to their shares, whatever those are', () => {
  const shares = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 2, maxLength: 6 })
  fc.assert(
    fc.property(shares, fc.integer({ min: 1, max: 50 }), (all, time) => {
      const scheduler = new Scheduler<Queue>()
      const queues = all.map((share) => queue(share))
      for (const one of queues) scheduler.wake(one, 0)

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
  scheduler.wake(long, 0)
  scheduler.wake(short, 0)

  for (let i = 0; i < 10_000; i++) {
    const next = scheduler.pick()!
    const time = next === long ? 20 : 1
    next.runtime += time
    scheduler.charge(next, time)
    scheduler.add(next, 0)
  }

  assert.ok(Math.abs(long.runtime / short.runtime - 2) < 0.01)
})

test('a queue that slept gets no credit for it', () => {
  const scheduler = new Scheduler<Queue>()
  const [busy, sleeper] = [queue(), queue()]
  scheduler.wake(busy, 0)
  for (let i = 0; i < 1000; i++) turn(scheduler, 10)

  scheduler.wake(sleeper, 0)
  for (let i = 0; i < 100; i++) turn(scheduler, 10)

  assert.ok(sleeper.runtime <= 510, `the sleeper ran ${sleeper.runtime} of 1000`)
})

test('a queue that slept keeps what it owes', () => {
  const scheduler = new Scheduler<Queue>()
  const [greedy, modest] = [queue(), queue()]
  scheduler.wake(greedy, 0)
  scheduler.wake(modest, 0)
  const first = scheduler.pick()!
  first.virtualRuntime += 1000

  scheduler.wake(first, 0)
  const order = Array.from({ length: 5 }, () => turn(scheduler, 100))

  assert.ok(order.every((one) => one !== first))
})

test('a queue that yields lets another go first, once', () => {
  const scheduler = new Scheduler<Queue>()
  const [favoured, other] = [queue(1000), queue(1)]
  scheduler.wake(favoured, 0)
  scheduler.wake(other, 0)
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
  scheduler.wake(alone, 0)
  alone.hasYielded = true

  assert.equal(scheduler.pick(), alone)
  assert.equal(alone.hasYielded, false)
  assert.equal(scheduler.pick(), undefined)
})

test('a yield is forgotten once another queue has had a turn', () => {
  const scheduler = new Scheduler<Queue>()
  const [light, heavy] = [queue(), queue(1)]
  scheduler.wake(light, 0)
  scheduler.wake(heavy, 0)
  assert.equal(turn(scheduler, 1), light)
  light.hasYielded = true
  assert.equal(turn(scheduler, 1), heavy)

  light.hasYielded = true

  assert.equal(turn(scheduler, 1), light, 'the other has just gone first')
})

test("a queue that yields lets another go first also where Node's loop goes in between", () => {
  const scheduler = new Scheduler<Queue>()
  const [light, heavy, node] = [queue(), queue(1), host()]
  scheduler.wake(light, 0)
  scheduler.wake(heavy, 0)
  turn(scheduler, 1)
  turn(scheduler, 1)
  assert.equal(turn(scheduler, 1), light)

  light.hasYielded = true
  scheduler.wake(node, 0)
  assert.equal(scheduler.pick(), node)

  assert.equal(turn(scheduler, 1), heavy)
  assert.equal(turn(scheduler, 1), light)
})

test("a queue that yields beside Node's loop alone lets that go first, once", () => {
  const scheduler = new Scheduler<Queue>()
  const [busy, node] = [queue(), { ...queue(1), isHost: true }]
  scheduler.wake(busy, 0)
  scheduler.wake(node, 0)
  node.virtualRuntime = 1
  assert.equal(turn(scheduler, 1e-3), busy)

  busy.hasYielded = true

  assert.equal(turn(scheduler, 1), node)
  assert.equal(turn(scheduler, 1e-3), busy)
})

test('rescale() lets a queue that gets more shares wait no longer than they say', () => {
  const scheduler = new Scheduler<Queue>()
  const [poor, rich] = [queue(1), queue(1000)]
  scheduler.wake(poor, 0)
  scheduler.wake(rich, 0)
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
  scheduler.wake(sleeper, 0)

  assert.equal(scheduler.pick(), sleeper)
  assert.equal(sleeper.virtualRuntime, 500)
})

test('equals go in the order in which they became runnable', () => {
  const scheduler = new Scheduler<Queue>()
  const queues = Array.from({ length: 20 }, () => queue())
  for (const one of queues) scheduler.wake(one, 0)

  const picked = queues.map(() => scheduler.pick())

  assert.deepEqual(picked, queues)
})

test('nobody waits for more than the turns of the others, whatever the shares', () => {
  const all = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 2, maxLength: 5 })
  fc.assert(
    fc.property(all, (shares) => {
      const scheduler = new Scheduler<Queue>()
      const queues = shares.map((share) => queue(share))
      for (const one of queues) scheduler.wake(one, 0)
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
  scheduler.wake(one, 0)

  scheduler.remove(two)
  scheduler.remove(one)

  assert.equal(scheduler.size, 0)
})

const MS = 1e6

/** A queue with a latency class of so many milliseconds. */
function urgent(latencyMs: number, shares = 1000): Queue {
  return queue(shares, new Claim(latencyMs * MS, shares))
}

/** Node's loop. */
function host(shares = 1000): Queue {
  return queue(shares, new Claim(MS, shares, true))
}

/** Runs all, which never sleep, for turns of the lengths given; returns what part of the time each got. */
function saturate(all: readonly (readonly [Queue, number])[], totalNs: number): number[] {
  const scheduler = new Scheduler<Queue>()
  const turnNs = new Map(all)
  for (const one of turnNs.keys()) scheduler.wake(one, 0)
  let nowNs = 0
  while (nowNs < totalNs) {
    const next = scheduler.pick()!
    const elapsedNs = turnNs.get(next)!
    nowNs += elapsedNs
    next.runtime += elapsedNs
    scheduler.charge(next, elapsedNs)
    scheduler.add(next, nowNs)
  }
  return all.map(([{ runtime }]) => runtime / nowNs)
}

test('a queue with a class goes before fifty busy ones as it wakes', () => {
  const scheduler = new Scheduler<Queue>()
  const busy = Array.from({ length: 50 }, () => queue())
  for (const one of busy) scheduler.wake(one, 0)
  for (let i = 0; i < 500; i++) turn(scheduler, 0.5 * MS)
  const serving = urgent(2)

  for (let i = 0; i < 100; i++) {
    scheduler.wake(serving, 0)
    assert.equal(scheduler.hasUrgent(), true)
    const next = scheduler.pick()!
    scheduler.charge(next, 0.1 * MS)
    assert.equal(next, serving)
    assert.notEqual(turn(scheduler, 0.5 * MS), serving)
  }
})

test('of two classes the one whose bound is next goes first', () => {
  const scheduler = new Scheduler<Queue>()
  const [loose, tight] = [urgent(10), urgent(2)]
  scheduler.wake(loose, 0)
  scheduler.wake(tight, 1 * MS)

  assert.equal(scheduler.pick(), tight)
  scheduler.add(tight, 9 * MS)
  assert.equal(scheduler.pick(), loose)
})

test('a saturated class leaves a quarter of the time to those without', () => {
  const busy = Array.from({ length: 8 }, () => [queue(), 0.5 * MS] as const)

  const [serving, ...others] = saturate([[urgent(2), 0.1 * MS], ...busy], 10_000 * MS)

  assert.ok(Math.abs(serving! - 0.75) < 0.01, `${serving}`)
  for (const part of others) assert.ok(Math.abs(part - 0.25 / 8) < 0.005, `${part}`)
})

test('a class of few shares has as little credit', () => {
  const all = [
    [urgent(2, 10), 0.1 * MS],
    [queue(), 0.5 * MS],
  ] as const

  const [serving] = saturate(all, 10_000 * MS)

  assert.ok(serving! < 0.04, `${serving}`)
})

test("Node's loop has three quarters by its class, and queues share the rest", () => {
  for (const iterationMs of [0.002, 0.3, 20]) {
    const busy = Array.from({ length: 50 }, () => [queue(), 0.5 * MS] as const)
    const all = [[host(), iterationMs * MS], [urgent(2), 0.05 * MS], ...busy] as const

    const [node, serving, ...others] = saturate(all, 20_000 * MS)

    assert.ok(Math.abs(node! - 0.75) < 0.02, `${iterationMs}: ${node}`)
    assert.ok(Math.abs(serving! - 0.25 * 0.75) < 0.02, `${iterationMs}: ${serving}`)
    const rest = others.reduce((sum, part) => sum + part)
    assert.ok(Math.abs(rest - 0.25 * 0.25) < 0.02, `${iterationMs}: ${rest}`)
  }
})

test("Node's loop without a class has its share", () => {
  const node = queue(1000)

  const [part] = saturate(
    [
      [node, 20 * MS],
      [queue(), 0.5 * MS],
      [queue(), 0.5 * MS],
    ],
    10_000 * MS,
  )

  assert.ok(Math.abs(part! - 1 / 3) < 0.02, `${part}`)
})

test('one turn of any length is not held against a class for long', () => {
  const scheduler = new Scheduler<Queue>()
  const [node, busy] = [host(), queue()]
  scheduler.wake(node, 0)
  scheduler.wake(busy, 0)
  assert.equal(turn(scheduler, 3_600_000 * MS), node)

  let turnCount = 1
  while (turn(scheduler, 0.5 * MS) !== node) turnCount++

  // A third of 32 ms.
  assert.ok(turnCount <= 23, `${turnCount} turns of another went first`)
})

test('an idle while gives a class no more than 8 ms', () => {
  const scheduler = new Scheduler<Queue>()
  const [serving, busy] = [urgent(2), queue()]
  scheduler.wake(busy, 0)
  for (let i = 0; i < 1000; i++) turn(scheduler, MS)
  scheduler.wake(serving, 0)

  let turnCount = 0
  while (turn(scheduler, MS) === serving) turnCount++

  assert.equal(turnCount, 8)
})

test('a thousand classes that wake at once let a queue without one go after a round of theirs', () => {
  const scheduler = new Scheduler<Queue>()
  const busy = queue()
  scheduler.wake(busy, 0)
  for (let i = 0; i < 10_000; i++) turn(scheduler, 0.1 * MS)
  for (let i = 0; i < 1000; i++) scheduler.wake(urgent(2), 0)

  let waitedNs = 0
  while (turn(scheduler, 0.1 * MS) !== busy) waitedNs += 0.1 * MS

  // 100 ms for a turn of each, and what the first of them may run ahead.
  assert.ok(waitedNs <= 350 * MS, `it waited for ${waitedNs / MS} ms`)
})

test('a process that was stopped for an hour does not stop the queue whose turn it was for longer than a second', () => {
  const scheduler = new Scheduler<Queue>()
  const [stopped, busy] = [queue(), queue()]
  scheduler.wake(stopped, 0)
  scheduler.wake(busy, 0)
  assert.equal(turn(scheduler, 3_600_000 * MS), stopped)

  let otherNs = 0
  while (turn(scheduler, MS) !== stopped) otherNs += MS

  assert.ok(otherNs <= 1001 * MS, `another ran for ${otherNs / MS} ms`)
})

test('rescale() of a class changes what it gains from then on', () => {
  const scheduler = new Scheduler<Queue>()
  const [serving, busy] = [{ ...urgent(2), shares: 1000 }, queue()]
  scheduler.wake(serving, 0)
  scheduler.wake(busy, 0)
  while (turn(scheduler, MS) === serving);

  serving.shares = 10
  scheduler.rescale(serving, 0.01)

  let otherCount = 0
  for (let i = 0; i < 1000; i++) if (turn(scheduler, MS) === busy) otherCount++
  assert.ok(otherCount > 900, `${otherCount} turns of the other`)
})

test('heaps and claims stay in step, whatever happens', () => {
  const action = fc.record({
    index: fc.nat(5),
    kind: fc.constantFrom('wake', 'pick', 'remove', 'rescale', 'yield'),
    ns: fc.integer({ min: 0, max: 40 * MS }),
  })
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
      const scheduler = new Scheduler<Queue>()
      const all = [queue(), queue(10), urgent(1), urgent(5), urgent(3, 10), host()]
      for (const { index, kind, ns } of actions) {
        const one = all[index]!
        if (kind === 'yield') one.hasYielded = true
        if (kind === 'wake' && one.heapIndex === -1) scheduler.wake(one, ns)
        if (kind === 'remove') scheduler.remove(one)
        if (kind === 'rescale') scheduler.rescale(one, 0.5)
        if (kind !== 'pick') continue
        const next = scheduler.pick()
        if (next !== undefined) scheduler.charge(next, ns)
      }

      const runnable = all.filter(({ heapIndex }) => heapIndex !== -1)
      assert.equal(scheduler.size, runnable.length)
      const picked = runnable.map(() => scheduler.pick())
      assert.equal(new Set(picked).size, runnable.length)
      assert.equal(scheduler.pick(), undefined)
      assert.equal(scheduler.hasUrgent(), false)
    }),
  )
})
