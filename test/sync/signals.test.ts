import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Barrier, Condition, Event, Latch } from '../../src/sync/index.ts'
import { settle, watch } from './watch.ts'

test('Event.set() lets everyone go on who waits, even if it is reset at once', async () => {
  const event = new Event()
  const waits = [watch(event.wait()), watch(event.wait())]

  event.set()
  event.reset()
  const late = watch(event.wait())
  await settle()

  const states = [...waits, late].map(({ state }) => state)
  assert.deepEqual(states, ['fulfilled', 'fulfilled', 'pending'])
})

test('Event.wait() resolves while it is set', async () => {
  const event = new Event()
  event.set()

  await event.wait()
  await event.wait({ timeoutMs: 0 })

  assert.equal(event.isSet, true)
})

test('Event.wait() of an aborted signal rejects, also while it is set', async () => {
  const event = new Event()
  event.set()

  await assert.rejects(event.wait({ signal: AbortSignal.abort(new Error('before')) }), {
    message: 'before',
  })
})

test('Event.wait() ends with its signal, the others wait on', async () => {
  const event = new Event()
  const controller = new AbortController()
  const first = watch(event.wait({ signal: controller.signal }))
  const second = watch(event.wait())

  controller.abort(new Error('gone'))
  await settle()

  assert.equal(first.code, 'gone')
  assert.equal(second.state, 'pending')
  assert.equal(event.waiterCount, 1)
})

test('Latch opens with the last arrival', async () => {
  const latch = new Latch(2)
  const first = watch(latch.arriveAndWait())

  await settle()
  assert.equal(first.state, 'pending')
  await latch.arriveAndWait()
  await settle()

  assert.equal(first.state, 'fulfilled')
  assert.equal(latch.state, 'ready')
  assert.equal(latch.cancel(), false)
})

test('Latch.cancel() fails everyone with ERR_LATCH_CANCELLED', async () => {
  const latch = new Latch(3)
  const waits = [latch.wait(), latch.arriveAndWait()]

  latch.cancel()

  for (const wait of waits) await assert.rejects(wait, { code: 'ERR_LATCH_CANCELLED' })
  await assert.rejects(latch.wait(), { code: 'ERR_LATCH_CANCELLED' })
  latch.countDown(99)
  assert.equal(latch.state, 'cancelled')
})

test('Latch.countDown() throws a RangeError for more than is missing', async () => {
  const latch = new Latch(1)

  assert.throws(() => latch.countDown(2), RangeError)
  latch.countDown()

  assert.throws(() => latch.countDown(), RangeError)
  await latch.wait()
})

test('a Latch of 0 is open', async () => {
  await new Latch(0).wait()
})

test('Barrier lets a round go on together, one of them as leader, again and again', async () => {
  const barrier = new Barrier(3)

  for (let generation = 0; generation < 3; generation++) {
    const rounds = await Promise.all([barrier.arrive(), barrier.arrive(), barrier.arrive()])
    assert.deepEqual(
      rounds.map((round) => round.generation),
      [generation, generation, generation],
    )
    assert.equal(rounds.filter(({ isLeader }) => isLeader).length, 1)
  }

  assert.equal(barrier.arrivedCount, 0)
})

test('an arrival whose wait is cancelled has not arrived at a Barrier', async () => {
  const barrier = new Barrier(2)
  const controller = new AbortController()
  const gone = watch(barrier.arrive({ signal: controller.signal }))
  controller.abort(new Error('gone'))

  const first = watch(barrier.arrive())
  await settle()
  assert.equal(first.state, 'pending')
  await barrier.arrive()
  await settle()

  assert.equal(gone.code, 'gone')
  assert.equal(first.value?.generation, 0)
})

test('the last arrival with an aborted signal does not complete the round of a Barrier', async () => {
  const barrier = new Barrier(2)
  const first = watch(barrier.arrive())

  await assert.rejects(barrier.arrive({ signal: AbortSignal.abort(new Error('before')) }))
  await settle()

  assert.equal(first.state, 'pending')
  assert.equal(barrier.generation, 0)
})

test('Condition.wait() resolves at once with what its predicate returns', async () => {
  assert.equal(await new Condition().wait(() => 7), 7)
})

test('Condition.notifyOne() serves the first whose predicate holds', async () => {
  const condition = new Condition()
  let level = 0
  const high = watch(condition.wait(() => level >= 2))
  const low = watch(condition.wait(() => level >= 1))

  level = 1
  condition.notifyOne()
  await settle()
  assert.deepEqual([high.state, low.state], ['pending', 'fulfilled'])
  level = 2
  condition.notifyOne()
  await settle()

  assert.equal(high.state, 'fulfilled')
})

test('Condition.notifyAll() hands each item to one waiter, in their order', async () => {
  const condition = new Condition()
  const items: string[] = []
  const take = (): string | undefined => items.shift()
  const waits = [1, 2, 3].map(() => watch(condition.wait(take)))

  items.push('a', 'b')
  condition.notifyAll()
  await settle()

  const values = waits.map(({ value }) => value)
  assert.deepEqual(values, ['a', 'b', undefined])
  assert.equal(condition.waiterCount, 1)
})

test('an item that Condition gave to a waiter is not lost by an abort that comes later', async () => {
  const condition = new Condition()
  const items: string[] = []
  const controller = new AbortController()
  const wait = condition.wait(() => items.shift(), { signal: controller.signal })

  items.push('a')
  condition.notifyOne()
  controller.abort()

  assert.equal(await wait, 'a')
})

test('a waiter that left takes no notification of a Condition', async () => {
  const condition = new Condition()
  const items: string[] = []
  const controller = new AbortController()
  const gone = watch(condition.wait(() => items.shift(), { signal: controller.signal }))
  const second = watch(condition.wait(() => items.shift()))

  controller.abort(new Error('gone'))
  items.push('a')
  condition.notifyOne()
  await settle()

  assert.equal(gone.code, 'gone')
  assert.equal(second.value, 'a')
})

test('a predicate that throws fails its own wait, and the next is served', async () => {
  const condition = new Condition()
  let isArmed = false
  const failing = watch(
    condition.wait(() => {
      if (isArmed) throw new Error('predicate')
      return false
    }),
  )
  const second = watch(condition.wait(() => isArmed))

  isArmed = true
  condition.notifyOne()
  await settle()

  assert.equal(failing.code, 'predicate')
  assert.equal(second.state, 'fulfilled')
})

test('a predicate may notify, and may abort its own wait', async () => {
  const condition = new Condition()
  const controller = new AbortController()
  let isArmed = false
  const aborting = watch(
    condition.wait(
      () => {
        if (isArmed) controller.abort(new Error('self'))
        return false
      },
      { signal: controller.signal },
    ),
  )
  const notifying = watch(
    condition.wait(() => {
      if (isArmed) condition.notifyOne()
      return isArmed
    }),
  )
  const third = watch(condition.wait(() => isArmed))

  isArmed = true
  condition.notifyOne()
  await settle()

  assert.equal(aborting.code, 'self')
  assert.deepEqual([notifying.state, third.state], ['fulfilled', 'fulfilled'])
  assert.equal(condition.waiterCount, 0)
})

test('arguments of the wrong kind are refused', async () => {
  assert.throws(() => new Latch(-1), RangeError)
  assert.throws(() => new Barrier(0), RangeError)
  await assert.rejects(new Condition().wait(1 as never), TypeError)
  await assert.rejects(new Event().wait({ timeoutMs: 'soon' as never }), TypeError)
})
