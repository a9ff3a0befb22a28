/** Whose work it is, across every kind of await; and the user's own AsyncLocalStorage across ours. */

import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { EventEmitter, once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { setTimeout as delay, setImmediate as nextImmediate } from 'node:timers/promises'
import { createChannel } from '../../src/channels/index.ts'
import {
  createTaskQueue,
  currentTaskQueue,
  executor,
  spawn,
  spawnInto,
  yieldNow,
  yieldQueue,
} from '../../src/index.ts'
import { Semaphore } from '../../src/sync/index.ts'
import { once as onceIn, sleep } from '../../src/time/index.ts'
import { attempt } from '../attempts.ts'
import { limited } from '../limits.ts'
import { expire, nop } from './operations.ts'

const LIMIT = limited(20_000)
const own = createTaskQueue('own')
const other = createTaskQueue('other')
const emitter = new EventEmitter()

/** Each is awaited within a task; what runs meanwhile belongs to others. */
const awaits: Record<string, () => PromiseLike<unknown>> = {
  'a value': () => Promise.resolve(1),
  'a thenable': () => {
    // biome-ignore lint/suspicious/noThenProperty: what other libraries return
    const thenable = { then: (resolve: () => void) => void setTimeout(resolve, 1) }
    return thenable as unknown as PromiseLike<void>
  },
  setTimeout: () => delay(1),
  setImmediate: () => nextImmediate(),
  'a file of Node': () => readFile(new URL(import.meta.url)),
  fetch: async () => {
    const server = createServer((_request, response) => response.end('x')).listen(0)
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await (await fetch(`http://127.0.0.1:${port}`)).text()
    server.close()
    server.closeAllConnections()
  },
  'an event': async () => {
    // Emitted by another queue's task, once somebody listens.
    const event = once(emitter, 'event')
    void spawnInto(other, () => void emitter.emit('event'))
    await event
  },
  'Promise.all': () => Promise.all([delay(1), nop(), yieldNow(), spawnInto(other, () => delay(1))]),
  'Promise.race': () => Promise.race([delay(1), spawnInto(other, () => nop())]),
  'nested async functions': async () => {
    const inner = async (depth: number): Promise<void> => {
      await nop()
      if (depth > 0) await inner(depth - 1)
      assert.equal(currentTaskQueue(), own)
    }
    await inner(5)
  },
  'a task of another queue': () => spawnInto(other, async () => void (await nop())),
  'a task that fails in another queue': () =>
    spawnInto(other, () => Promise.reject(new Error('no'))).catch(() => {}),
  'an operation': () => nop(),
  'an operation that fails': () => expire(1000).catch(() => {}),
  'a sleep': () => sleep(1),
  'a yield': () => yieldNow(),
  'a yield to other queues': () => yieldQueue(),
  'a timer action of another queue': () => onceIn(1, () => {}, { queue: other }).join(),
  'a permit that another queue gives back': async () => {
    const semaphore = new Semaphore(1)
    const permit = await semaphore.acquire()
    const acquired = semaphore.acquire()
    void spawnInto(other, () => permit.release())
    await acquired
  },
  'a value that another queue sends': async () => {
    const { sender, receiver } = createChannel<number>({ capacity: 1 })
    void spawnInto(other, () => sender.send(1))
    for await (const _ of receiver) break
  },
  'an async generator': async () => {
    async function* generate(): AsyncGenerator<number> {
      for (let i = 0; i < 3; i++) {
        await nop()
        yield i
      }
    }
    for await (const _ of generate()) assert.equal(currentTaskQueue(), own)
  },
}

for (const [what, wait] of Object.entries(awaits)) {
  test(`currentTaskQueue() stays right after awaiting ${what}`, LIMIT, async () => {
    const [task, seen] = [spawnInto(own, act), spawnInto(other, act)]
    async function act(): Promise<string[]> {
      const before = currentTaskQueue().name
      if (before === 'own') await wait()
      else await nop()
      return [before, currentTaskQueue().name, executor().currentTask()!.name]
    }

    assert.deepEqual(await task, ['own', 'own', 'act'])
    assert.deepEqual(await seen, ['other', 'other', 'act'])
    assert.equal(currentTaskQueue(), executor().defaultQueue)
  })

  test(`AsyncLocalStorage stays right after awaiting ${what}`, LIMIT, async () => {
    const storage = new AsyncLocalStorage<number>()

    await Promise.all(
      [1, 2].map((id) =>
        storage.run(id, () =>
          spawnInto(own, async () => {
            assert.equal(storage.getStore(), id)
            await wait()
            assert.equal(storage.getStore(), id)
          }),
        ),
      ),
    )

    assert.equal(storage.getStore(), undefined)
  })
}

test(
  'AsyncLocalStorage goes with a task into its queue, and its tasks into theirs',
  LIMIT,
  async () => {
    const storage = new AsyncLocalStorage<string>()

    const seen = await storage.run('request', () =>
      spawnInto(own, async () => {
        await nop()
        return spawnInto(other, async () => {
          await sleep(1)
          return spawn(() => storage.getStore())
        })
      }),
    )

    assert.equal(seen, 'request')
  },
)

test('storage.run() within a task ends with it', LIMIT, async () => {
  const storage = new AsyncLocalStorage<number>()

  const seen = await spawnInto(own, async () => {
    const inside = await storage.run(1, async () => {
      await nop()
      return storage.getStore()
    })
    await nop()
    return [inside, storage.getStore()]
  })

  assert.deepEqual(seen, [1, undefined])
})

test(
  'outside of tasks code belongs to the default queue, also between those of tasks',
  LIMIT,
  async () => {
    const task = spawnInto(own, async () => {
      for (let i = 0; i < 20; i++) await nop()
    })

    for (let i = 0; i < 10; i++) {
      await nop()
      assert.equal(currentTaskQueue(), executor().defaultQueue)
      await delay(0)
      assert.equal(currentTaskQueue(), executor().defaultQueue)
    }

    await task
  },
)

/** What two queues are charged, of which one alone works: for 20 ms, times the scale. */
async function chargeOf(scale: number): Promise<{ busyNs: number; idleNs: number }> {
  const busy = createTaskQueue('charged')
  const idle = createTaskQueue('not charged')
  const block = (ms: number): void => {
    const endNs = executor().nowNs() + ms * 1e6
    while (executor().nowNs() < endNs);
  }
  await Promise.all([
    spawnInto(busy, async () => {
      for (let i = 0; i < 5; i++) {
        await nop()
        block(4 * scale)
      }
    }),
    spawnInto(idle, async () => {
      for (let i = 0; i < 5; i++) await nop()
    }),
  ])
  await yieldNow()
  const charge = { busyNs: busy.stats().runtimeNs, idleNs: idle.stats().runtimeNs }
  busy.remove()
  idle.remove()
  return charge
}

test('a turn is charged to the queue whose work it was', LIMIT, async () => {
  // The idle one is charged for what holds the thread up in its turns, which is less than so much work.
  await attempt(
    async (scale) => {
      const { busyNs, idleNs } = await chargeOf(scale)
      assert.ok(busyNs >= 20e6 * scale, `${busyNs} ns of work on scale ${scale}`)
      return idleNs / busyNs
    },
    (part) => part < 1,
  )
})

test('queueMicrotask, nextTick and awaits keep the order that Node gives them', LIMIT, async () => {
  const order: string[] = []

  await spawn(async () => {
    const done = new Promise<void>((resolve) => {
      setImmediate(() => {
        order.push('immediate')
        resolve()
      })
    })
    process.nextTick(() => order.push('tick'))
    queueMicrotask(() => order.push('microtask'))
    void Promise.resolve().then(() => order.push('promise'))
    order.push('sync')
    await done
  })

  // A task starts in a callback of the loop: ticks go before microtasks there.
  assert.deepEqual(order, ['sync', 'tick', 'microtask', 'promise', 'immediate'])
})
