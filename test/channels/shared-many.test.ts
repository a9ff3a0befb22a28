/** Many values at once through a shared channel, and what is ready without a wait. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  attachReceiver,
  attachSender,
  type ChannelError,
  createSharedChannel,
  type SharedChannel,
} from '../../src/channels/index.ts'
import { SpscNumberConsumer } from '../../src/channels/shared/index.ts'
import { settle, watch } from '../sync/watch.ts'

function attachBoth<T>(channel: SharedChannel<T>) {
  return { sender: attachSender(channel), receiver: attachReceiver(channel) }
}

function numbersFrom(first: number, count: number): Float64Array {
  return Float64Array.from({ length: count }, (_, index) => first + index)
}

test('receiveInto() puts all there is into a Float64Array, around the end of the ring', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 64, codec: 'numbers' }))
  const target = new Float64Array(100).fill(-1)

  for (let first = 0; first < 500; first += 50) {
    await sender.sendBatch(numbersFrom(first, 50))
    assert.equal(await receiver.receiveInto(target), 50)
    assert.deepEqual(target.subarray(0, 50), numbersFrom(first, 50))
  }

  assert.deepEqual(target.subarray(50), new Float64Array(50).fill(-1))
})

test('receiveInto() waits for the first, and resolves with 0 at the end', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 64, codec: 'numbers' }))
  const target = new Array<number>(4).fill(0)
  const receiving = receiver.receiveInto(target)
  const watched = watch(receiving)

  await settle()
  assert.equal(watched.state, 'pending')
  await sender.sendBatch([1, 2, 3, 4, 5])
  assert.deepEqual([await receiving, target], [4, [1, 2, 3, 4]])
  sender.close()

  assert.equal(await receiver.receiveInto(target), 1)
  assert.equal(await receiver.receiveInto(target), 0)
  assert.deepEqual(target, [5, 2, 3, 4])
})

test('receiveInto() leaves its target as it is once its wait was ended', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 64, codec: 'numbers' }))
  const controller = new AbortController()
  const reason = new Error('enough')
  const target = [0, 0]
  const receiving = receiver.receiveInto(target, { signal: controller.signal })

  controller.abort(reason)
  await assert.rejects(receiving, reason)
  await sender.sendBatch([1, 2])

  assert.deepEqual(await receiver.receiveBatch(), [1, 2])
  assert.deepEqual(target, [0, 0])
})

test('receiveInto() takes nothing where its target was transferred meanwhile', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 64, codec: 'numbers' }))
  const target = new Float64Array(4)
  const receiving = receiver.receiveInto(target)

  structuredClone(target, { transfer: [target.buffer] })
  await sender.sendBatch([1, 2, 3])

  await assert.rejects(receiving, { name: 'TypeError', message: /it was transferred/ })
  assert.deepEqual(await receiver.receiveBatch(), [1, 2, 3])
})

test('receiveInto() takes nothing that others wait for', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 64, codec: 'numbers' }))
  const target = [0, 0, 0]
  const first = receiver.receiveInto(target)
  const second = receiver.receive()

  await sender.sendBatch([1, 2, 3])

  assert.deepEqual([await first, await second, target], [1, 2, [1, 0, 0]])
  assert.equal(receiver.tryReceive(), 3)
})

test('receiveInto() gives what comes before a value that cannot be decoded', async () => {
  const channel = createSharedChannel<string>({ capacity: 8, codec: 'custom' })
  const codec = {
    encode: (value: string): Uint8Array => Buffer.from(value),
    decode: (bytes: Uint8Array): string => {
      const value = Buffer.from(bytes).toString()
      if (value === 'bad') throw new Error('cannot decode')
      return value
    },
  }
  const sender = attachSender(channel, { codec })
  const receiver = attachReceiver(channel, { codec })
  const target = ['', '', '', '']
  const waiting = receiver.receiveInto(target)

  await sender.sendBatch(['a', 'bad', 'b', 'bad', 'c'])

  assert.deepEqual([await waiting, target], [1, ['a', '', '', '']])
  await assert.rejects(receiver.receiveInto(target), { message: 'cannot decode' })
  assert.deepEqual([receiver.tryReceiveInto(target), target[0]], [1, 'b'])
  assert.throws(() => receiver.tryReceiveInto(target), { message: 'cannot decode' })
  assert.deepEqual(receiver.tryReceiveBatch(), ['c'])
})

test('what cannot take the values is refused', async () => {
  const numbers = attachReceiver(createSharedChannel({ capacity: 4, codec: 'numbers' }))
  const clones = attachReceiver(createSharedChannel<number>({ capacity: 4 }))

  await assert.rejects(numbers.receiveInto([]), RangeError)
  await assert.rejects(numbers.receiveInto(new Float32Array(4)), TypeError)
  await assert.rejects(numbers.receiveInto(4 as never), TypeError)
  await assert.rejects(clones.receiveInto(new Float64Array(4)), TypeError)
  assert.throws(() => clones.tryReceiveInto(new Float64Array(4)), TypeError)
  assert.throws(() => numbers.tryReceiveInto([]), RangeError)
  assert.throws(() => numbers.tryReceiveBatch(0), RangeError)
  assert.deepEqual(numbers.tryReceiveBatch(), [])
  assert.equal(numbers.tryReceiveInto(new Float64Array(4)), 0)
})

test('sendBatch() of more than there is room for goes on as there is room', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 64, codec: 'numbers' }))
  const target = new Float64Array(40)
  const received: number[] = []
  const sending = sender.sendBatch(numbersFrom(0, 1_000)).then(() => sender.close())

  for (;;) {
    const count = await receiver.receiveInto(target)
    if (count === 0) break
    received.push(...target.subarray(0, count))
  }
  await sending

  assert.deepEqual(received, [...numbersFrom(0, 1_000)])
})

test('sendBatch() that fails gives back what is neither received nor in the channel', async () => {
  const { sender, receiver } = attachBoth(createSharedChannel({ capacity: 64, codec: 'numbers' }))
  const target = new Float64Array(40)
  const sending = sender.sendBatch(numbersFrom(0, 200))
  const failed = sending.then(
    () => assert.fail('it was sent'),
    (error: ChannelError<number[]>) => error.value,
  )

  const count = await receiver.receiveInto(target)
  receiver.close()

  const all = [...target.subarray(0, count), ...sender.takeBack(), ...(await failed)]
  assert.deepEqual(all, [...numbersFrom(0, 200)])
})

test('isFull tells whether trySend() of a value of the usual length fails', () => {
  const length = fc.integer({ min: 0, max: 40 })
  const steps = fc.array(fc.record({ isSend: fc.boolean(), length }), { maxLength: 200 })

  const property = fc.property(steps, (all) => {
    const channel = createSharedChannel({ capacity: 3, codec: 'bytes', valueBytes: 40 })
    const { sender, receiver } = attachBoth(channel)
    for (const step of all) {
      if (!step.isSend) receiver.tryReceive()
      else if (!sender.isFull) sender.trySend(new Uint8Array(step.length))
      else {
        const send = () => sender.trySend(new Uint8Array(40))
        assert.throws(send, { code: 'ERR_CHANNEL_FULL' })
      }
    }
    sender.close()
    receiver.close()
  })

  fc.assert(property, { numRuns: 200 })
})

test('a receiver that waits is told of the first value at once, and of others in lots', async () => {
  const channel = createSharedChannel({ capacity: 64, codec: 'numbers' })
  const { sender, receiver } = attachBoth(channel)
  const seen = SpscNumberConsumer.follow(channel.ring)
  const receiving = receiver.receive()

  sender.trySend(1)
  const afterFirst = seen.countFilled()
  sender.trySend(2)
  const afterSecond = seen.countFilled()
  await settle()

  assert.deepEqual([afterFirst, afterSecond, seen.countFilled()], [1, 1, 2])
  assert.equal(await receiving, 1)
})
