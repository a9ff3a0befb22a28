import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ChannelError, createChannel } from '../../src/channels/index.ts'
import { createTaskQueue, spawn, spawnInto, yieldNow } from '../../src/index.ts'
import { settle, watch } from '../sync/watch.ts'

test('send() and receive() keep the order', async () => {
  const { sender, receiver } = createChannel<number>({ capacity: 10 })

  for (let i = 0; i < 10; i++) await sender.send(i)
  const received = []
  for (let i = 0; i < 10; i++) received.push(await receiver.receive())

  assert.deepEqual(received, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
})

test('send() waits while the channel is full, and senders are served in their order', async () => {
  const { sender, receiver } = createChannel<string>({ capacity: 1 })
  await sender.send('a')
  const second = watch(sender.send('b'))
  const third = watch(sender.send('c'))

  await settle()
  assert.deepEqual([second.state, third.state, sender.isFull], ['pending', 'pending', true])
  assert.equal(await receiver.receive(), 'a')
  await settle()
  assert.deepEqual([second.state, third.state], ['fulfilled', 'pending'])

  assert.equal(receiver.tryReceive(), 'b')
  assert.equal(receiver.tryReceive(), 'c')
  assert.equal(receiver.tryReceive(), undefined)
})

test('trySend() fails with ERR_CHANNEL_FULL, and gives the value back', () => {
  const { sender } = createChannel<{ id: number }>({ capacity: 1 })
  const value = { id: 2 }
  sender.trySend({ id: 1 })

  let error: unknown
  try {
    sender.trySend(value)
  } catch (thrown) {
    error = thrown
  }

  assert.ok(error instanceof ChannelError)
  assert.equal(error.code, 'ERR_CHANNEL_FULL')
  assert.equal(error.value, value)
})

test('a channel of Infinity is never full', () => {
  const { sender, receiver } = createChannel<number>({ capacity: Number.POSITIVE_INFINITY })

  for (let i = 0; i < 1000; i++) sender.trySend(i)

  assert.equal(sender.isFull, false)
  assert.equal(receiver.length, 1000)
})

test('receive() waits, and receivers are served in their order', async () => {
  const { sender, receiver } = createChannel<string>({ capacity: 4 })
  const first = watch(receiver.receive())
  const second = watch(receiver.receive())

  sender.trySend('a')
  await settle()
  assert.deepEqual([first.value, second.state], ['a', 'pending'])
  sender.trySend('b')
  await settle()

  assert.equal(second.value, 'b')
})

test('a fresh receive() cannot take what has been given to who waited', async () => {
  const { sender, receiver } = createChannel<string>({ capacity: 4 })
  const waiting = watch(receiver.receive())

  sender.trySend('a')
  const taken = receiver.tryReceive()
  const fresh = watch(receiver.receive())
  await settle()

  assert.equal(taken, undefined)
  assert.equal(waiting.value, 'a')
  assert.equal(fresh.state, 'pending')
})

test('close() of the sender ends the channel after what has been sent', async () => {
  const { sender, receiver } = createChannel<string>({ capacity: 1 })
  await sender.send('a')
  const blocked = watch(sender.send('b'))
  sender.close()

  assert.equal(await receiver.receive(), 'a')
  assert.equal(receiver.isEnded, false)
  assert.equal(await receiver.receive(), 'b')
  assert.equal(await receiver.receive(), undefined)
  assert.equal(receiver.isEnded, true)
  await settle()
  assert.equal(blocked.state, 'fulfilled')
})

test('close() of the sender ends those who wait for a value', async () => {
  const { sender, receiver } = createChannel<string>({ capacity: 1 })
  const receiving = receiver.receive()
  const next = receiver[Symbol.asyncIterator]().next()

  sender.close()

  assert.equal(await receiving, undefined)
  assert.deepEqual(await next, { done: true, value: undefined })
})

test('send() after close() of either end fails with ERR_CHANNEL_CLOSED, and gives the value back', async () => {
  for (const end of ['sender', 'receiver'] as const) {
    const channel = createChannel<number>({ capacity: 1 })
    channel[end].close()

    await assert.rejects(channel.sender.send(5), { code: 'ERR_CHANNEL_CLOSED', value: 5 })
    assert.throws(() => channel.sender.trySend(6), { code: 'ERR_CHANNEL_CLOSED', value: 6 })
    assert.equal(channel.sender.isClosed, true)
  }
})

test('close() of the receiver fails senders that wait, each with its value', async () => {
  const { sender, receiver } = createChannel<string>({ capacity: 1 })
  await sender.send('a')
  const blocked = [sender.send('b'), sender.send('c')]

  receiver.close()

  await assert.rejects(blocked[0]!, { code: 'ERR_CHANNEL_CLOSED', value: 'b' })
  await assert.rejects(blocked[1]!, { code: 'ERR_CHANNEL_CLOSED', value: 'c' })
  assert.equal(await receiver.receive(), undefined)
  assert.equal(receiver.length, 0)
})

test('close() of the receiver ends those who wait for a value', async () => {
  const { receiver } = createChannel<string>({ capacity: 1 })
  const receiving = receiver.receive()

  receiver.close()

  assert.equal(await receiving, undefined)
})

test('an abort after the delivery leaves the value with its receiver', async () => {
  const { sender, receiver } = createChannel<string>({ capacity: 1 })
  const controller = new AbortController()
  const receiving = receiver.receive({ signal: controller.signal })

  sender.trySend('a')
  controller.abort()

  assert.equal(await receiving, 'a')
})

test('an abort before the delivery leaves the value to the next', async () => {
  const { sender, receiver } = createChannel<string>({ capacity: 1 })
  const controller = new AbortController()
  const gone = watch(receiver.receive({ signal: controller.signal }))
  const next = watch(receiver.receive())

  controller.abort(new Error('gone'))
  sender.trySend('a')
  await settle()

  assert.equal(gone.code, 'gone')
  assert.equal(next.value, 'a')
})

test('an aborted send() does not send, and those behind it move up', async () => {
  const { sender, receiver } = createChannel<string>({ capacity: 1 })
  const controller = new AbortController()
  await sender.send('a')
  const gone = watch(sender.send('b', { signal: controller.signal }))
  const next = watch(sender.send('c'))

  controller.abort(new Error('gone'))
  const received = [await receiver.receive(), await receiver.receive()]
  await settle()

  assert.deepEqual(received, ['a', 'c'])
  assert.equal(gone.code, 'gone')
  assert.equal(next.state, 'fulfilled')
})

test('an aborted signal sends and receives nothing, though it could', async () => {
  const { sender, receiver } = createChannel<string>({ capacity: 2 })
  const options = { signal: AbortSignal.abort(new Error('before')) }
  sender.trySend('a')

  await assert.rejects(sender.send('b', options), { message: 'before' })
  await assert.rejects(receiver.receive(options), { message: 'before' })

  assert.equal(receiver.length, 1)
})

test('send() and receive() reject with ERR_TASK_TIMEOUT', async () => {
  const { sender, receiver } = createChannel<string>({ capacity: 1 })

  await assert.rejects(receiver.receive({ timeoutMs: 1 }), { code: 'ERR_TASK_TIMEOUT' })
  sender.trySend('a')
  await assert.rejects(sender.send('b', { timeoutMs: 1 }), { code: 'ERR_TASK_TIMEOUT' })

  assert.equal(receiver.length, 1)
})

test('cancelling a task that iterates leaves the values to others', async () => {
  const { sender, receiver } = createChannel<string>({ capacity: 1 })
  const task = spawn(async () => {
    for await (const _ of receiver) assert.fail('it gets none')
  })
  await settle()

  await task.cancel()
  sender.trySend('a')

  assert.equal(task.state, 'cancelled')
  assert.equal(await receiver.receive(), 'a')
})

test('many receivers share the values, each once', async () => {
  const { sender, receiver } = createChannel<number>({ capacity: 3 })
  const received: number[] = []
  const tasks = Array.from({ length: 5 }, () =>
    spawn(async () => {
      for await (const value of receiver) {
        received.push(value)
        await yieldNow()
      }
    }),
  )

  for (let i = 0; i < 100; i++) await sender.send(i)
  sender.close()
  await Promise.all(tasks)

  assert.deepEqual(
    received.sort((a, b) => a - b),
    Array.from({ length: 100 }, (_, i) => i),
  )
})

test('leaving a for await early does not close the channel', async () => {
  const { sender, receiver } = createChannel<number>({ capacity: 3 })
  for (let i = 0; i < 3; i++) sender.trySend(i)

  for await (const value of receiver) if (value === 0) break

  assert.equal(await receiver.receive(), 1)
  assert.equal(sender.isClosed, false)
})

test('iteration yields undefined where that is a value', async () => {
  const { sender, receiver } = createChannel<undefined>({ capacity: 3 })
  sender.trySend(undefined)
  sender.trySend(undefined)
  sender.close()

  let count = 0
  for await (const value of receiver) {
    assert.equal(value, undefined)
    count++
  }

  assert.equal(count, 2)
})

test('capacities of the wrong kind are refused', () => {
  assert.throws(() => createChannel({ capacity: 0 }), RangeError)
  assert.throws(() => createChannel({ capacity: 1.5 }), RangeError)
  assert.throws(() => createChannel({ capacity: '1' as never }), TypeError)
  assert.throws(() => createChannel(undefined as never), TypeError)
})

/** Far more than any budget, and bounded, so that starving others fails rather than hangs. */
const LOOP_COUNT_MAX = 5_000_000

async function iterateUntil(isDone: () => boolean): Promise<boolean> {
  const { sender, receiver } = createChannel<number>({ capacity: 2 })
  sender.trySend(0)
  for await (const count of receiver) {
    if (isDone() || count > LOOP_COUNT_MAX) break
    sender.trySend(count + 1)
  }
  return isDone()
}

async function sendUntil(isDone: () => boolean): Promise<boolean> {
  const { sender, receiver } = createChannel<number>({ capacity: 2 })
  for (let count = 0; count < LOOP_COUNT_MAX && !isDone(); count++) {
    await sender.send(count)
    receiver.tryReceive()
  }
  return isDone()
}

for (const [name, loopUntil] of Object.entries({ iterateUntil, sendUntil })) {
  test(`a channel that is always ready lets another task queue run (${name})`, async () => {
    let isDone = false
    spawnInto(createTaskQueue('other'), () => {
      isDone = true
    })

    assert.ok(await loopUntil(() => isDone))
  })

  test(`a channel that is always ready lets Node's timers run (${name})`, async () => {
    let isDone = false
    setTimeout(() => {
      isDone = true
    }, 1)

    assert.ok(await loopUntil(() => isDone))
  })
}
