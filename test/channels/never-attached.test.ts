/** Threads that end before they have attached to the end that was meant for them. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import {
  abandonReceiver,
  abandonSender,
  abandonShard,
  attachBroadcastReceiver,
  attachBroadcastSender,
  attachMpscReceiver,
  attachMpscSender,
  attachOneshotReceiver,
  attachOneshotSender,
  attachReceiver,
  attachSender,
  attachWatchReader,
  attachWatchWriter,
  createBroadcast,
  createMesh,
  createMpscChannel,
  createSharedChannel,
  createSharedOneshot,
  createSharedWatch,
  joinMesh,
} from '../../src/channels/index.ts'
import { SpscNumberProducer } from '../../src/channels/shared/index.ts'
import { yieldNow } from '../../src/index.ts'
import { ExecutorPool } from '../../src/runtime/index.ts'
import { PoolPlacement } from '../../src/topology/index.ts'
import { limited, seedCount } from '../limits.ts'
import { runThreads } from './shared-world.ts'

const SEEDS = seedCount(40)
const numbers = { capacity: 2, codec: 'numbers' } as const
const PEER_ENDED = { code: 'ERR_PEER_ENDED' }

/** What one thread does that waits for another, which ends before it attaches. */
interface Case {
  /** Attaches, knowing of the other, and waits in vain. */
  readonly wait: (peer: number) => Promise<unknown>
  /** What the others do, if there are any. */
  readonly others?: readonly (() => Promise<unknown>)[]
}

/** Runs that with the other thread ending earlier or later, by the seed. */
async function runCase(seed: number, { wait, others = [] }: Case): Promise<void> {
  let peer = 0
  await runThreads(seed, [
    async () => {
      while (peer === 0) await yieldNow()
      await wait(peer)
    },
    async ({ executor, end }) => {
      peer = executor.doorbell.address
      for (let count = seed % 12; count > 0; count--) await yieldNow()
      end()
    },
    ...others,
  ])
}

async function sendUntilRefused(sender: { send(value: number): Promise<void> }): Promise<void> {
  for (;;) await sender.send(1)
}

const CASES: Readonly<Record<string, () => Case>> = {
  'a receiver of a shared channel': () => {
    const channel = createSharedChannel(numbers)
    return {
      wait: (peer) => assert.rejects(attachReceiver(channel, { peer }).receive(), PEER_ENDED),
    }
  },
  'a sender of a shared channel': () => {
    const channel = createSharedChannel(numbers)
    return {
      wait: async (peer) => {
        const sender = attachSender(channel, { peer })
        await assert.rejects(sendUntilRefused(sender), PEER_ENDED)
        assert.ok(sender.takeBack().every((value) => value === 1))
      },
    }
  },
  'a receiver of a oneshot': () => {
    const oneshot = createSharedOneshot()
    return {
      wait: (peer) =>
        assert.rejects(attachOneshotReceiver(oneshot, { peer }).receive(), PEER_ENDED),
    }
  },
  'a reader of a watch': () => {
    const watch = createSharedWatch()
    return {
      wait: (peer) => assert.rejects(attachWatchReader(watch, { peer }).changed(), PEER_ENDED),
    }
  },
  'a receiver of many senders, of whom others go on,': () => {
    const channel = createMpscChannel({ ...numbers, senders: 2 })
    let other = 0
    let received = 0
    return {
      wait: async (peer) => {
        while (other === 0) await yieldNow()
        const receiver = attachMpscReceiver(channel, { peers: [peer, other] })
        let errorCount = 0
        for (let isOver = false; !isOver; ) {
          try {
            const value = await receiver.receive()
            if (value === undefined) isOver = true
            else received += value
          } catch (error) {
            assert.equal((error as { code?: string }).code, 'ERR_PEER_ENDED')
            errorCount++
          }
        }
        assert.deepEqual([errorCount, received], [1, 5])
      },
      others: [
        async () => {
          const sender = attachMpscSender(channel)
          other = 1
          for (let count = 0; count < 5; count++) await sender.send(1)
          sender.close()
        },
      ],
    }
  },
  'a sender to many receivers': () => {
    const channel = createBroadcast({ ...numbers, receivers: 1 })
    return {
      wait: (peer) =>
        assert.rejects(sendUntilRefused(attachBroadcastSender(channel, { peers: [peer] })), {
          code: 'ERR_CHANNEL_CLOSED',
        }),
    }
  },
  'a shard of a mesh': () => {
    const mesh = createMesh({ ...numbers, shards: 2 })
    return {
      wait: async (peer) => {
        const self = joinMesh(mesh, 0, { peers: [0, peer] })
        await assert.rejects(self.receiver.receive(), PEER_ENDED)
        const sending = async (): Promise<void> => {
          for (;;) await self.send(1, 1)
        }
        await assert.rejects(sending(), PEER_ENDED)
      },
    }
  },
}

for (const [name, makeCase] of Object.entries(CASES)) {
  test(`${name} fails where the thread that it names ends before it attaches`, async () => {
    for (let seed = 0; seed < SEEDS; seed++) await runCase(seed, makeCase())
  })
}

test('a thread that ends between its claim and telling of itself fails the other end', async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const channel = createSharedChannel(numbers)
    await runThreads(seed, [
      () => assert.rejects(attachReceiver(channel).receive(), PEER_ENDED),
      async ({ executor, end }) => {
        for (let count = seed % 5; count > 0; count--) await yieldNow()
        SpscNumberProducer.attach(channel.ring, executor.doorbell.address)
        end()
      },
    ])
  }
})

test('the end of a thread whose end of the channel was closed before is no failure', async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const channel = createSharedChannel(numbers)
    let peer = 0
    await runThreads(seed, [
      async () => {
        while (peer === 0) await yieldNow()
        for (let count = seed % 7; count > 0; count--) await yieldNow()
        const receiver = attachReceiver(channel, { peer })
        assert.equal(await receiver.receive(), 7)
        assert.equal(await receiver.receive(), undefined)
      },
      async ({ executor, end }) => {
        const sender = attachSender(channel)
        await sender.send(7)
        sender.close()
        peer = executor.doorbell.address
        end()
      },
    ])
  }
})

test('abandonSender() and abandonReceiver() fail who waits, on another thread as well', async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const [there, back] = [createSharedChannel(numbers), createSharedChannel(numbers)]
    const oneshot = createSharedOneshot()
    const watch = createSharedWatch()
    const all = createBroadcast({ ...numbers, receivers: 2 })
    const many = createMpscChannel({ ...numbers, senders: 2 })
    await runThreads(seed, [
      () =>
        Promise.all([
          assert.rejects(sendUntilRefused(attachSender(there)), PEER_ENDED),
          assert.rejects(attachReceiver(back).receive(), PEER_ENDED),
          assert.rejects(attachOneshotReceiver(oneshot).receive(), PEER_ENDED),
          assert.rejects(attachWatchReader(watch).changed(), PEER_ENDED),
          assert.rejects(sendUntilRefused(attachBroadcastSender(all)), {
            code: 'ERR_CHANNEL_CLOSED',
          }),
          assert.rejects(attachMpscReceiver(many).receive(), PEER_ENDED),
        ]),
      async () => {
        for (let count = seed % 9; count > 0; count--) await yieldNow()
        assert.equal(abandonReceiver(there), true)
        assert.equal(abandonSender(back), true)
        assert.equal(abandonSender(oneshot), true)
        assert.equal(abandonSender(watch), true)
        assert.equal(abandonReceiver(all), true)
        assert.equal(abandonSender(many), true)
      },
    ])
  }
})

test('abandonShard() fails those who wait for it, and leaves the others alone', async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const mesh = createMesh({ ...numbers, shards: 3 })
    const run = (shard: number) => async (): Promise<void> => {
      const self = joinMesh(mesh, shard)
      await self.send(1 - shard, shard)
      self.close()
      let failureCount = 0
      const values: number[] = []
      for (let isOver = false; !isOver; ) {
        const message = await self.receiver.receive().catch(() => ++failureCount)
        if (message === undefined) isOver = true
        else if (typeof message === 'object') values.push(message.value)
      }
      assert.deepEqual([failureCount, values], [1, [1 - shard]])
    }
    await runThreads(seed, [run(0), run(1), async () => assert.equal(abandonShard(mesh, 2), true)])
  }
})

test('what was attached to, or abandoned, is not abandoned, and what was abandoned not attached to', () => {
  const [first, second] = [createSharedChannel(numbers), createSharedChannel(numbers)]
  const oneshot = createSharedOneshot()
  const watch = createSharedWatch()
  const mesh = createMesh({ ...numbers, shards: 2 })
  const many = createMpscChannel({ ...numbers, senders: 1 })
  const all = createBroadcast({ ...numbers, receivers: 1 })
  using _sender = attachSender(first)
  using _oneshot = attachOneshotSender(oneshot)
  using _writer = attachWatchWriter(watch)
  using _mesh = joinMesh(mesh, 0)
  using _many = attachMpscSender(many)
  using _all = attachBroadcastReceiver(all)

  for (const channel of [first, oneshot, watch, many]) assert.equal(abandonSender(channel), false)
  assert.equal(abandonReceiver(all), false)
  assert.equal(abandonShard(mesh, 0), false)
  assert.equal(abandonSender(second), true)
  assert.equal(abandonSender(second), false)
  assert.throws(() => attachSender(second), { code: 'ERR_CHANNEL_CLOSED' })
  assert.equal(abandonShard(mesh, 1), true)
  assert.throws(() => joinMesh(mesh, 1), { code: 'ERR_CHANNEL_CLOSED' })
  for (const wrong of [null, {}, 1, mesh]) {
    assert.throws(() => abandonSender(wrong as never), TypeError)
    assert.throws(() => abandonReceiver(wrong as never), TypeError)
  }
  assert.throws(() => abandonReceiver(watch as never), TypeError)
  assert.throws(() => abandonShard(mesh, 2), RangeError)
  assert.throws(() => abandonShard(many as never, 0), TypeError)
})

test('options that name wrong peers are refused', () => {
  const channel = createSharedChannel(numbers)
  const many = createMpscChannel({ ...numbers, senders: 2 })
  const mesh = createMesh({ ...numbers, shards: 2 })

  assert.throws(() => attachSender(channel, { peer: -1 }), RangeError)
  assert.throws(() => attachReceiver(channel, { peer: '1' as never }), TypeError)
  assert.throws(() => attachMpscReceiver(many, { peers: [1] }), RangeError)
  assert.throws(() => attachMpscReceiver(many, { peer: 1 } as never), TypeError)
  assert.throws(() => joinMesh(mesh, 0, { peers: 1 as never }), TypeError)
  assert.throws(() => attachWatchWriter(createSharedWatch(), { peer: 1 } as never), TypeError)
  using _sender = attachSender(channel)
  using _mesh = joinMesh(mesh, 0)
})

test(
  'a worker that exits before it attaches is given up by whoever started it',
  limited(60_000),
  async () => {
    const channel = createSharedChannel<string>({ capacity: 4 })
    const receiving = assert.rejects(attachReceiver(channel).receive(), PEER_ENDED)
    const worker = new Worker('process.exit(3)', { eval: true, workerData: channel })
    worker.once('exit', () => abandonSender(channel))

    await once(worker, 'exit')
    await receiving
  },
)

test(
  'a shard of a pool that fails before it attaches fails who names it',
  limited(60_000),
  async () => {
    const channel = createSharedChannel<string>({ capacity: 4 })
    const module = new URL(
      'data:text/javascript,export default () => { throw new Error("planted") }',
    )
    const placement = PoolPlacement.unbound(1)
    const pool = await ExecutorPool.start({ module, argument: channel, placement })
    const peer = pool.shards[0]!.executorId

    const receiver = attachReceiver(channel, { peer })
    await assert.rejects(receiver.receive(), PEER_ENDED)

    const [exit] = await pool.join()
    assert.equal(exit!.reason, 'threw')
  },
)
