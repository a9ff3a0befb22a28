/**
 * Two simulated threads that send each other what a seed draws, and sleep whenever they can.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Prng } from '../../src/base/index.ts'
import {
  attachReceiver,
  attachSender,
  createSharedChannel,
  type SharedChannel,
  type SharedReceiver,
  type SharedSender,
} from '../../src/channels/index.ts'
import { yieldNow } from '../../src/index.ts'
import type { SimFaults } from '../../src/sim/index.ts'
import { seedCount } from '../limits.ts'
import { runThreads } from './shared-world.ts'

const SEEDS = seedCount(300)
const MESSAGE_COUNT = 60

/** What a seed makes of a pair of channels. */
interface Plan {
  readonly there: SharedChannel<number>
  readonly back: SharedChannel<readonly number[]>
}

function planOf(prng: Prng): Plan {
  return {
    there: createSharedChannel({ capacity: prng.int(1, 6), codec: 'numbers' }),
    back: createSharedChannel({ capacity: prng.int(1, 3), valueBytes: 8 }),
  }
}

async function sendSome(prng: Prng, sender: SharedSender<number>): Promise<void> {
  for (let next = 0; next < MESSAGE_COUNT; ) {
    const count = Math.min(prng.int(1, 5), MESSAGE_COUNT - next)
    const batch = Array.from({ length: count }, (_, index) => next + index)
    if (prng.int(0, 2) === 0) {
      await sender.sendBatch(batch)
      next += count
    } else if (prng.int(0, 1) === 0) {
      next += sender.trySendBatch(batch)
      if (prng.int(0, 2) === 0) await yieldNow()
    } else {
      await sender.send(next++)
    }
    if (prng.int(0, 9) === 0) await yieldNow()
  }
  sender.close()
}

/** Sends what it gets in groups, some of them larger than the ring. */
async function answer(
  prng: Prng,
  receiver: SharedReceiver<number>,
  sender: SharedSender<readonly number[]>,
): Promise<void> {
  let expected = 0
  let group: number[] = []
  for await (const value of receiver) {
    assert.equal(value, expected++)
    group.push(value)
    if (prng.int(0, 4) > 0) continue
    await sender.send(group)
    group = []
  }
  assert.equal(expected, MESSAGE_COUNT)
  await sender.send([...group, ...new Array(prng.int(0, 200)).fill(-1)])
  sender.close()
}

async function takeAnswers(prng: Prng, receiver: SharedReceiver<readonly number[]>): Promise<void> {
  const received: number[] = []
  for (;;) {
    if (prng.int(0, 3) === 0) await yieldNow()
    const groups = await receiver.receiveBatch(prng.int(1, 4))
    if (groups.length === 0) break
    received.push(...groups.flat())
  }
  const values = received.filter((value) => value >= 0)
  assert.deepEqual(
    values,
    Array.from({ length: MESSAGE_COUNT }, (_, index) => index),
  )
}

async function runSeed(
  seed: number,
  spoil?: (thread: number) => void,
  faults: SimFaults = {},
): Promise<void> {
  const prng = new Prng(seed)
  const { there, back } = planOf(prng)
  await runThreads(
    seed,
    [
      async () => {
        spoil?.(0)
        await yieldSome(prng)
        const receiver = attachReceiver(back)
        await Promise.all([sendSome(prng, attachSender(there)), takeAnswers(prng, receiver)])
      },
      async () => {
        spoil?.(1)
        await yieldSome(prng)
        await answer(prng, attachReceiver(there), attachSender(back))
      },
    ],
    faults,
  )
}

async function yieldSome(prng: Prng): Promise<void> {
  for (let count = prng.int(0, 5); count > 0; count--) await yieldNow()
}

test(`${SEEDS} seeds lose no message and no wake-up`, async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    await runSeed(seed).catch((cause) => {
      throw new Error(`seed ${seed} failed`, { cause })
    })
  }
})

test('a wake-up that the kernel refuses to deliver arrives all the same', async () => {
  const faults = { errors: { ENOMEM: 0.3 }, enterBusy: 0.1, lateMessage: 0.2 }
  for (let seed = 0; seed < Math.min(SEEDS, 100); seed++) await runSeed(seed, undefined, faults)
})

test('a wake-up that is lost is found: one ring of the doorbell in fifty', async () => {
  const prng = new Prng(1)
  const { Executor } = await import('../../src/executor/index.ts')
  const { currentOrNull } = await import('../../src/executor/index.ts')
  const forget = () => {
    const { doorbell } = currentOrNull() as InstanceType<typeof Executor>
    const ring = doorbell.ring.bind(doorbell)
    doorbell.ring = (address, inbox) => {
      if (prng.int(0, 49) > 0) ring(address, inbox)
    }
  }
  const outcomes = await Promise.allSettled(
    Array.from({ length: 20 }, (_, seed) => runSeed(seed, forget)),
  )

  const reasons = outcomes.flatMap((outcome) =>
    outcome.status === 'rejected' ? [String(outcome.reason)] : [],
  )
  assert.ok(reasons.length > 0)
  for (const reason of reasons) assert.match(reason, /is stuck: idle/)
})

test('a sender whose thread ends fails the receiver once all it had published was received', async () => {
  for (let seed = 0; seed < Math.min(SEEDS, 100); seed++) {
    const prng = new Prng(seed)
    const channel = createSharedChannel({ capacity: prng.int(1, 8), codec: 'numbers' })
    const sentCount = prng.int(0, 20)
    let receivedCount = 0
    await runThreads(seed, [
      async () => {
        const receiver = attachReceiver(channel)
        const receiveAll = async (): Promise<void> => {
          for await (const value of receiver) assert.equal(value, receivedCount++)
        }
        await assert.rejects(receiveAll(), { code: 'ERR_PEER_ENDED' })
        await assert.rejects(receiver.receive(), { code: 'ERR_PEER_ENDED' })
      },
      async ({ end }) => {
        const sender = attachSender(channel)
        for (let value = 0; value < sentCount; value++) await sender.send(value)
        sender.flush()
        end()
      },
    ])
    assert.equal(receivedCount, sentCount)
  }
})

test('a receiver whose thread ends fails the sender, which has all that was not received', async () => {
  for (let seed = 0; seed < Math.min(SEEDS, 100); seed++) {
    const prng = new Prng(seed)
    const channel = createSharedChannel({ capacity: prng.int(1, 8), codec: 'numbers' })
    const takenMax = prng.int(0, 20)
    const received: number[] = []
    const left: number[] = []
    await runThreads(seed, [
      async () => {
        const sender = attachSender(channel)
        for (let value = 0; ; value++) {
          try {
            await sender.send(value)
          } catch (error) {
            assert.equal((error as { code?: string }).code, 'ERR_PEER_ENDED')
            assert.equal((error as { value?: number }).value, value)
            left.push(...sender.takeBack(), value)
            return
          }
        }
      },
      async ({ end }) => {
        const receiver = attachReceiver(channel)
        while (received.length < takenMax) received.push((await receiver.receive())!)
        end()
      },
    ])
    // What it took last, it may not have given back.
    const all = [...new Set([...received, ...left])]
    assert.deepEqual(
      all,
      all.map((_, index) => index),
    )
    assert.ok(left.length > 0)
  }
})

test('close() of an executor tells who waits there, and fails the other end', async () => {
  for (let seed = 0; seed < Math.min(SEEDS, 50); seed++) {
    const channel = createSharedChannel({ capacity: 2, codec: 'numbers' })
    const codes: (string | undefined)[] = []
    const note = (error: { code?: string }): void => void codes.push(error.code)
    await runThreads(seed, [
      async ({ executor, end }) => {
        const receiving = attachReceiver(channel).receive().catch(note)
        await executor.close()
        await receiving
        end()
      },
      async () => {
        const sender = attachSender(channel)
        // Room for two, and for no more.
        const sending = [1, 2, 3, 4].map((value) => sender.send(value).catch(note))
        await Promise.all(sending)
      },
    ])
    assert.ok(codes.includes('ERR_PEER_ENDED'), `seed ${seed}: ${codes}`)
  }
})
