import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  BacklogController,
  type BacklogControllerOptions,
  type BacklogPoint,
} from '../../src/controllers/index.ts'
import { createTaskQueue, spawn, spawnInto, type Task, yieldNow } from '../../src/index.ts'
import { seeds } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { beBusy, simulateSlices, useSlice } from './labour.ts'

const POINTS: readonly BacklogPoint[] = [
  [10, 20],
  [100, 200],
  [1000, 1000],
]

test('shares() are those of the points, and on straight lines between', () => {
  let backlog = 0
  const controller = new BacklogController(() => backlog, { points: POINTS })
  const table = [
    [0, 20],
    [10, 20],
    [55, 110],
    [100, 200],
    [550, 600],
    [1000, 1000],
    [1e12, 1000],
    [Number.POSITIVE_INFINITY, 1000],
  ]
  for (const [at, shares] of table) {
    backlog = at!
    assert.equal(controller.shares(), shares, `at ${at}`)
  }
})

test('shares() stay where the backlog is not known', () => {
  let answer: () => number = () => 100
  const controller = new BacklogController(() => answer(), { points: POINTS })
  controller.shares()
  const unknown: (() => number)[] = [
    () => Number.NaN,
    () => -1,
    () => undefined as unknown as number,
    () => {
      throw new Error('nobody knows')
    },
  ]
  for (const next of unknown) {
    answer = next
    assert.equal(controller.shares(), 200)
  }
})

test('disable() fixes the shares, bumpPriority() holds them up', () => {
  const controller = new BacklogController(() => 0, { points: POINTS })
  const bump = controller.bumpPriority()
  const bumped = controller.shares()
  controller.disable(7)
  const fixed = controller.shares()
  controller.enable()
  bump.release()

  assert.deepEqual([bumped, fixed, controller.shares()], [250, 7, 20])
  assert.deepEqual(controller.status(), { isEnabled: true, shares: 20, bumpCount: 0 })
})

test('work that comes steadily is kept up with, and a step in it too', async () => {
  for (const seed of seeds(5)) {
    await simulateSlices(seed, async () => {
      const rival = beBusy(1000)
      // Milliseconds of the thread that are still to be used.
      let backlogMs = 0
      let comingPerMs = 0.1
      const shares = new BacklogController(() => backlogMs, {
        points: [
          [0, 1],
          [1000, 1000],
        ],
        adjustmentPeriodMs: 20,
      })
      const queue = createTaskQueue('compaction', { shares })
      const coming = spawn(async (self: Task<void>) => {
        while (!self.isCancelled) {
          await sleep(10)
          backlogMs += 10 * comingPerMs
        }
      })
      const working = spawnInto(queue, async (self: Task<void>) => {
        while (!self.isCancelled) {
          if (backlogMs > 0) backlogMs -= Math.min(useSlice(), backlogMs)
          await (backlogMs > 0 ? yieldNow() : sleep(1))
        }
      })

      await sleep(10_000)
      const low = queue.shares
      comingPerMs = 0.4
      await sleep(10_000)
      const high = queue.shares

      // A share of 0.1 beside 1000 is 111; of 0.4 it is 667.
      assert.ok(low > 60 && low < 200, `${low} shares`)
      assert.ok(high > 450 && high < 900, `${high} shares`)
      for (const task of [coming, working, rival.task]) await task.cancel()
    })
  }
})

test('the constructor refuses what is wrong', () => {
  const create = (options: unknown) => () =>
    new BacklogController(() => 0, options as BacklogControllerOptions)
  for (const points of [undefined, 5, [1, 2], [['1', 2]]]) {
    assert.throws(create({ points }), TypeError)
  }
  const wrong = [
    [],
    [[-1, 5]],
    [[Number.NaN, 5]],
    [[0, 0]],
    [[0, 1001]],
    [
      [0, 5],
      [0, 6],
    ],
    [
      [0, 5],
      [1, 4],
    ],
  ]
  for (const points of wrong) assert.throws(create({ points }), RangeError, JSON.stringify(points))
  assert.throws(create({ points: POINTS, adjustmentPeriodMs: 0.5 }), RangeError)
  assert.throws(() => new BacklogController(5 as never, { points: POINTS }), TypeError)
})
