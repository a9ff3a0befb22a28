import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_QUEUE } from '../../src/base/index.ts'
import {
  attachExecutor,
  createTaskQueue,
  executor,
  spawnInto,
  yieldNow,
} from '../../src/executor/index.ts'
import { DOUBLE_TURNS } from '../../src/kernel/index.ts'
import { encodeNop, Operation } from '../../src/ring/index.ts'
import { nop } from './operations.ts'

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

test('a batch of quick waiters is followed up within the turn', async () => {
  const queue = createTaskQueue('quick')
  const task = spawnInto(queue, async () => {
    for (let index = 0; index < 1000; index++) await yieldNow()
  })

  await task

  const { settledCount, turnCount } = queue.stats()
  assert.ok(settledCount >= 4 * turnCount, `${settledCount} settled in ${turnCount} turns`)
})

test('many operations that complete at once are followed up within the turn', async () => {
  const { defaultQueue } = executor()
  const body = async (): Promise<void> => {
    for (let index = 0; index < 200; index++) await nop()
  }
  await body()
  const before = defaultQueue.stats()

  await Promise.all(Array.from({ length: 8 }, body))

  const after = defaultQueue.stats()
  const settledCount = after.settledCount - before.settledCount
  const turnCount = after.turnCount - before.turnCount
  assert.equal(settledCount, 8 * 200)
  assert.ok(settledCount >= 12 * turnCount, `${settledCount} settled in ${turnCount} turns`)
})

test('operations that submit others as they complete go on within the turn', async () => {
  const { main, control } = executor().reactor
  let leftCount = 1000
  let finish = (): void => {}
  const done = new Promise<void>((resolve) => {
    finish = resolve
  })
  class Chained extends Operation {
    submit(): void {
      encodeNop(main.sqes, main.begin())
      main.commit(this)
    }

    override complete(): void {
      if (leftCount-- > 0) this.submit()
      else finish()
    }

    override run(): void {}
  }
  const turnsFrom = control.doubles[DOUBLE_TURNS]!

  new Chained(NO_QUEUE).submit()
  await done

  const turns = control.doubles[DOUBLE_TURNS]! - turnsFrom
  assert.ok(turns <= 300, `1000 operations in ${turns} rounds of the event loop`)
})

test('a closed executor makes no latency ring', () => {
  executor().close()
  const closed = attachExecutor()
  closed.close()

  assert.throws(() => closed.reactor.latency, { code: 'ERR_EXECUTOR_CLOSED' })
})
