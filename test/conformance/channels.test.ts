/** Channels: rows 105 to 108, and the defects D22, D27 and D28. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import {
  abandonReceiver,
  attachReceiver,
  attachSender,
  type ChannelError,
  createChannel,
  createMesh,
  createSharedChannel,
  joinMesh,
  type Mesh,
  shardOf,
} from '../../src/channels/index.ts'
import {
  createSpscRing,
  SpscNumberConsumer,
  SpscNumberProducer,
} from '../../src/channels/shared/index.ts'
import { spawn, yieldNow } from '../../src/index.ts'
import type { WorkerPart } from '../channels/shared-worker.ts'
import { runThreads } from '../channels/shared-world.ts'
import { limited, repetitionCount, seedCount } from '../limits.ts'

const LIMIT = limited(120_000)
const SEEDS = seedCount(30)
const numbers = { codec: 'numbers' } as const
const WORD_TAIL = 32
const WORD_HEAD = 64

function startWorker(part: WorkerPart): Worker {
  const module = new URL('../channels/shared-worker.js', import.meta.url)
  return new Worker(module, { workerData: part })
}

test('105: a send fails with its value where the receiver was closed before', async () => {
  const { sender, receiver } = createChannel<string>({ capacity: 1 })
  receiver.close()

  await assert.rejects(sender.send('a'), { code: 'ERR_CHANNEL_CLOSED', value: 'a' })
  assert.throws(() => sender.trySend('b'), { code: 'ERR_CHANNEL_CLOSED', value: 'b' })
})

test('105: a channel with room for one holds back whoever sends a second', async () => {
  const { sender, receiver } = createChannel<number>({ capacity: 1 })
  const log: string[] = []
  const sending = spawn(async () => {
    for (const value of [1, 2]) {
      await sender.send(value)
      log.push(`sent ${value}`)
    }
  })
  for (let count = 0; count < 5; count++) await yieldNow()
  log.push('receives')
  assert.deepEqual([await receiver.receive(), await receiver.receive()], [1, 2])
  await sending

  assert.deepEqual(log, ['sent 1', 'receives', 'sent 2'])
})

test('105: a send that waits fails with its value as the receiver closes', async () => {
  const { sender, receiver } = createChannel<number>({ capacity: 1 })
  await sender.send(1)
  const waiting = assert.rejects(sender.send(2), { code: 'ERR_CHANNEL_CLOSED', value: 2 })
  await yieldNow()

  receiver.close()

  await waiting
})

test('105: many receivers share all values, each once', async () => {
  const { sender, receiver } = createChannel<number>({ capacity: 4 })
  const received: number[] = []
  const receiving = Array.from({ length: 10 }, () =>
    spawn(async () => {
      for await (const value of receiver) received.push(value)
    }),
  )
  for (let value = 0; value < 100; value++) await sender.send(value)
  sender.close()
  await Promise.all(receiving)

  assert.deepEqual(
    received.sort((a, b) => a - b),
    Array.from({ length: 100 }, (_, value) => value),
  )
})

test('106: a peer that never attaches holds nobody for ever', async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const channel = createSharedChannel({ capacity: 1, ...numbers })
    let peer = 0
    await runThreads(seed, [
      async () => {
        while (peer === 0) await yieldNow()
        const sender = attachSender(channel, { peer })
        const sendAll = async (): Promise<void> => {
          for (;;) await sender.send(1)
        }
        await assert.rejects(sendAll(), { code: 'ERR_PEER_ENDED', value: 1 })
      },
      async ({ executor, end }) => {
        peer = executor.doorbell.address
        end()
      },
    ])
  }
  const other = createSharedChannel({ capacity: 1, ...numbers })
  const sender = attachSender(other)
  await sender.send(1)
  const waiting = assert.rejects(sender.send(2), { code: 'ERR_PEER_ENDED', value: 2 })
  abandonReceiver(other)
  await waiting
})

test('106: whoever closes first, each value is received, given back or refused, once', async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const channel = createSharedChannel({ capacity: 4, ...numbers })
    const outcomes: number[] = []
    await runThreads(seed, [
      async () => {
        const sender = attachSender(channel)
        const sending = Array.from({ length: 20 }, (_, value) =>
          sender.send(value).catch((error: ChannelError<number>) => {
            outcomes.push(error.value)
          }),
        )
        if (seed % 2 === 0) sender.close()
        await Promise.all(sending)
        outcomes.push(...sender.takeBack())
      },
      async () => {
        const receiver = attachReceiver(channel)
        const count = seed % 7
        for (let index = 0; index < count; index++) outcomes.push((await receiver.receive())!)
        receiver.close()
      },
    ])
    assert.deepEqual(
      outcomes.sort((a, b) => a - b),
      Array.from({ length: 20 }, (_, value) => value),
    )
  }
})

test('106: a close while another task waits to send fails that task, or sends for it', async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const channel = createSharedChannel({ capacity: 1, ...numbers })
    await runThreads(seed, [
      async () => {
        const sender = attachSender(channel)
        await sender.send(0)
        const waiting = sender.send(1)
        sender.close()
        await assert.rejects(sender.send(2), { code: 'ERR_CHANNEL_CLOSED', value: 2 })
        await waiting.catch((error: ChannelError<number>) => {
          assert.deepEqual([error.code, error.value], ['ERR_CHANNEL_CLOSED', 1])
        })
      },
      async () => {
        const receiver = attachReceiver(channel)
        assert.equal(await receiver.receive(), 0)
        if (seed % 2 === 0) receiver.close()
        else assert.equal(await receiver.receive(), 1)
      },
    ])
  }
})

test('107: a million items cross two threads in order', LIMIT, async () => {
  const count = repetitionCount(1_000_000, 100_000)
  const back = createSharedChannel({ capacity: 1024, ...numbers })
  const worker = startWorker({ what: 'leave', back, count })
  // It may come before the end of the channel is looked at.
  const exited = once(worker, 'exit').catch(() => {})

  let next = 0
  const receiver = attachReceiver(back)
  const receiving = async (): Promise<void> => {
    for (;;) {
      for (const value of await receiver.receiveBatch()) assert.equal(value, next++)
    }
  }
  // It ends without a close, once all is sent.
  await assert.rejects(receiving(), { code: 'ERR_PEER_ENDED' })

  assert.equal(next, count)
  await exited
})

test('107: indexes go on past the largest number of 32 bits, signed or not', () => {
  for (const start of [2 ** 31 - 3, 2 ** 32 - 3]) {
    const ring = createSpscRing({ kind: 'numbers', capacity: 4 })
    const words = new Int32Array(ring.memory, ring.offsetBytes)
    words[WORD_TAIL] = start
    words[WORD_HEAD] = start
    const producer = SpscNumberProducer.attach(ring)
    const consumer = SpscNumberConsumer.attach(ring)

    for (let value = 0; value < 20; value += 2) {
      assert.ok(producer.tryPush(value) && producer.tryPush(value + 1))
      assert.deepEqual([consumer.tryPop(), consumer.tryPop()], [value, value + 1])
      assert.equal(consumer.tryPop(), undefined)
    }
  }
})

test('108: the shards of a mesh have their numbers, whatever order they join in', async () => {
  const mesh = createMesh({ shards: 3, capacity: 2, ...numbers })
  const shards = [2, 0, 1].map((shard) => joinMesh(mesh, shard))

  assert.deepEqual(
    shards.map(({ shard, shardCount }) => [shard, shardCount]),
    [
      [2, 3],
      [0, 3],
      [1, 3],
    ],
  )
  await shards[0]!.send(1, 7)
  assert.deepEqual(await shards[2]!.receiver.receive(), { from: 2, value: 7 })
})

test('108: nobody joins twice as one shard, nor as one too many', () => {
  const mesh = createMesh({ shards: 2, capacity: 2, ...numbers })
  joinMesh(mesh, 0)

  assert.throws(() => joinMesh(mesh, 0), { code: 'ERR_STILL_HELD' })
  assert.throws(() => joinMesh(mesh, 2), RangeError)
})

test('108: in a partial mesh each receiver hears every sender, and no other shard', async () => {
  const roles = ['sender', 'receiver', 'sender', 'receiver'] as const
  const mesh = createMesh({ shards: 4, capacity: 4, roles, ...numbers })
  await runThreads(
    1,
    roles.map((role, shard) => async () => {
      const self = joinMesh(mesh, shard)
      if (role === 'sender') {
        for (const to of [1, 3]) await self.send(to, shard * 10 + to)
        assert.throws(() => self.sender(0), RangeError)
      }
      self.close()
      const heard: number[] = []
      for await (const { from, value } of self.receiver) {
        assert.equal(Math.floor(value / 10), from)
        heard.push(value)
      }
      const expected = role === 'sender' ? [] : [shard, 20 + shard]
      assert.deepEqual(
        heard.sort((a, b) => a - b),
        expected,
      )
    }),
  )
})

test('108: each message reaches the shard of its key, and as many as were sent', async () => {
  const shardCount = 4
  const perShard = 100
  const mesh = createMesh<{ key: string }>({ shards: shardCount, capacity: 4 })
  const handled = new Array<number>(shardCount).fill(0)
  await runThreads(
    3,
    handled.map((_, shard) => async () => {
      const self: Mesh<{ key: string }> = joinMesh(mesh, shard)
      for (let index = 0; index < perShard; index++) {
        const key = `${shard}:${index}`
        await self.send(shardOf(key, shardCount), { key })
      }
      self.close()
      for await (const { value } of self.receiver) {
        assert.equal(shardOf(value.key, shardCount), shard)
        handled[shard]!++
      }
    }),
  )

  assert.equal(
    handled.reduce((sum, count) => sum + count, 0),
    shardCount * perShard,
  )
})

test('D22: an end is never two: not by attaching again, nor by a copy', LIMIT, async () => {
  const channel = createSharedChannel({ capacity: 4, ...numbers })
  const copy = structuredClone(channel)
  const sender = attachSender(channel)
  const receiver = attachReceiver(copy)

  assert.throws(() => attachSender(copy), { code: 'ERR_STILL_HELD' })
  assert.throws(() => attachReceiver(channel), { code: 'ERR_STILL_HELD' })
  for (const end of [sender, receiver]) {
    const copied = structuredClone(end) as Partial<typeof sender & typeof receiver>
    assert.equal(copied.send ?? copied.receive ?? copied.close, undefined)
  }
  // Nor on another thread.
  const worker = startWorker({ what: 'leave', back: channel, count: 1 })
  const [error] = await once(worker, 'error')
  assert.equal((error as { code?: string }).code, 'ERR_STILL_HELD')
  await sender.send(5)
  assert.equal(await receiver.receive(), 5)
})

test('D27: what is sent to a shard that is none comes back, and to oneself arrives', async () => {
  const mesh = createMesh<{ id: number }>({ shards: 2, capacity: 4, roles: ['both', 'sender'] })
  const self = joinMesh(mesh, 0)
  const message = { id: 1 }
  const isBack = (error: Error & { value?: unknown }): boolean => {
    assert.ok(error instanceof RangeError)
    assert.equal(error.value, message)
    return true
  }

  for (const to of [2, -1, 0.5, 1]) {
    await assert.rejects(self.send(to, message), isBack)
    assert.throws(() => self.trySend(to, message), isBack)
  }
  await self.send(0, message)

  assert.deepEqual(await self.receiver.receive(), { from: 0, value: message })
})

test(
  'D28: all shards of a full mesh with room for one send before they receive',
  LIMIT,
  async () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const mesh = createMesh({ shards: 3, capacity: 1, ...numbers })
      await runThreads(
        seed,
        [0, 1, 2].map((shard) => async () => {
          const self = joinMesh(mesh, shard)
          for (let value = 0; value < 20; value++) {
            for (const to of [0, 1, 2]) await self.send(to, value)
          }
          self.close()
          const next = [0, 0, 0]
          for await (const { from, value } of self.receiver) assert.equal(value, next[from]!++)
          assert.deepEqual(next, [20, 20, 20])
        }),
      )
    }
    const mesh = createMesh({ shards: 2, capacity: 1, ...numbers })
    const workers = [0, 1].map((shard) => startWorker({ what: 'mesh', mesh, shard, count: 300 }))

    const answers = await Promise.all(workers.map((worker) => once(worker, 'message')))

    assert.deepEqual(answers.flat(), ['done', 'done'])
  },
)
