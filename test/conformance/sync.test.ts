/** Glommio's behaviours of latches, channels, locks and timers: rows 36, 105, 109 and 110. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createChannel } from '../../src/channels/index.ts'
import { createTaskQueue, currentTaskQueue, executor, spawn, yieldNow } from '../../src/index.ts'
import { Gate, Latch, type Permit, RwLock, Semaphore } from '../../src/sync/index.ts'
import { once, onceAt, repeat, sleep, timeout } from '../../src/time/index.ts'
import { limited } from '../limits.ts'
import { settle, watch } from '../sync/watch.ts'

const LIMIT = limited(20_000)
const LONG_MS = 3_600_000

test(
  '36: Latch.cancel() releases everyone with an error, the last arrival with none',
  LIMIT,
  async () => {
    const cancelled = new Latch(3)
    const waits = [cancelled.wait(), cancelled.arriveAndWait()].map(watch)
    const ready = new Latch(2)

    cancelled.cancel()
    const [first] = [watch(ready.arriveAndWait())]
    await ready.arriveAndWait()
    await settle()

    assert.deepEqual(
      waits.map(({ code }) => code),
      Array(2).fill('ERR_LATCH_CANCELLED'),
    )
    assert.deepEqual(
      [cancelled.state, ready.state, first!.state],
      ['cancelled', 'ready', 'fulfilled'],
    )
  },
)

test(
  '105: a receiver that is closed early fails who sends, also who waits already',
  LIMIT,
  async () => {
    const { sender, receiver } = createChannel<number>({ capacity: 1 })
    await sender.send(1)
    const blocked = sender.send(2)

    receiver.close()

    await assert.rejects(blocked, { code: 'ERR_CHANNEL_CLOSED', value: 2 })
    await assert.rejects(sender.send(3), { code: 'ERR_CHANNEL_CLOSED', value: 3 })
  },
)

test('105: a channel of one makes sender and receiver alternate', LIMIT, async () => {
  const { sender, receiver } = createChannel<number>({ capacity: 1 })
  const order: string[] = []

  const sending = spawn(async () => {
    for (let i = 0; i < 5; i++) {
      await sender.send(i)
      order.push(`sent ${i}`)
    }
    sender.close()
  })
  await settle()
  assert.deepEqual(order, ['sent 0'], 'the second waits for room')
  for await (const value of receiver) order.push(`got ${value}`)
  await sending

  assert.deepEqual(
    order.filter((one) => one.startsWith('got')),
    [0, 1, 2, 3, 4].map((i) => `got ${i}`),
  )
  // One value in the channel, one with its receiver: no sender is further ahead.
  let ahead = 0
  for (const one of order) {
    ahead += one.startsWith('sent') ? 1 : -1
    assert.ok(ahead <= 2, order.join())
  }
})

test('105: many receivers get every value once', LIMIT, async () => {
  const { sender, receiver } = createChannel<number>({ capacity: 4 })
  const got: number[] = []
  const receivers = Array.from({ length: 10 }, () =>
    spawn(async () => {
      for await (const value of receiver) got.push(value)
    }),
  )

  for (let i = 0; i < 500; i++) await sender.send(i)
  sender.close()
  await Promise.all(receivers)

  assert.deepEqual(
    got.sort((a, b) => a - b),
    Array.from({ length: 500 }, (_, i) => i),
  )
})

test('109: permits are granted in the order in which they were asked for', LIMIT, async () => {
  const semaphore = new Semaphore(0)
  const order: number[] = []
  const tasks = Array.from({ length: 10 }, (_, i) =>
    spawn(async () => {
      using _permit = await semaphore.acquire(1 + (i % 3))
      order.push(i)
    }),
  )
  await settle()

  semaphore.signal(3)
  await Promise.all(tasks)

  assert.deepEqual(
    order,
    Array.from({ length: 10 }, (_, i) => i),
  )
})

test(
  '109: a semaphore that has too few units has one waiter, and loses no unit',
  LIMIT,
  async () => {
    const semaphore = new Semaphore(2)
    const held: Permit[] = [await semaphore.acquire(2)]
    const waiting = watch(semaphore.acquire(2))

    held[0]!.release()
    await settle()

    assert.equal(waiting.state, 'fulfilled')
    assert.equal(semaphore.tryAcquire(1), null)
    waiting.value!.release()
    assert.notEqual(semaphore.tryAcquire(2), null)
  },
)

test('109: close() of a semaphore fails who waits, and who comes', LIMIT, async () => {
  const semaphore = new Semaphore(0)
  const waiting = watch(semaphore.acquire())

  semaphore.close()
  await settle()

  assert.equal(waiting.code, 'ERR_SEMAPHORE_CLOSED')
  await assert.rejects(semaphore.acquire(), { code: 'ERR_SEMAPHORE_CLOSED' })
})

test('109: readers share a lock, a writer has it alone', LIMIT, async () => {
  const lock = new RwLock({ value: 1 })
  const readers = await Promise.all([lock.read(), lock.read()])
  const writing = watch(lock.write())

  await settle()
  assert.equal(writing.state, 'pending')
  assert.equal(lock.tryWrite(), null)
  for (const reader of readers) reader.release()
  await settle()
  assert.equal(writing.state, 'fulfilled')
  assert.equal(lock.tryRead(), null)
  writing.value!.release()

  assert.equal(lock.takeValue().value, 1)
})

test(
  '109: close() of a gate waits for all who entered, and all who close it are told',
  LIMIT,
  async () => {
    const gate = new Gate()
    let hasEnded = false
    const task = gate.spawn(async () => {
      await sleep(5)
      hasEnded = true
    })

    const closings = [gate.close(), gate.close()]
    assert.throws(() => gate.enter(), { code: 'ERR_GATE_CLOSED' })
    await Promise.all(closings)

    assert.ok(hasEnded)
    assert.equal(task.state, 'fulfilled')
  },
)

test('109: a gate whose close() is cut short stays closed', LIMIT, async () => {
  const gate = new Gate()
  const pass = gate.enter()

  await assert.rejects(gate.close({ timeoutMs: 1 }), { code: 'ERR_TASK_TIMEOUT' })

  assert.equal(gate.isOpen, false)
  pass.leave()
  await gate.close()
})

test('110: timeout() ends the work that is too late', LIMIT, async () => {
  const task = spawn(() => sleep(LONG_MS))

  await assert.rejects(timeout(5, task), { code: 'ERR_TASK_TIMEOUT' })
  await task.cancel()

  assert.equal(task.state, 'cancelled')
})

test(
  '110: an action runs in its queue, though nobody holds it, and at once if due',
  LIMIT,
  async () => {
    const queue = createTaskQueue('actions')
    const seen: unknown[] = []

    once(1, () => seen.push(currentTaskQueue() === queue), { queue })
    onceAt(0, () => seen.push('past'))
    while (seen.length < 2) await sleep(1)

    assert.deepEqual(new Set(seen), new Set(['past', true]))
    while (queue.stats().taskCount > 0) await yieldNow()
    queue.remove()
  },
)

test(
  '110: rearming moves an action to the past and to the future, until it has fired',
  LIMIT,
  async () => {
    const action = once(LONG_MS, () => executor().nowNs())
    const startNs = executor().nowNs()

    assert.ok(action.rearmIn(10))
    assert.ok((await action.join())! - startNs >= 10e6)

    assert.equal(action.rearmIn(1), false)
  },
)

test(
  '110: destroy() stops an action that runs, but not the tasks that it has detached',
  LIMIT,
  async () => {
    let isDetachedDone = false
    let hasGoneOn = false
    let hasStarted = false
    const action = once(0, async () => {
      hasStarted = true
      spawn(async () => {
        await sleep(10)
        isDetachedDone = true
      }).detach()
      await sleep(LONG_MS)
      hasGoneOn = true
    })
    while (!hasStarted) await sleep(1)

    action.destroy()
    while (!isDetachedDone) await sleep(1)
    await action.cancel()

    assert.deepEqual([isDetachedDone, hasGoneOn], [true, false])
  },
)

test('110: a repetition of 10 times 5 ms takes 45 ms and more', LIMIT, async () => {
  const startNs = executor().nowNs()
  let count = 0

  await repeat(() => (++count < 10 ? 5 : undefined)).join()

  assert.equal(count, 10)
  assert.ok((executor().nowNs() - startNs) / 1e6 >= 45)
})
