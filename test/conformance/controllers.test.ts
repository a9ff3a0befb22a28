/** Glommio's behaviours of the deadline queue: row 110. In virtual time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DeadlineQueue, type DeadlineSource } from '../../src/controllers/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'

/** What the tests of Glommio use: work that is done when it is told to be. */
class Told implements DeadlineSource<string> {
  readonly durationMs: number
  readonly total: number
  done = 0

  constructor(durationMs: number, total: number) {
    this.durationMs = durationMs
    this.total = total
  }

  totalUnits(): number {
    return this.total
  }

  processedUnits(): number {
    return this.done
  }

  async run(): Promise<string> {
    await sleep(this.durationMs)
    return 'done'
  }
}

const PERIOD_MS = 10

function conforms(name: string, body: (queue: DeadlineQueue) => Promise<void>): void {
  test(`110: ${name}`, () =>
    simulate(1, async () => {
      const queue = new DeadlineQueue('test', { adjustmentPeriodMs: PERIOD_MS })
      await body(queue)
    }))
}

conforms('a deadline before one that is queued is refused', async (queue) => {
  const first = queue.push(new Told(1000, 1))
  assert.throws(() => queue.push(new Told(500, 1)), RangeError)
  const later = queue.push(new Told(2000, 1))
  await Promise.all([first, later])

  assert.equal(await queue.push(new Told(10, 1)), 'done')
})

conforms('no units at all are fine', async (queue) => {
  const before = queue.taskQueue.shares
  const work = queue.push(new Told(500, 0))
  await sleep(250)
  const { shares } = queue.taskQueue

  assert.equal(await work, 'done')
  assert.equal(shares, before)
})

conforms('work that is done is forgotten', async (queue) => {
  await queue.push(new Told(100, 10))

  assert.equal(queue.status().workCount, 0)
})

conforms('more than there is to do counts as all of it, and leaves one share', async (queue) => {
  const work = new Told(2000, 100)
  const end = queue.push(work)
  work.done = 1000
  await sleep(1000)

  assert.equal(queue.taskQueue.shares, 1)
  await end
})

conforms('shares rise above 800 while nothing is done', async (queue) => {
  const end = queue.push(new Told(1000, 1000))
  await sleep(900)

  assert.ok(queue.taskQueue.shares > 800, `${queue.taskQueue.shares} shares`)
  await end
})

conforms('shares never jump by 200 while work is done smoothly', async (queue) => {
  const work = new Told(1000, 1000)
  const end = queue.push(work)
  let before = queue.taskQueue.shares
  for (let i = 0; i < 90; i++) {
    await sleep(PERIOD_MS)
    work.done += PERIOD_MS / 0.95
    const { shares } = queue.taskQueue
    assert.ok(Math.abs(shares - before) < 200, `from ${before} to ${shares}`)
    before = shares
  }
  await end
})

conforms('a second piece of work steepens the line', async (queue) => {
  const first = new Told(10_000, 1000)
  const end = queue.push(first)
  const follow = async (): Promise<void> => {
    for (let i = 0; i < 100; i++) {
      await sleep(PERIOD_MS)
      first.done += PERIOD_MS / 9.5
    }
  }
  await follow()
  const alone = queue.taskQueue.shares
  const second = queue.push(new Told(10_000, 1000))
  await follow()
  const together = queue.taskQueue.shares

  assert.ok(together > 2 * alone, `from ${alone} to ${together}`)
  await Promise.all([end.cancel(), second.cancel()])
})
