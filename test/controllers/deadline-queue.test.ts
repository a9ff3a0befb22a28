/** Step responses of the deadline queue, in virtual time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DeadlineQueue, type DeadlineSource } from '../../src/controllers/index.ts'
import { executor, spawn } from '../../src/index.ts'
import { seeds } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { beBusy, Labour, simulateSlices } from './labour.ts'

const DURATION_MS = 10_000
const PERIOD_MS = 100
const SEEDS = 3
/** How much before its deadline work may end, and how much after, where the machine can do it. */
const EARLY = 0.15
const LATE = 0.02

function assertInTime(endMs: number, durationMs = DURATION_MS): void {
  const part = endMs / durationMs
  assert.ok(
    part > 1 - EARLY && part < 1 + LATE,
    `it ended after ${Math.round(part * 100)} % of its time`,
  )
}

function createQueue(name = 'deadlines'): DeadlineQueue {
  return new DeadlineQueue(name, { adjustmentPeriodMs: PERIOD_MS })
}

/** A source that says what it is told to. */
function say(
  durationMs: number,
  total: () => number,
  done: () => number,
  endMs = durationMs,
): DeadlineSource<void> {
  return { durationMs, totalUnits: total, processedUnits: done, run: () => sleep(endMs) }
}

for (const [needMs, rival] of [
  [3000, 1000],
  [3000, 100],
  [500, 1000],
] as const) {
  test(`work of ${needMs} ms ends by its deadline, and not much before, beside a rival of ${rival} shares`, async () => {
    for (const seed of seeds(SEEDS)) {
      await simulateSlices(seed, async () => {
        const { task } = beBusy(rival)

        assertInTime(await createQueue().push(new Labour(DURATION_MS, needMs)))

        await task.cancel()
      })
    }
  })
}

test('a rival that comes and goes does not make work late', async () => {
  for (const seed of seeds(SEEDS)) {
    await simulateSlices(seed, async () => {
      const queue = createQueue()
      const first = beBusy(200)
      const step = spawn(async () => {
        await sleep(DURATION_MS * 0.3)
        const second = beBusy(1000)
        await sleep(DURATION_MS * 0.3)
        await second.task.cancel()
      })

      assertInTime(await queue.push(new Labour(DURATION_MS, 3000)))

      await step
      await first.task.cancel()
    })
  }
})

test('two deadline queues and a rival share the thread so that both are in time', async () => {
  for (const seed of seeds(SEEDS)) {
    await simulateSlices(seed, async () => {
      const { task } = beBusy(500)

      const ends = await Promise.all([
        createQueue('a').push(new Labour(DURATION_MS, 2500)),
        createQueue('b').push(new Labour(DURATION_MS, 3500)),
      ])

      for (const endMs of ends) assertInTime(endMs)
      await task.cancel()
    })
  }
})

test('work that cannot be in time has all shares from its deadline on, and what follows is not held to them', async () => {
  await simulateSlices(1, async () => {
    const { task } = beBusy(1000)
    const queue = createQueue()
    const late = queue.push(new Labour(2000, 4000))
    await sleep(2000 + 2 * PERIOD_MS)

    assert.equal(queue.taskQueue.shares, 1000)
    assert.equal(queue.status().isLate, true)
    await late

    const relaxed = queue.push(new Labour(DURATION_MS, 2000))
    await sleep(DURATION_MS / 4)
    assert.ok(queue.taskQueue.shares < 600, `${queue.taskQueue.shares} shares`)
    assertInTime(await relaxed)
    await task.cancel()
  })
})

test('what is disabled stands still, and does not wind up', async () => {
  for (const seed of seeds(SEEDS)) {
    await simulateSlices(seed, async () => {
      const { task } = beBusy(1000)
      const queue = createQueue()
      const labour = new Labour(DURATION_MS, 2000)
      const end = queue.push(labour)

      queue.disable(1)
      await sleep(DURATION_MS * 0.4)
      const whileDisabled = [queue.taskQueue.shares, queue.status().isEnabled]
      queue.enable()

      assert.deepEqual(whileDisabled, [1, false])
      assert.ok(queue.status().lagMs > DURATION_MS * 0.3)
      // It catches up, then goes on along the line: an integral that had grown meanwhile would overshoot.
      assertInTime(await end)
      await task.cancel()
    })
  }
})

test('enable() of work on its line goes on from the shares that were fixed', async () => {
  await simulateSlices(1, async () => {
    let done = 0
    const queue = createQueue()
    const work = queue.push(
      say(
        10_000,
        () => 9500,
        () => done,
      ),
    )
    const follow = async (periodCount: number): Promise<void> => {
      for (let i = 0; i < periodCount; i++) {
        await sleep(PERIOD_MS)
        done += PERIOD_MS
      }
    }
    queue.disable(300)
    await follow(20)
    queue.enable()
    await follow(3)

    assert.ok(
      queue.taskQueue.shares > 150 && queue.taskQueue.shares < 600,
      `${queue.taskQueue.shares}`,
    )
    await work.cancel()
  })
})

test('bumpPriority() holds the shares of work that is ahead at 250, until it is released', async () => {
  await simulateSlices(1, async () => {
    const queue = createQueue()
    const work = queue.push(
      say(
        60_000,
        () => 100,
        () => 100,
      ),
    )
    await sleep(5000)
    const shares = [queue.taskQueue.shares]
    {
      using _first = queue.bumpPriority()
      const second = queue.bumpPriority()
      await sleep(2 * PERIOD_MS)
      shares.push(queue.taskQueue.shares)
      second.release()
      second.release()
      await sleep(2 * PERIOD_MS)
      shares.push(queue.taskQueue.shares)
      assert.equal(queue.status().bumpCount, 1)
    }
    await sleep(2 * PERIOD_MS)
    shares.push(queue.taskQueue.shares)

    assert.deepEqual(shares, [1, 250, 250, 1])
    await work.cancel()
  })
})

test('sources that lie, fail or go backwards leave shares in their bounds, and the work its result', async () => {
  const lies: [string, () => number, () => number][] = [
    ['NaN', () => 100, () => Number.NaN],
    ['less than nothing', () => 100, () => -5],
    ['more than there is', () => 100, () => 1e9],
    ['infinity', () => 100, () => Number.POSITIVE_INFINITY],
    ['a failure', () => 100, () => fail()],
    ['another total each time', () => Math.random() * 1000, () => 10],
    ['backwards', () => 100, () => 100 - ((executor().nowNs() / 1e8) % 100)],
    ['no number', () => 100, () => 'many' as unknown as number],
  ]
  function fail(): never {
    throw new Error('nobody knows')
  }
  for (const [name, total, done] of lies) {
    await simulateSlices(1, async () => {
      const queue = createQueue()
      let isHonest = true
      const work = queue.push(
        say(
          3000,
          () => (isHonest ? 100 : total()),
          () => (isHonest ? 0 : done()),
          5000,
        ),
      )
      isHonest = false
      for (let i = 0; i < 45; i++) {
        await sleep(PERIOD_MS)
        const { shares } = queue.taskQueue
        assert.ok(shares >= 1 && shares <= 1000, `${name}: ${shares} shares`)
      }
      assert.equal(queue.taskQueue.shares, 1000, `${name}: past its deadline`)
      await work
    })
  }
})

test('work that is done in big parts is in time, and does not make shares swing', async () => {
  const durationMs = 40_000
  for (const seed of seeds(SEEDS)) {
    await simulateSlices(seed, async () => {
      const { task } = beBusy(1000)
      const queue = createQueue()
      const labour = new Labour(durationMs, 12_000)
      const end = queue.push({
        durationMs,
        totalUnits: () => 40,
        processedUnits: () => Math.floor((40 * labour.doneMs) / labour.needMs),
        run: () => labour.run(),
      })
      const seen: number[] = []
      await sleep(durationMs / 2)
      for (let i = 0; i < 150; i++) {
        await sleep(PERIOD_MS)
        seen.push(queue.taskQueue.shares)
      }

      const [least, most] = [Math.min(...seen), Math.max(...seen)]
      assert.ok(least > 150 && most < 900, `${least} to ${most}`)
      assertInTime(await end, durationMs)
      await task.cancel()
    })
  }
})

test('cancelling queued work withdraws it, and what comes behind it goes on', async () => {
  await simulateSlices(1, async () => {
    const queue = createQueue()
    const order: string[] = []
    const work = (name: string) => ({
      durationMs: 1000,
      totalUnits: () => 1,
      processedUnits: () => 0,
      run: async () => {
        order.push(name)
        await sleep(100)
        return name
      },
    })
    const [a, b, c] = ['a', 'b', 'c'].map((name) => queue.push(work(name)))
    await sleep(10)
    assert.equal(queue.status().workCount, 3)
    await b!.cancel()

    assert.deepEqual(await Promise.all([a, c]), ['a', 'c'])
    assert.deepEqual(order, ['a', 'c'])
    assert.equal(queue.status().workCount, 0)
    queue.taskQueue.remove()
  })
})

test('work that fails fails its own caller alone', async () => {
  await simulateSlices(1, async () => {
    const queue = createQueue()
    const failing = queue.push({
      durationMs: 100,
      totalUnits: () => 1,
      processedUnits: () => 0,
      run: () => Promise.reject(new Error('no luck')),
    })
    const next = queue.push(
      say(
        100,
        () => 1,
        () => 1,
        10,
      ),
    )

    await assert.rejects(failing, { message: 'no luck' })
    await next
  })
})

test('push() and the constructor refuse what is wrong', async () => {
  await simulateSlices(1, async () => {
    const queue = createQueue()
    const good = say(
      100,
      () => 1,
      () => 0,
      1,
    )
    const wrong: [Partial<Record<keyof DeadlineSource<void>, unknown>>, string][] = [
      [{ durationMs: 0 }, 'RangeError'],
      [{ durationMs: Number.NaN }, 'RangeError'],
      [{ durationMs: '1' }, 'TypeError'],
      [{ totalUnits: 5 }, 'TypeError'],
      [{ totalUnits: () => Number.NaN }, 'RangeError'],
      [{ processedUnits: () => -1 }, 'RangeError'],
      [{ processedUnits: () => undefined }, 'TypeError'],
      [{ run: undefined }, 'TypeError'],
    ]
    for (const [change, name] of wrong) {
      assert.throws(() => queue.push({ ...good, ...change } as DeadlineSource<void>), { name })
    }
    assert.equal(queue.status().workCount, 0)
    for (const options of [
      { adjustmentPeriodMs: 0 },
      { initialShares: 0 },
      { initialShares: 1001 },
    ]) {
      assert.throws(() => new DeadlineQueue('wrong', options), RangeError)
    }
    assert.throws(() => new DeadlineQueue('wrong', { period: 5 } as object), TypeError)
    for (const shares of [0, 1001, 1.5]) assert.throws(() => queue.disable(shares), RangeError)
  })
})
