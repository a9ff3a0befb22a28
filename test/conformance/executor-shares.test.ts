/**
 * Glommio's behaviours of shares: rows 14 to 16, and what follows from them.
 *
 * Work is counted in turns of equal slices and in the run time that these were charged, so that a busy
 * machine, which stretches all slices alike, changes little; each claim has four attempts, each twice as long as the one before.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  attachExecutor,
  createTaskQueue,
  needPreempt,
  type Shares,
  spawnInto,
  type Task,
  type TaskQueue,
  yieldNow,
} from '../../src/index.ts'
import { sleep } from '../../src/time/index.ts'
import { attempt } from '../attempts.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(60_000)
const executor = attachExecutor({ preemptTimerMs: 0.5 })

/** The longest turn of each queue: where the machine has other work it may be many slices. */
const longestNs = new Map<TaskQueue, number>()

async function beBusy(task: Task<void>): Promise<void> {
  const { queue } = task
  let beforeNs = queue.stats().runtimeNs
  while (!task.isCancelled) {
    if (!needPreempt()) continue
    await yieldNow()
    const { runtimeNs } = queue.stats()
    longestNs.set(queue, Math.max(longestNs.get(queue) ?? 0, runtimeNs - beforeNs))
    beforeNs = runtimeNs
  }
}

interface Busy {
  readonly queues: readonly TaskQueue[]
  /** Run time of each since the last call. */
  lap(): number[]
  end(): Promise<void>
}

function startBusy(shares: readonly Shares[]): Busy {
  const queues = shares.map((one, i) => createTaskQueue(`busy ${i}`, { shares: one }))
  const tasks = queues.map((queue) => spawnInto(queue, beBusy))
  let last = queues.map(() => 0)
  return {
    queues,
    lap() {
      const now = queues.map((queue) => queue.stats().runtimeNs)
      const lap = now.map((ns, i) => ns - last[i]!)
      last = now
      return lap
    },
    async end() {
      await Promise.all(tasks.map((task) => task.cancel()))
      for (const queue of queues) queue.remove()
    },
  }
}

/** Waits for so much work of all queues together: more of the clock where the machine is busy. */
async function workFor(busy: Busy, ms: number): Promise<number[]> {
  const done = (): number => busy.queues.reduce((sum, queue) => sum + queue.stats().runtimeNs, 0)
  const endNs = done() + ms * 1e6
  while (done() < endNs) await sleep(5)
  return busy.lap()
}

/**
 * How far busy queues are from the ratio of their shares, as a part of it.
 *
 * Queues are never closer than a turn, so the longest one is taken off: on an idle machine it is a
 * slice of 0.5 ms, which leaves the claim as it is.
 */
function errorOf(queues: readonly TaskQueue[], lap: readonly number[]): number {
  const virtual = lap.map((ns, i) => ns / queues[i]!.shares)
  const turn = Math.max(...queues.map((queue) => (longestNs.get(queue) ?? 0) / queue.shares))
  const [least, most] = [Math.min(...virtual), Math.max(...virtual)]
  return Math.max(0, most - least - turn) / least
}

async function measureError(shares: readonly [number, number], ms: number): Promise<number> {
  const busy = startBusy(shares)
  await workFor(busy, 20)
  longestNs.clear()
  const lap = await workFor(busy, ms)
  const error = errorOf(busy.queues, lap)
  await busy.end()
  return error
}

test('two busy queues of 2:1 run 2:1 within 2 %', LIMIT, async () => {
  await attempt(
    (scale) => measureError([1000, 500], 700 * scale),
    (error) => error < 0.02,
  )
})

test('14: shares of 1000:10 give a ratio of 100 within 10 %', LIMIT, async () => {
  await attempt(
    (scale) => measureError([1000, 10], 1500 * scale),
    (error) => error < 0.1,
  )
})

test('15: equal shares give equal times, within 2 %', LIMIT, async () => {
  await attempt(
    (scale) => measureError([1000, 1000], 700 * scale),
    (error) => error < 0.02,
  )
})

test('many tasks of one queue get no more than its shares', LIMIT, async () => {
  await attempt(
    async (scale) => {
      const busy = startBusy([500, 500])
      const crowd = Array.from({ length: 20 }, () => spawnInto(busy.queues[0]!, beBusy))
      await workFor(busy, 50)
      longestNs.clear()
      const error = errorOf(busy.queues, await workFor(busy, 600 * scale))
      await Promise.all(crowd.map((task) => task.cancel()))
      await busy.end()
      return error
    },
    (error) => error < 0.05,
  )
})

test('an idle queue leaves its share to the others, and gets no credit for it', LIMIT, async () => {
  await attempt(
    async (scale) => {
      const idle = createTaskQueue('idle', { shares: 1000 })
      const busy = startBusy([500, 250])
      longestNs.clear()
      await workFor(busy, 300 * scale)
      // It wakes, and from then on has its share, not what it did not use: that would double its own.
      const late = spawnInto(idle, beBusy)
      const lap = await workFor(busy, 300 * scale)
      const error = errorOf([...busy.queues, idle], [...lap, idle.stats().runtimeNs])
      await late.cancel()
      await busy.end()
      idle.remove()
      return error
    },
    (error) => error < 0.1,
  )
})

test('16: shares that a manager changes take effect', LIMIT, async () => {
  let value = 1
  const busy = startBusy([{ shares: () => value, adjustmentPeriodMs: 5 }, 1000])
  const partWith = (shares: number) => async (scale: number) => {
    value = shares
    await workFor(busy, 100 * scale)
    const [managed, other] = (await workFor(busy, 300 * scale)) as [number, number]
    return managed / (managed + other)
  }

  await attempt(partWith(1), (part) => part < 0.25)
  await attempt(partWith(1000), (part) => part > 0.45 && part < 0.55)

  await busy.end()
})

test('shares hold for queues of many short continuations, too', LIMIT, async () => {
  await attempt(
    async (scale) => {
      const queues = [1000, 500].map((shares, i) => createTaskQueue(`short ${i}`, { shares }))
      const counts = [0, 0]
      const tasks = queues.flatMap((queue, i) =>
        Array.from({ length: 50 }, () =>
          spawnInto(queue, async (task: Task<void>) => {
            while (!task.isCancelled) {
              counts[i]!++
              await yieldNow()
            }
          }),
        ),
      )
      while (counts[0]! + counts[1]! < 300_000 * scale) await sleep(5)
      const ratio = queues[0]!.stats().runtimeNs / queues[1]!.stats().runtimeNs
      await Promise.all(tasks.map((task) => task.cancel()))
      for (const queue of queues) queue.remove()
      return ratio
    },
    (ratio) => ratio > 1.9 && ratio < 2.1,
  )
})

test('the sum of all is what the thread has worked', LIMIT, async () => {
  const startNs = executor.nowNs()
  const before = executor.stats()
  const busy = startBusy([1000, 100])

  await workFor(busy, 200)

  const elapsedNs = executor.nowNs() - startNs
  const runNs = executor.stats().runtimeNs - before.runtimeNs
  await busy.end()
  assert.ok(runNs <= elapsedNs * 1.01, `${runNs} of ${elapsedNs}`)
  assert.ok(runNs >= 200e6)
})
