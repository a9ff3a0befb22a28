import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  attachExecutor,
  createTaskQueue,
  executor,
  spawnInto,
  yieldNow,
} from '../../src/executor/index.ts'

const BUSY_MS = 1

test('a turn whose continuations are slow settles no more than its batch, follow-ups included', async () => {
  const queue = createTaskQueue('slow')
  const body = async (): Promise<void> => {
    for (let index = 0; index < 30; index++) {
      await yieldNow()
      const untilMs = performance.now() + BUSY_MS
      while (performance.now() < untilMs);
    }
  }
  const tasks = Array.from({ length: 8 }, () => spawnInto(queue, body))
  // The cost of a waiter is learnt in the first turns.
  while (queue.stats().settledCount < 120) await yieldNow()
  const before = queue.stats()

  await Promise.all(tasks)

  const after = queue.stats()
  const settledCount = after.settledCount - before.settledCount
  const turnCount = after.turnCount - before.turnCount
  assert.ok(settledCount <= 2 * turnCount, `${settledCount} settled in ${turnCount} turns`)
})

test('a small batch of quick waiters is followed up within the turn', async () => {
  const queue = createTaskQueue('quick')
  const task = spawnInto(queue, async () => {
    for (let index = 0; index < 1000; index++) await yieldNow()
  })

  await task

  const { settledCount, turnCount } = queue.stats()
  assert.ok(settledCount >= 4 * turnCount, `${settledCount} settled in ${turnCount} turns`)
})

test('a closed executor makes no latency ring', () => {
  executor().close()
  const closed = attachExecutor()
  closed.close()

  assert.throws(() => closed.reactor.latency, { code: 'ERR_EXECUTOR_CLOSED' })
})
