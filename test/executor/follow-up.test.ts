import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_QUEUE } from '../../src/base/index.ts'
import {
  attachExecutor,
  createTaskQueue,
  executor,
  spawnInto,
  type TaskQueueStats,
  yieldNow,
  yieldQueue,
} from '../../src/executor/index.ts'
import { DOUBLE_TURNS } from '../../src/kernel/index.ts'
import { encodeNop, Operation } from '../../src/ring/index.ts'
import { Semaphore } from '../../src/sync/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { reactorOf } from '../reactor-of.ts'
import { nop } from './operations.ts'

const BUSY_MS = 1

/** Rounds of the event loop so far: what a follow-up saves. */
function rounds(): number {
  return reactorOf(executor()).control.doubles[DOUBLE_TURNS]!
}

/** Declares a test whose counts no clock changes: in simulation JavaScript takes no time, on any machine. */
function testTimeless(name: string, body: () => Promise<void>): void {
  test(name, () => simulate(1, body))
}

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

testTimeless('a batch of quick waiters is followed up within the turn', async () => {
  const queue = createTaskQueue('quick')
  const task = spawnInto(queue, async () => {
    for (let index = 0; index < 1000; index++) await yieldNow()
  })

  await task

  const { settledCount, turnCount } = queue.stats()
  assert.ok(settledCount >= 4 * turnCount, `${settledCount} settled in ${turnCount} turns`)
})

testTimeless('many operations that complete at once are followed up within the turn', async () => {
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

testTimeless(
  'operations behind async functions, or submitted early, are followed up as well',
  async () => {
    const { main } = executor().io
    const behind = async (): Promise<void> => {
      await nop()
    }
    const early = async (): Promise<void> => {
      const operation = nop()
      main.submit()
      await operation
    }
    for (const one of [behind, early]) {
      const body = async (): Promise<void> => {
        for (let index = 0; index < 200; index++) await one()
      }
      await body()
      const roundsFrom = rounds()

      await Promise.all(Array.from({ length: 8 }, body))

      assert.ok(rounds() - roundsFrom <= 150, `200 batches in ${rounds() - roundsFrom} rounds`)
    }
  },
)

testTimeless('what did not pay for long is found to pay again, whatever went before', async () => {
  for (let phase = 0; phase < 16; phase++) {
    for (let index = 0; index < 20 + phase; index++) await sleep(0.01)
    // Within as many turns as the rarest retry needs.
    for (let index = 0; index < 200; index++) await nop()
    const roundsFrom = rounds()

    for (let index = 0; index < 200; index++) await nop()

    const count = rounds() - roundsFrom
    assert.ok(count <= 150, `200 operations in ${count} rounds, ${20 + phase} sleeps before`)
  }
})

test('a turn whose continuations become slow is not followed up', async () => {
  const queue = createTaskQueue('slower')
  let slowFrom: TaskQueueStats | null = null
  const body = async (): Promise<void> => {
    for (let index = 0; index < 100; index++) await yieldNow()
    slowFrom ??= queue.stats()
    for (let index = 0; index < 3; index++) {
      const untilMs = performance.now() + BUSY_MS
      while (performance.now() < untilMs);
      await yieldNow()
    }
  }

  await Promise.all(Array.from({ length: 32 }, () => spawnInto(queue, body)))

  const after = queue.stats()
  const settledCount = after.settledCount - slowFrom!.settledCount
  const turnCount = after.turnCount - slowFrom!.turnCount
  assert.ok(settledCount <= 32 * (turnCount + 1), `${settledCount} settled in ${turnCount} turns`)
})

/**
 * How many pieces of work a queue does in one turn at the most, until Node has got its turn; each ends with an `await`
 * of `rest`.
 */
async function piecesPerTurn(rest: () => Promise<unknown>): Promise<number> {
  const queue = createTaskQueue('uneven')
  let turn = -1
  let pieceCount = 0
  let pieceCountMax = 0
  const countMax = await spawnInto(queue, async () => {
    // What is cheap lets the turn look at the clock seldom.
    for (let index = 0; index < 5_000; index++) await rest()
    let isHostServed = false
    setImmediate(() => {
      isHostServed = true
    })
    while (!isHostServed) {
      const { turnSequence } = executor()
      if (turnSequence !== turn) pieceCount = 0
      turn = turnSequence
      pieceCount++
      pieceCountMax = Math.max(pieceCountMax, pieceCount)
      assert.ok(pieceCount <= 100, 'a turn ends')
      const untilMs = performance.now() + 2 * BUSY_MS
      while (performance.now() < untilMs);
      await rest()
    }
    return pieceCountMax
  })
  queue.remove()
  return countMax
}

test('pieces of work that become long end the turn soon', async () => {
  const permit = new Semaphore(1)
  const take = async (): Promise<void> => (await permit.acquire()).release()

  // Ten are those until the turn looks at the clock, and what was decided before. Of one turn: how many turns there are
  // before Node's depends on what Node's loop has had, as when the machine stopped the thread there.
  assert.ok((await piecesPerTurn(yieldNow)) <= 10)
  assert.ok((await piecesPerTurn(take)) <= 10)
})

test('a yieldQueue() that was answered counts no more', async () => {
  const queue = createTaskQueue('yielding')
  await spawnInto(queue, async () => {
    for (let index = 0; index < 20; index++) {
      await yieldNow()
      await yieldQueue()
      assert.equal(queue.hasYielded, false)
    }
  })
  queue.remove()
})

test('operations that submit others as they complete go on within the turn', async () => {
  const { main } = executor().io
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
  const roundsFrom = rounds()

  new Chained(NO_QUEUE).submit()
  await done

  const count = rounds() - roundsFrom
  assert.ok(count <= 300, `1000 operations in ${count} rounds of the event loop`)
})

test('a closed executor makes no latency ring', async () => {
  await executor().close()
  const closed = attachExecutor()
  await closed.close()

  assert.throws(() => reactorOf(closed).latency, { code: 'ERR_EXECUTOR_CLOSED' })
})
