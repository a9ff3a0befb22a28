/** Callers that use an array, or bytes, again before they are in. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  attachReceiver,
  attachSender,
  attachThreadSender,
  ChannelError,
  createSharedChannel,
  type SharedChannel,
  type SharedReceiver,
} from '../../src/channels/index.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(60_000)

/** What both kinds of senders can do. */
interface BatchSender<T> {
  send(value: T): Promise<void>
  sendBatch(values: ArrayLike<T>, options?: { signal?: AbortSignal }): Promise<void>
  close(): void
}

const ATTACH: Readonly<Record<string, <T>(channel: SharedChannel<T>) => BatchSender<T>>> = {
  attachSender: (channel) => attachSender(channel),
  attachThreadSender: (channel) => attachThreadSender(channel),
}

async function receiveAll<T>(receiver: SharedReceiver<T>): Promise<T[]> {
  const values: T[] = []
  for await (const value of receiver) values.push(value)
  return values
}

for (const [name, attach] of Object.entries(ATTACH)) {
  test(
    `a batch that waits (${name}) is sent as it was when the array is emptied`,
    LIMIT,
    async () => {
      const channel = createSharedChannel({ capacity: 2, codec: 'numbers' })
      const sender = attach(channel)
      const batch = [1, 2, 3, 4, 5]
      const sending = sender.sendBatch(batch)
      sender.close()

      batch.length = 0

      assert.deepEqual(await receiveAll(attachReceiver(channel)), [1, 2, 3, 4, 5])
      await sending
    },
  )

  test(
    `a batch that waits (${name}) is sent as it was when the array is filled anew`,
    LIMIT,
    async () => {
      const channel = createSharedChannel<{ n: number }>({ capacity: 2, valueBytes: 240 })
      const sender = attach(channel)
      const batch = Array.from({ length: 200 }, (_, n) => ({ n }))
      const expected = structuredClone(batch)
      const sending = sender.sendBatch(batch)
      sender.close()

      batch.fill({ n: -1 })

      assert.deepEqual(await receiveAll(attachReceiver(channel)), expected)
      await sending
    },
  )

  test(
    `a batch that waits (${name}) is sent as it was when its memory is transferred`,
    LIMIT,
    async () => {
      const channel = createSharedChannel({ capacity: 2, codec: 'numbers' })
      const sender = attach(channel)
      const batch = Float64Array.of(1, 2, 3, 4, 5)
      const sending = sender.sendBatch(batch)
      sender.close()

      structuredClone(batch, { transfer: [batch.buffer] })

      assert.equal(batch.length, 0)
      assert.deepEqual(await receiveAll(attachReceiver(channel)), [1, 2, 3, 4, 5])
      await sending
    },
  )

  for (const isBatch of [false, true]) {
    const what = isBatch ? 'bytes of a batch that wait' : 'bytes that wait'
    test(`${what} (${name}) are sent as they were, changed or transferred`, LIMIT, async () => {
      const channel = createSharedChannel({ capacity: 1, valueBytes: 8, codec: 'bytes' })
      const sender = attach(channel)
      const changed = new Uint8Array(1_000).fill(1)
      const transferred = new Uint8Array(1_000).fill(2)
      const values = [changed, transferred]
      const sending = isBatch ? [sender.sendBatch(values)] : values.map((one) => sender.send(one))
      sender.close()

      changed.fill(9)
      structuredClone(transferred, { transfer: [transferred.buffer] })

      const received = await receiveAll(attachReceiver(channel))
      await Promise.all(sending)
      assert.deepEqual(received, [new Uint8Array(1_000).fill(1), new Uint8Array(1_000).fill(2)])
    })
  }

  test(
    `what is left of a batch (${name}) is given back though the array was emptied`,
    LIMIT,
    async () => {
      const channel = createSharedChannel<string>({ capacity: 1 })
      const sender = attach(channel)
      const controller = new AbortController()
      const batch = Array.from({ length: 100 }, (_, index) => `value ${index}`)
      const expected = [...batch]
      const sending = sender.sendBatch(batch, { signal: controller.signal })

      batch.length = 0
      controller.abort()

      const error = await sending.then(
        () => assert.fail('it has more than there is room for'),
        (reason: unknown) => reason,
      )
      assert.ok(error instanceof ChannelError)
      sender.close()
      const received = await receiveAll(attachReceiver(channel))
      assert.ok(received.length > 0)
      assert.deepEqual([...received, ...(error.value as string[])], expected)
    },
  )
}

test('trySendBatch() refuses what is no array', () => {
  const sender = attachSender(createSharedChannel({ capacity: 2, codec: 'numbers' }))

  const expected = { name: 'TypeError', message: /values must be an array/ }

  assert.throws(() => sender.trySendBatch(null as never), expected)
  assert.throws(() => sender.trySendBatch(3 as never), expected)
})
