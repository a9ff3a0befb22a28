import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import {
  attachReceiver,
  attachSender,
  ChannelError,
  createSharedChannel,
  type SharedChannel,
} from '../../src/channels/index.ts'
import { executor, spawn, yieldNow } from '../../src/index.ts'
import { settle, watch } from '../sync/watch.ts'

function attachBoth<T>(channel: SharedChannel<T>) {
  return { sender: attachSender(channel), receiver: attachReceiver(channel) }
}

async function receiveAll<T>(receiver: AsyncIterable<T>): Promise<T[]> {
  const values: T[] = []
  for await (const value of receiver) values.push(value)
  return values
}

test('numbers come out as they went in', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 8, codec: 'numbers' }))
  const values = [0, -0, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 0.1]

  for (const value of values) await sender.send(value)
  sender.close()

  assert.deepEqual(await receiveAll(receiver), values)
  assert.equal(receiver.isEnded, true)
})

test('bytes come out as a copy of their own', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 4, codec: 'bytes' }))
  const bytes = new Uint8Array([1, 2, 3])
  sender.trySend(bytes)
  sender.trySend(new Uint8Array(0))
  bytes.fill(9)

  const first = await receiver.receive()
  const second = await receiver.receive()

  assert.deepEqual(first, new Uint8Array([1, 2, 3]))
  assert.equal(first!.buffer instanceof ArrayBuffer, true)
  assert.equal(second!.length, 0)
})

test('clone takes what structured clone takes', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel<unknown>({ capacity: 4 }))
  const value = {
    map: new Map([[1, new Set(['a'])]]),
    date: new Date(7),
    big: 12n,
    bytes: new Uint8Array([1, 2]),
    missing: undefined,
  }

  await sender.send(value)
  await sender.send(undefined)

  assert.deepEqual(await receiver.receive(), value)
  assert.equal(await receiver.receive(), undefined)
  await assert.rejects(
    sender.send(() => 1),
    /could not be cloned/,
  )
})

test('custom uses a codec of the user, whose errors reach who sends and who receives', async () => {
  const channel = createSharedChannel<string>({ capacity: 4, codec: 'custom' })
  const codec = {
    encode(value: string): Uint8Array {
      if (value === 'bad') throw new Error('cannot encode')
      return Buffer.from(value)
    },
    decode(bytes: Uint8Array): string {
      const value = Buffer.from(bytes).toString()
      if (value === 'worse') throw new Error('cannot decode')
      return value
    },
  }
  const sender = attachSender(channel, { codec })
  const receiver = attachReceiver(channel, { codec })

  await assert.rejects(sender.send('bad'), { message: 'cannot encode' })
  await sender.sendBatch(['a', 'worse', 'b'])

  assert.deepEqual(await receiver.receiveBatch(), ['a'])
  await assert.rejects(receiver.receive(), { message: 'cannot decode' })
  assert.equal(await receiver.receive(), 'b')
})

test('send() waits while the channel is full, and senders are served in their order', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 1, codec: 'numbers' }))
  await sender.send(1)
  const second = watch(sender.send(2))
  const third = watch(sender.send(3))

  await settle()
  assert.deepEqual([second.state, third.state], ['pending', 'pending'])
  assert.throws(() => sender.trySend(4), { code: 'ERR_CHANNEL_FULL', value: 4 })
  assert.equal(await receiver.receive(), 1)
  await yieldNow()
  await settle()
  assert.deepEqual([second.state, third.state], ['fulfilled', 'pending'])
  assert.equal(await receiver.receive(), 2)
  assert.equal(await receiver.receive(), 3)
})

test('what is larger than the channel crosses in pieces', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 1, codec: 'bytes' }))
  const large = Uint8Array.from({ length: 10_000 }, (_, index) => index)

  const sending = sender.sendBatch([new Uint8Array([1]), large, new Uint8Array([2])])
  const values = [await receiver.receive(), await receiver.receive(), await receiver.receive()]
  await sending

  assert.deepEqual(values, [new Uint8Array([1]), large, new Uint8Array([2])])
  assert.throws(() => sender.trySend(large), { code: 'ERR_CHANNEL_FULL', value: large })
})

test('a large value that was aborted half way is not received, and the next one is', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 1, codec: 'bytes' }))
  const controller = new AbortController()
  const reason = new Error('enough')

  const sending = sender.send(new Uint8Array(10_000), { signal: controller.signal })
  controller.abort(reason)
  await assert.rejects(sending, reason)
  const next = sender.send(new Uint8Array([7]))

  assert.deepEqual(await receiver.receive(), new Uint8Array([7]))
  await next
})

test('sendBatch() sends all in order, and gives back what was not sent when its wait ends', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 4, codec: 'numbers' }))
  const controller = new AbortController()
  const reason = new Error('enough')

  const sending = sender.sendBatch([1, 2, 3, 4, 5, 6], { signal: controller.signal })
  await yieldNow()
  controller.abort(reason)

  await assert.rejects(sending, (error) => {
    assert.ok(error instanceof ChannelError)
    assert.deepEqual([error.code, error.value, error.cause], ['ERR_TASK_CANCELLED', [5, 6], reason])
    return true
  })
  assert.deepEqual(await receiver.receiveBatch(), [1, 2, 3, 4])
})

test('sendBatch() refuses values of the wrong kind before any is sent', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 4, codec: 'numbers' }))

  await assert.rejects(sender.sendBatch([1, '2' as never]), TypeError)
  await assert.rejects(sender.sendBatch(5 as never), TypeError)
  await assert.rejects(sender.send('3' as never), TypeError)

  assert.equal(receiver.tryReceive(), undefined)
})

test('close() of the sender ends the channel after what waits for room', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 1, codec: 'numbers' }))
  await sender.send(1)
  const waiting = sender.send(2)
  sender.close()

  assert.throws(() => sender.trySend(3), { code: 'ERR_CHANNEL_CLOSED', value: 3 })
  assert.deepEqual(await receiveAll(receiver), [1, 2])
  await waiting
  assert.equal(await receiver.receive(), undefined)
})

test('close() of the receiver fails who sends, and what was not received can be taken back', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel<string>({ capacity: 1 }))
  const strings = Array.from({ length: 12 }, (_, index) => `${index}`.repeat(100))
  const sent: string[] = []
  const failed: string[] = []
  const sending = strings.map((value) =>
    sender.send(value).then(
      () => sent.push(value),
      (error: ChannelError<string>) => {
        assert.equal(error.code, 'ERR_CHANNEL_CLOSED')
        failed.push(error.value)
      },
    ),
  )
  const first = await receiver.receive()

  receiver.close()
  await Promise.all(sending)

  assert.deepEqual([first, ...sender.takeBack(), ...failed], strings)
  assert.ok(failed.length > 0)
  await assert.rejects(sender.send('x'), { code: 'ERR_CHANNEL_CLOSED', value: 'x' })
})

test('takeBack() gives back all that can be decoded, and says what cannot', () => {
  const channel = createSharedChannel<string>({ capacity: 8, codec: 'custom' })
  const codec = {
    encode: (value: string): Uint8Array => Buffer.from(value),
    decode(bytes: Uint8Array): string {
      const value = Buffer.from(bytes).toString()
      if (value.startsWith('bad')) throw new Error(`cannot decode ${value}`)
      return value
    },
  }
  const sender = attachSender(channel, { codec })
  for (const value of ['a', 'bad 1', 'b', 'bad 2', 'c']) sender.trySend(value)
  attachReceiver(channel, { codec }).close()

  assert.throws(
    () => sender.takeBack(),
    (error) => {
      assert.ok(error instanceof ChannelError)
      assert.equal(error.code, 'ERR_VALUE_UNREADABLE')
      assert.deepEqual(error.value, ['a', 'b', 'c'])
      const { errors } = error.cause as AggregateError
      assert.deepEqual(
        errors.map(({ message }) => message),
        ['cannot decode bad 1', 'cannot decode bad 2'],
      )
      return true
    },
  )
  assert.deepEqual(sender.takeBack(), [])
})

test('an abort of receive() loses nothing', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 4, codec: 'numbers' }))
  const controller = new AbortController()
  const reason = new Error('enough')
  const receiving = receiver.receive({ signal: controller.signal })
  const next = receiver.receive()

  controller.abort(reason)
  await assert.rejects(receiving, reason)
  await sender.send(5)

  assert.equal(await next, 5)
  await assert.rejects(receiver.receive({ signal: controller.signal }), reason)
  await assert.rejects(receiver.receive({ timeoutMs: 1 }), { code: 'ERR_TASK_TIMEOUT' })
})

test('a task that is cancelled leaves off waiting at both ends', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 1, codec: 'numbers' }))
  sender.trySend(1)
  const sending = spawn(() => sender.send(2))
  await yieldNow()
  sending.cancel()
  await assert.rejects(sending, { code: 'ERR_TASK_CANCELLED' })
  assert.equal(await receiver.receive(), 1)
  const receiving = spawn(() => receiver.receive())
  await yieldNow()
  receiving.cancel()

  await assert.rejects(receiving, { code: 'ERR_TASK_CANCELLED' })
  assert.equal(receiver.tryReceive(), undefined)
})

test('a loop over what is ready lets others run', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 4096, codec: 'numbers' }))
  await sender.sendBatch(new Float64Array(4096))
  sender.close()
  let turnCount = 0
  let isDone = false
  const other = spawn(async () => {
    for (; !isDone; turnCount++) await yieldNow()
  })

  for await (const _ of receiver);
  isDone = true
  await other

  assert.ok(turnCount >= 4, `${turnCount} turns of another task`)
})

test('each end is attached to once', () => {
  const channel = createSharedChannel({ capacity: 1 })
  attachSender(channel)
  attachReceiver(channel)

  assert.throws(() => attachSender(channel), { code: 'ERR_STILL_HELD' })
  assert.throws(() => attachReceiver(channel), { code: 'ERR_STILL_HELD' })
})

test('what is wrong is refused', () => {
  const custom = createSharedChannel<string>({ capacity: 1, codec: 'custom' })
  const codec = { encode: () => new Uint8Array(), decode: () => '' }

  assert.throws(() => createSharedChannel({ capacity: 0 }), RangeError)
  assert.throws(() => createSharedChannel({} as never), TypeError)
  assert.throws(() => createSharedChannel({ capacity: 1, codec: 'json' as never }), TypeError)
  assert.throws(() => createSharedChannel({ capacity: 1, size: 1 } as never), TypeError)
  assert.throws(
    () => createSharedChannel({ capacity: 1, codec: 'numbers', valueBytes: 8 }),
    TypeError,
  )
  assert.throws(() => createSharedChannel({ capacity: 2 ** 26, valueBytes: 2 ** 20 }), RangeError)
  assert.throws(() => attachSender({} as never), TypeError)
  assert.throws(() => attachReceiver(null as never), TypeError)
  assert.throws(() => attachSender(custom), TypeError)
  assert.throws(() => attachSender(custom, { codec: { encode: codec.encode } as never }), TypeError)
  assert.throws(() => attachSender(createSharedChannel({ capacity: 1 }), { codec }), TypeError)
})

test('ends that are closed leave their inboxes to others', () => {
  const { doorbell } = executor()
  const free = () => {
    const number = doorbell.add({ collect() {} })
    doorbell.remove(number)
    return number
  }
  const before = free()

  for (let round = 0; round < 5_000; round++) {
    const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 1, codec: 'numbers' }))
    receiver.close()
    sender.close()
  }

  assert.ok(free() < before + 16)
})

test('both ends show what they hold', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 3, codec: 'numbers' }))
  await sender.send(1)
  sender.flush()

  assert.equal(inspect(sender), 'SharedSender 1 of 4, open')
  assert.equal(inspect(receiver), 'SharedReceiver 1 of 4, open')
})
