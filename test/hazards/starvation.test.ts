/**
 * However much one queue has to do, the others and Node itself get their turns.
 *
 * Nothing here measures time: what is starved never ends, and the test with it.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay, setImmediate as nextImmediate } from 'node:timers/promises'
import { createChannel } from '../../src/channels/index.ts'
import { createTaskQueue, needPreempt, spawnInto, type Task, yieldNow } from '../../src/index.ts'
import { Semaphore } from '../../src/sync/index.ts'
import { sleep } from '../../src/time/index.ts'
import { nop } from '../executor/operations.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(20_000)
const ROUNDS = 5

/** Ways to have always something ready. */
const floods: Record<string, (task: Task<void>) => Promise<void>> = {
  yields: async (task) => {
    while (!task.isCancelled) await yieldNow()
  },
  'yields of a thousand': async (task) => {
    const one = async (): Promise<void> => {
      while (!task.isCancelled) await yieldNow()
    }
    await Promise.all(Array.from({ length: 1000 }, one))
  },
  'cooperative work': async (task) => {
    while (!task.isCancelled) if (needPreempt()) await yieldNow()
  },
  'a ready for await': async (task) => {
    const { sender, receiver } = createChannel<number>({ capacity: 1000 })
    for (let i = 0; i < 1000; i++) sender.trySend(i)
    for await (const value of receiver) {
      if (task.isCancelled) break
      sender.trySend(value)
    }
  },
  'free permits': async (task) => {
    const semaphore = new Semaphore(1)
    while (!task.isCancelled) (await semaphore.acquire()).release()
  },
  'thousands of no-ops': async (task) => {
    const one = async (): Promise<void> => {
      while (!task.isCancelled) await nop()
    }
    await Promise.all(Array.from({ length: 4000 }, one))
  },
  'sleeps of 0': async (task) => {
    while (!task.isCancelled) await sleep(0)
  },
  'a ring of promises between two queues': async (task) => {
    const other = createTaskQueue('partner')
    while (!task.isCancelled) await spawnInto(other, () => yieldNow())
    other.remove()
  },
}

const victims: Record<string, () => PromiseLike<unknown>> = {
  "Node's timers": () => delay(1),
  "Node's immediates": () => nextImmediate(),
  'sleeps of ours': () => sleep(1),
  'another queue': () => spawnInto(victim, async () => void (await nop())),
  'the default queue': () => yieldNow(),
}
const victim = createTaskQueue('victim', { shares: 100 })

for (const [flood, act] of Object.entries(floods)) {
  for (const [what, wait] of Object.entries(victims)) {
    test(`${flood} do not keep ${what} waiting`, LIMIT, async () => {
      const queue = createTaskQueue('flood')
      const task = spawnInto(queue, (own: Task<void>) =>
        act(own).catch((error: { code?: string }) => {
          assert.equal(error.code, 'ERR_TASK_CANCELLED')
        }),
      )
      await yieldNow()

      for (let i = 0; i < ROUNDS; i++) await wait()

      assert.equal(task.state, 'running')
      await task.cancel()
      while (queue.length > 0) await yieldNow()
      queue.remove()
    })
  }
}
