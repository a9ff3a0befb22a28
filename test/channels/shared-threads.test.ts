/** Shared channels between real threads: busy ones, ones that sleep, and ones that end in the middle of it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { Prng } from '../../src/base/index.ts'
import {
  attachReceiver,
  attachSender,
  type ChannelError,
  createMesh,
  createSharedChannel,
} from '../../src/channels/index.ts'
import { yieldNow } from '../../src/index.ts'
import { limited } from '../limits.ts'
import type { WorkerPart } from './shared-worker.ts'

const HAMMER_MS = Number(process.env.PERCORE_HAMMER_SECONDS ?? 1) * 1_000

function start(part: WorkerPart): Worker {
  return new Worker(new URL('./shared-worker.js', import.meta.url), { workerData: part })
}

test('a worker sends back all that it gets', limited(60_000), async () => {
  const there = createSharedChannel<unknown>({ capacity: 4 })
  const back = createSharedChannel<unknown>({ capacity: 4 })
  const sender = attachSender(there)
  const receiver = attachReceiver(back)
  const values = [1, 'two', { three: [3] }, new Map([[4, 'x'.repeat(10_000)]]), null]
  // Before there is anybody on the other side.
  const sending = sender.sendBatch(values)
  const worker = start({ what: 'echo', there, back })
  // It may come before its last value is looked at.
  const exited = once(worker, 'exit')

  const received: unknown[] = []
  for (let count = 0; count < values.length; count++) received.push(await receiver.receive())
  await sending
  sender.close()

  assert.equal(await receiver.receive(), undefined)
  assert.deepEqual(received, values)
  assert.deepEqual(await exited, [0])
})

test('threads that send and sleep lose no message', limited(HAMMER_MS + 120_000), async (t) => {
  const untilMs = performance.now() + HAMMER_MS
  let messageCount = 0
  for (let seed = 0; seed < 2 || performance.now() < untilMs; seed++) {
    const prng = new Prng(seed)
    const there = createSharedChannel({ capacity: prng.int(1, 64), codec: 'numbers' })
    const back = createSharedChannel({ capacity: prng.int(1, 64), codec: 'numbers' })
    const worker = start({
      what: 'echo',
      there: there as never,
      back: back as never,
    })
    const sender = attachSender(there)
    const receiver = attachReceiver(back)
    const count = 5_000
    const send = async (): Promise<void> => {
      for (let value = 0; value < count; ) {
        const lot = Math.min(prng.int(1, 200), count - value)
        await sender.sendBatch(Float64Array.from({ length: lot }, (_, index) => value + index))
        value += lot
        if (prng.int(0, 3) === 0) await yieldNow()
      }
      sender.close()
    }
    const receive = async (): Promise<void> => {
      let next = 0
      for await (const value of receiver) assert.equal(value, next++)
      assert.equal(next, count)
    }
    await Promise.all([send(), receive(), once(worker, 'exit')])
    messageCount += 2 * count
  }
  t.diagnostic(`${messageCount} messages`)
})

for (const how of ['exit', 'throw', 'end'] as const) {
  test(
    `a receiver whose thread ends (${how}) fails the sender, which has the rest`,
    limited(60_000),
    async () => {
      const there = createSharedChannel<unknown>({ capacity: 4, valueBytes: 100 })
      const sender = attachSender(there)
      const worker = start({ what: 'crash', there, count: 10, how })
      worker.on('error', () => {})
      let failed: ChannelError<unknown> | undefined
      let value = 0
      for (; failed === undefined; value++) {
        await sender.send(value).catch((error) => {
          failed = error
        })
      }

      assert.equal(failed.code, 'ERR_PEER_ENDED')
      assert.equal(failed.value, value - 1)
      const left = sender.takeBack()
      assert.ok(left.length > 0)
      assert.equal(left.at(-1), value - 2)
      assert.throws(() => sender.trySend(1), { code: 'ERR_PEER_ENDED' })
    },
  )
}

test(
  'a sender whose thread ends without a close fails the receiver behind all it has sent',
  limited(60_000),
  async () => {
    const back = createSharedChannel({ capacity: 4, codec: 'numbers' })
    const receiver = attachReceiver(back)
    start({ what: 'leave', back, count: 100 })

    let next = 0
    const receiveAll = async (): Promise<void> => {
      for await (const value of receiver) assert.equal(value, next++)
    }
    await assert.rejects(receiveAll(), { code: 'ERR_PEER_ENDED' })

    assert.equal(next, 100)
  },
)

test('a thread that is terminated in its sleep fails both ends', limited(60_000), async () => {
  const there = createSharedChannel<unknown>({ capacity: 1, valueBytes: 200 })
  const back = createSharedChannel<unknown>({ capacity: 1 })
  const worker = start({ what: 'wait', there, back })
  const receiver = attachReceiver(back)
  const sender = attachSender(there)
  assert.equal(await receiver.receive(), 'attached')
  const failing = assert.rejects(receiver.receive(), { code: 'ERR_PEER_ENDED' })
  await worker.terminate()

  await failing
  const value = 'x'.repeat(100_000)
  await assert.rejects(sender.send(value), { code: 'ERR_PEER_ENDED', value })
})

test(
  'all shards of a mesh on threads of their own send before they receive',
  limited(120_000),
  async () => {
    const mesh = createMesh({ shards: 3, capacity: 8, codec: 'numbers' })
    const workers = [0, 1, 2].map((shard) => start({ what: 'mesh', mesh, shard, count: 500 }))

    const answers = await Promise.all(workers.map((worker) => once(worker, 'message')))

    assert.deepEqual(answers.flat(), ['done', 'done', 'done'])
  },
)
