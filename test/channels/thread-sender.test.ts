/** Senders on threads without an executor, and a receiver on one with. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { Worker } from 'node:worker_threads'
import type { BatchProgress } from '../../src/channels/batch-progress.ts'
import {
  abandonReceiver,
  attachMpscReceiver,
  attachReceiver,
  attachSender,
  attachThreadSender,
  ChannelError,
  createMpscChannel,
  createSharedChannel,
  type SharedReceiver,
} from '../../src/channels/index.ts'
import { ThreadSend, ThreadSenderState } from '../../src/channels/thread-sender-state.ts'
import type { ValueWriter } from '../../src/channels/value-writer.ts'
import { executor, metricsText, yieldNow } from '../../src/index.ts'
import { currentKernel, type ExecutorId, WORD_HOLDER } from '../../src/kernel/index.ts'
import { sleep } from '../../src/time/index.ts'
import { runChild, success } from '../hazards/child.ts'
import { limited } from '../limits.ts'
import { settle, watch } from '../sync/watch.ts'
import { runThreads } from './shared-world.ts'
import type { SenderPart } from './thread-sender-worker.ts'

const LIMIT = limited(60_000)
const numbers = { codec: 'numbers' } as const

function start(part: SenderPart): Worker {
  return new Worker(new URL('./thread-sender-worker.js', import.meta.url), { workerData: part })
}

async function receiveAll<T>(receiver: SharedReceiver<T>): Promise<T[]> {
  const values: T[] = []
  for await (const value of receiver) values.push(value)
  return values
}

for (const lot of [1, 100]) {
  for (const capacity of [1, 64]) {
    test(
      `numbers in lots of ${lot} through ${capacity} arrive, in order, whoever sleeps`,
      LIMIT,
      async () => {
        const channel = createSharedChannel({ capacity, ...numbers })
        const worker = start({ what: 'numbers', channel, from: 0, count: 2_000, lot })
        // It may come before the last value is looked at.
        const exited = once(worker, 'exit')
        const receiver = attachReceiver(channel)

        let next = 0
        for await (const value of receiver) assert.equal(value, next++)

        assert.equal(next, 2_000)
        assert.deepEqual(await exited, [0])
      },
    )
  }
}

test('bytes and objects arrive, those too that are larger than the channel', LIMIT, async () => {
  const values = [1, 'two', { three: [3n] }, new Map([[4, 'x'.repeat(10_000)]]), null, undefined]
  const objects = createSharedChannel<unknown>({ capacity: 2 })
  const bytes = createSharedChannel({ capacity: 2, codec: 'bytes' })
  const arrays = [new Uint8Array([1]), new Uint8Array(0), new Uint8Array(5_000).fill(7)]
  start({ what: 'values', channel: objects, values })
  start({ what: 'values', channel: bytes as never, values: arrays })

  assert.deepEqual(await receiveAll(attachReceiver(objects)), values)
  assert.deepEqual(await receiveAll(attachReceiver(bytes)), arrays)
})

test(
  'several such threads share a channel of many senders with one that has an executor',
  LIMIT,
  async () => {
    const channel = createMpscChannel({ senders: 3, capacity: 4, ...numbers })
    start({ what: 'numbers', channel, from: 1_000, count: 200, lot: 1 })
    start({ what: 'numbers', channel, from: 2_000, count: 200, lot: 7 })
    const receiver = attachMpscReceiver(channel)
    const next = [0, 1_000, 2_000]
    const { attachMpscSender } = await import('../../src/channels/index.ts')
    const own = attachMpscSender(channel)
    const sending = (async () => {
      for (let value = 0; value < 200; value++) await own.send(value)
      own.close()
    })()

    for await (const value of receiver) {
      const sender = Math.floor(value / 1_000)
      assert.equal(value, next[sender]!++)
    }
    await sending

    assert.deepEqual(next, [200, 1_200, 2_200])
  },
)

for (const how of ['end', 'exit', 'throw'] as const) {
  test(
    `a thread that ends without a close (${how}) fails the receiver behind all it has sent`,
    LIMIT,
    async () => {
      const channel = createSharedChannel({ capacity: 4, ...numbers })
      const receiver = attachReceiver(channel)
      const worker = start({ what: 'leave', channel, count: 50, how })
      worker.on('error', () => {})

      let next = 0
      const receiving = (async () => {
        for await (const value of receiver) assert.equal(value, next++)
      })()
      await assert.rejects(receiving, { code: 'ERR_PEER_ENDED' })

      assert.equal(next, 50)
    },
  )
}

test('a thread that is terminated fails the receiver that sleeps', LIMIT, async () => {
  const channel = createSharedChannel({ capacity: 4, ...numbers })
  const worker = start({ what: 'wait', channel })
  await once(worker, 'message')
  const receiving = assert.rejects(attachReceiver(channel).receive(), { code: 'ERR_PEER_ENDED' })

  await worker.terminate()

  await receiving
})

test(
  'a thread that is terminated while it waits for room leaves what it had sent',
  LIMIT,
  async () => {
    const channel = createSharedChannel({ capacity: 4, ...numbers })
    const receiver = attachReceiver(channel)
    const worker = start({ what: 'untilRefused', channel })
    while (receiver.length < 4) await sleep(1)

    await worker.terminate()

    const received: (number | undefined)[] = []
    for (let count = 0; count < 4; count++) received.push(await receiver.receive())
    assert.deepEqual(received, [0, 1, 2, 3])
    await assert.rejects(receiver.receive(), { code: 'ERR_PEER_ENDED' })
  },
)

test(
  'the place of such a thread in the process is free again when it has ended',
  LIMIT,
  async () => {
    const { directory } = executor().kernel
    const countHolders = (): number => {
      let count = 0
      for (let index = 1; index < directory.usedCount; index++) {
        if (Atomics.load(directory.slot(index).words, WORD_HOLDER) > 0) count++
      }
      return count
    }
    const before = countHolders()

    for (let round = 0; round < 3; round++) {
      const channel = createSharedChannel({ capacity: 4, ...numbers })
      const worker = start({ what: 'numbers', channel, from: 0, count: 10, lot: 5 })
      const exited = once(worker, 'exit')
      assert.equal((await receiveAll(attachReceiver(channel))).length, 10)
      await exited
    }

    assert.equal(countHolders(), before)
  },
)

test(
  'a receiver that closes fails a thread that waits for room, which needs no ring',
  LIMIT,
  async () => {
    const channel = createSharedChannel({ capacity: 4, ...numbers })
    const receiver = attachReceiver(channel)
    const worker = start({ what: 'untilRefused', channel })
    assert.equal(await receiver.receive(), 0)

    receiver.close()
    const [answer] = await once(worker, 'message')

    const { code, value, left, rings } = answer
    assert.equal(code, 'ERR_CHANNEL_CLOSED')
    assert.equal(rings, 0)
    assert.deepEqual(
      [...left, value],
      Array.from({ length: left.length + 1 }, (_, index) => 1 + index),
    )
  },
)

test('a receiver whose thread ends fails a thread that waits for room', LIMIT, async () => {
  const channel = createSharedChannel({ capacity: 4, ...numbers })
  const receiving = new Worker(
    `import(${JSON.stringify(new URL('../../src/channels/index.js', import.meta.url).href)}).then(async (all) => {
      const { workerData, parentPort } = require('node:worker_threads')
      await all.attachReceiver(workerData).receive()
      process.exit(0)
    })`,
    { eval: true, workerData: channel },
  )
  const exited = once(receiving, 'exit')
  const worker = start({ what: 'untilRefused', channel })

  const [answer] = await once(worker, 'message')

  assert.equal(answer.code, 'ERR_PEER_ENDED')
  assert.equal(answer.left.at(-1), answer.value - 1)
  await exited
})

test('send() waits, and can be aborted; the batch that was is given back', async () => {
  const channel = createSharedChannel({ capacity: 2, ...numbers })
  const sender = attachThreadSender(channel)
  const controller = new AbortController()
  const reason = new Error('enough')
  await sender.sendBatch([1, 2])
  const waiting = watch(sender.send(3))
  const second = sender.send(4, { signal: controller.signal })
  const third = sender.sendBatch([5, 6], { signal: controller.signal })
  await settle()

  assert.equal(waiting.state, 'pending')
  assert.throws(() => sender.trySend(9), { code: 'ERR_CHANNEL_FULL', value: 9 })
  controller.abort(reason)
  await assert.rejects(second, reason)
  await assert.rejects(third, (error) => {
    assert.ok(error instanceof ChannelError)
    assert.deepEqual([error.code, error.value, error.cause], ['ERR_TASK_CANCELLED', [5, 6], reason])
    return true
  })
  await assert.rejects(sender.send(7, { timeoutMs: 1 }), { code: 'ERR_TASK_TIMEOUT' })
  await assert.rejects(
    sender.send(7, { timeoutMs: 2 ** 31, signal: AbortSignal.abort(reason) }),
    reason,
  )
  const receiver = attachReceiver(channel)
  sender.close()
  assert.deepEqual(await receiveAll(receiver), [1, 2, 3])
  await assert.rejects(sender.send(8), { code: 'ERR_CHANNEL_CLOSED', value: 8 })
})

for (const isMany of [false, true]) {
  const name = isMany ? 'a channel of many senders' : 'a channel'
  test(`abandonReceiver() of ${name} fails a thread that waits for room`, LIMIT, async () => {
    const channel = isMany
      ? createMpscChannel({ senders: 1, capacity: 2, ...numbers })
      : createSharedChannel({ capacity: 2, ...numbers })
    const sender = attachThreadSender<number>(channel)
    await sender.sendBatch([1, 2])
    const waiting = assert.rejects(sender.send(3), { code: 'ERR_PEER_ENDED', value: 3 })
    await settle()

    assert.equal(abandonReceiver(channel), true)

    await waiting
    assert.deepEqual(sender.takeBack(), [1, 2])
  })
}

test('sends that have given up are not kept, though the first waits on', LIMIT, async () => {
  const url = new URL('../../src/channels/index.js', import.meta.url).href
  const program = `
    const { attachThreadSender, createSharedChannel } = await import(${JSON.stringify(url)})
    const sender = attachThreadSender(createSharedChannel({ capacity: 1 }))
    try {
      for (;;) sender.trySend({})
    } catch {}
    for (const name of ['first', 'last']) sender.send({ name }).catch(() => {})
    const given = await Promise.all(
      Array.from({ length: 1000 }, async () => {
        const value = {}
        const code = await sender.send(value, { timeoutMs: 1 }).catch((error) => error.code)
        return { code, kept: new WeakRef(value) }
      }),
    )
    await new Promise((resolve) => setTimeout(resolve, 5))
    // What the first may end is a collection that has begun while all of them waited.
    globalThis.gc()
    globalThis.gc()
    const keptCount = given.filter(({ kept }) => kept.deref() !== undefined).length
    console.log(given.every(({ code }) => code === 'ERR_TASK_TIMEOUT'), keptCount < 100)
    process.exit(0)
  `

  assert.deepEqual(await runChild(program, { flags: ['--expose-gc'] }), success('true true\n'))
})

test('a sender that always finds room lets its event loop go round', LIMIT, async () => {
  const roundCount = 3000
  let triedCount = 0
  const producer = {
    words: { store: () => {}, load: () => 0 },
    isClosed: false,
    isConsumerClosed: false,
    publish: () => {},
    takeItemRequest: () => false,
    requestRoom: () => true,
  }
  const progress = { stageMore: () => ++triedCount === roundCount, cellsWanted: () => 1 }
  const state = new ThreadSenderState<number>({
    directory: currentKernel().directory,
    id: 1 as ExecutorId,
    writer: { producer } as unknown as ValueWriter<number, unknown>,
    expectedId: undefined,
  })
  const send = new ThreadSend<number>(progress as unknown as BatchProgress<number, unknown>, true)

  const sent = state.wait(send, {})
  let turnCount = 0
  const count = (): void => {
    turnCount++
    if (!send.isSettled) setImmediate(count)
  }
  count()

  await sent
  assert.equal(triedCount, roundCount)
  assert.ok(turnCount > 2)
})

test('an end is taken by one of all senders, whichever kind', () => {
  const channel = createSharedChannel({ capacity: 2, ...numbers })
  const many = createMpscChannel({ senders: 1, capacity: 2, ...numbers })
  using sender = attachThreadSender(channel)
  using _many = attachThreadSender(many)

  assert.throws(() => attachSender(channel), { code: 'ERR_STILL_HELD' })
  assert.throws(() => attachThreadSender(channel), { code: 'ERR_STILL_HELD' })
  assert.throws(() => attachThreadSender(many), { code: 'ERR_LIMIT_EXCEEDED' })
  assert.throws(() => attachThreadSender({} as never), TypeError)
  assert.throws(() => attachThreadSender(channel, { codecs: 1 } as never), TypeError)
  assert.equal(inspect(sender), 'ThreadSender 0 of 2, open')
})

test('what is wrong with a send is refused before anything is sent', async () => {
  const channel = createSharedChannel({ capacity: 4, ...numbers })
  using sender = attachThreadSender(channel)

  await assert.rejects(sender.send('1' as never), TypeError)
  await assert.rejects(sender.sendBatch([1, '2' as never]), TypeError)
  await assert.rejects(sender.sendBatch(1 as never), TypeError)
  await assert.rejects(sender.send(1, { timeout: 1 } as never), TypeError)
  await assert.rejects(sender.send(1, { timeoutMs: -1 }), RangeError)

  assert.equal(sender.length, 0)
})

test('such threads are no executors: no metrics are shown of them', async () => {
  const channel = createSharedChannel({ capacity: 4, ...numbers })
  const count = () => metricsText().match(/^percore_turns_total\{/gm)?.length ?? 0
  await yieldNow()
  const before = count()

  using _sender = attachThreadSender(channel)

  assert.equal(count(), before)
})

test('in simulation attachThreadSender() is refused', async () => {
  await runThreads(1, [
    async () => {
      const channel = createSharedChannel({ capacity: 4, ...numbers })
      assert.throws(() => attachThreadSender(channel), { code: 'ERR_UNSUPPORTED' })
    },
  ])
})
