/** What senders find of what they have sent, once nobody receives it any more. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import {
  attachReceiver,
  attachSender,
  attachThreadSender,
  createSharedChannel,
} from '../../src/channels/index.ts'
import { yieldNow } from '../../src/index.ts'
import { limited, seedCount } from '../limits.ts'
import { runThreads } from './shared-world.ts'

const LIMIT = limited(60_000)
const numbers = { capacity: 16, codec: 'numbers' } as const

/** Starts a thread that attaches as the receiver, takes one value, and ends without a close. */
function startReceiver(channel: unknown): Worker {
  const url = new URL('../../src/channels/index.js', import.meta.url).href
  const code = `import(${JSON.stringify(url)}).then(async ({ attachReceiver }) => {
    await attachReceiver(require('node:worker_threads').workerData).receive()
    process.exit(0)
  })`
  return new Worker(code, { eval: true, workerData: channel })
}

for (let seed = 0; seed < seedCount(20); seed++) {
  test(`takeBack() finds all once the receiver's thread has ended, though the sender had closed: seed ${seed}`, async () => {
    const channel = createSharedChannel(numbers)
    let hasEnded = false
    await runThreads(seed, [
      async () => {
        const sender = attachSender(channel)
        await sender.sendBatch([1, 2, 3])
        sender.close()
        while (!hasEnded) await yieldNow()

        assert.deepEqual(sender.takeBack(), [1, 2, 3])
        assert.deepEqual(sender.takeBack(), [])
      },
      async ({ end }) => {
        attachReceiver(channel)
        for (let count = seed % 5; count > 0; count--) await yieldNow()
        end()
        hasEnded = true
      },
    ])
    assert.ok(hasEnded)
  })
}

test(
  'takeBack() finds all where the expected thread has ended without attaching',
  LIMIT,
  async () => {
    const channel = createSharedChannel(numbers)
    let peer = 0
    let hasEnded = false
    await runThreads(1, [
      async () => {
        while (peer === 0) await yieldNow()
        const sender = attachSender(channel, { peer })
        await sender.send(1)
        sender.close()
        assert.deepEqual(sender.takeBack(), [])
        while (!hasEnded) await yieldNow()

        assert.deepEqual(sender.takeBack(), [1])
      },
      async ({ executor, end }) => {
        peer = executor.doorbell.address
        for (let count = 40; count > 0; count--) await yieldNow()
        end()
        hasEnded = true
      },
    ])
  },
)

for (const isClosed of [false, true]) {
  const name = isClosed ? 'though the sender had closed' : 'without another send'
  test(
    `takeBack() of a thread without an executor notices an ended receiver, ${name}`,
    LIMIT,
    async () => {
      const channel = createSharedChannel(numbers)
      const sender = attachThreadSender(channel)
      await sender.sendBatch([1, 2, 3])
      if (isClosed) sender.close()
      const worker = startReceiver(channel)

      await once(worker, 'exit')

      // Whether the one that was taken was given back to the ring is the crashed thread's matter.
      assert.deepEqual(sender.takeBack().slice(-2), [2, 3])
    },
  )
}

test('takeBack() makes no value of the end of one whose beginning was received', async () => {
  const channel = createSharedChannel({ capacity: 1, valueBytes: 8, codec: 'bytes' })
  const sender = attachSender(channel)
  const receiver = attachReceiver(channel)
  const sending = sender.send(new Uint8Array(700).fill(7))
  await yieldNow()
  // Its first pieces, which give room to the last.
  assert.equal(receiver.tryReceive(), undefined)
  await sending
  await sender.send(Uint8Array.of(1, 2, 3))

  receiver.close()

  assert.throws(
    () => sender.takeBack(),
    (error: { code: string; value: unknown; cause: AggregateError }) => {
      assert.equal(error.code, 'ERR_VALUE_UNREADABLE')
      assert.deepEqual(error.value, [Uint8Array.of(1, 2, 3)])
      assert.deepEqual(
        error.cause.errors.map(({ code }) => code),
        ['ERR_VALUE_UNREADABLE'],
      )
      return true
    },
  )
})

test('a value that was sent in part only is no value, and what follows it is', async () => {
  const channel = createSharedChannel({ capacity: 1, valueBytes: 8, codec: 'bytes' })
  const sender = attachSender(channel)
  const receiver = attachReceiver(channel)
  const controller = new AbortController()
  const sending = sender.send(new Uint8Array(2_000), { signal: controller.signal })
  await yieldNow()
  assert.equal(receiver.tryReceive(), undefined)
  controller.abort()
  await assert.rejects(sending, { name: 'AbortError' })

  const next = sender.send(new Uint8Array(700).fill(1))

  assert.deepEqual(await receiver.receive(), new Uint8Array(700).fill(1))
  await next
})
