/**
 * One of two threads that send each other numbers and objects through channels of every kind at once, and sleep whenever all of
 * them wait.
 */
import assert from 'node:assert/strict'
import { parentPort, workerData } from 'node:worker_threads'
import { Prng } from '../../src/base/index.ts'
import {
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
  joinMesh,
  type SharedReceiver,
  type SharedSender,
} from '../../src/channels/index.ts'
import { executor, yieldNow } from '../../src/index.ts'
import { sleep } from '../../src/time/index.ts'
import { ENDS, type KindsPart, type KindsReport, type Round } from './kinds.ts'

/** Indexes of what an end does. */
const [ENDED, BUSY, SENDS, RECEIVES] = [0, 1, 2, 3] as const

const { self, progress } = workerData as KindsPart
const other = 1 - self

/** One end: keeps the test informed of what it waits for. */
class End {
  readonly prng: Prng
  readonly #base: number

  constructor(name: string, seed: number) {
    const place = ENDS.indexOf(name)
    this.prng = new Prng(seed * 1_000 + self * 100 + place)
    this.#base = (self * ENDS.length + place) * 2
    this.#note(BUSY)
    Atomics.store(progress, this.#base + 1, 0)
  }

  async sends<T>(waiting: Promise<T>, count = 1): Promise<T> {
    return await this.#during(SENDS, waiting, count)
  }

  async receives<T>(waiting: Promise<T>, count = 1): Promise<T> {
    return await this.#during(RECEIVES, waiting, count)
  }

  /** Gives way now and then, and sleeps more rarely. */
  async pace(): Promise<void> {
    if (this.prng.int(0, 7) === 0) await yieldNow()
    else if (this.prng.int(0, 199) === 0) await sleep(this.prng.int(0, 2))
  }

  end(): void {
    this.#note(ENDED)
  }

  async #during<T>(does: number, waiting: Promise<T>, count: number): Promise<T> {
    this.#note(does)
    const value = await waiting
    this.#note(BUSY)
    Atomics.add(progress, this.#base + 1, count)
    return value
  }

  #note(does: number): void {
    Atomics.store(progress, this.#base, does)
  }
}

async function sendNumbers(end: End, sender: SharedSender<number>, from: number, count: number) {
  const { prng } = end
  for (let next = 0; next < count; await end.pace()) {
    const lot = Math.min(prng.int(1, 40), count - next)
    if (prng.int(0, 2) === 0) {
      await end.sends(
        sender.sendBatch(Float64Array.from({ length: lot }, (_, index) => from + next + index)),
        lot,
      )
      next += lot
    } else {
      await end.sends(sender.send(from + next++))
    }
  }
  sender.close()
  end.end()
}

async function receiveNumbers(
  end: End,
  receiver: SharedReceiver<number>,
  see: (value: number) => void,
) {
  let received = 0
  for (;;) {
    const values = await end.receives(receiver.receiveBatch(end.prng.int(1, 60)))
    if (values.length === 0) break
    for (const value of values) see(value)
    received += values.length
    await end.pace()
  }
  end.end()
  return received
}

/** Checks that numbers from one sender come in order. */
function inOrder(): { see(value: number): void; next: number } {
  const order = {
    next: 0,
    see: (value: number): void => assert.equal(value, order.next++, 'numbers come in order'),
  }
  return order
}

async function exchangeNumbers({ seed, count, numbers }: Round): Promise<number> {
  const order = inOrder()
  const [, received] = await Promise.all([
    sendNumbers(new End('numbers out', seed), attachSender(numbers[self]!), 0, count),
    receiveNumbers(new End('numbers in', seed), attachReceiver(numbers[other]!), order.see),
  ])
  assert.equal(received, count)
  return received
}

async function exchangeObjects({ seed, count, objects }: Round): Promise<number> {
  const outgoing = async (): Promise<void> => {
    const end = new End('objects out', seed)
    using sender = attachSender(objects[self]!)
    for (let number = 0; number < count; number++) {
      const length = end.prng.int(0, 20) === 0 ? 3_000 : end.prng.int(0, 50)
      await end.sends(sender.send({ number, text: `${number}`.repeat(length) }))
      await end.pace()
    }
    end.end()
  }
  const incoming = async (): Promise<void> => {
    const end = new End('objects in', seed)
    const receiver = attachReceiver(objects[other]!)
    for (let number = 0; ; number++) {
      const item = await end.receives(receiver.receive())
      if (item === undefined) {
        assert.equal(number, count)
        break
      }
      assert.equal(item.number, number, 'objects come in order')
      assert.equal(item.text, `${number}`.repeat(item.text.length / `${number}`.length))
      await end.pace()
    }
    end.end()
  }
  await Promise.all([outgoing(), incoming()])
  return count
}

async function gather({ seed, count, many }: Round): Promise<number> {
  const sending = sendNumbers(new End('many out', seed), attachMpscSender(many), self * 1e6, count)
  if (self === 1) {
    await sending
    return 0
  }
  const orders = [inOrder(), inOrder(), inOrder()]
  const see = (value: number): void => orders[Math.floor(value / 1e6)]!.see(value % 1e6)
  const [, received] = await Promise.all([
    sending,
    receiveNumbers(new End('many in', seed), attachMpscReceiver(many), see),
  ])
  assert.deepEqual(
    orders.map(({ next }) => next),
    [count, count, count],
  )
  return received
}

async function mesh({ seed, count, mesh: shared }: Round): Promise<number> {
  const shard = joinMesh(shared, self)
  const outgoing = async (): Promise<void> => {
    const end = new End('mesh out', seed)
    for (let value = 0; value < count; value++) {
      for (const to of [0, 1]) await end.sends(shard.send(to, value))
      await end.pace()
    }
    shard.close()
    end.end()
  }
  const orders = [inOrder(), inOrder()]
  const incoming = async (): Promise<void> => {
    const end = new End('mesh in', seed)
    for (;;) {
      const message = await end.receives(shard.receiver.receive())
      if (message === undefined) break
      orders[message.from]!.see(message.value)
      await end.pace()
    }
    end.end()
  }
  await Promise.all([outgoing(), incoming()])
  assert.deepEqual(
    orders.map(({ next }) => next),
    [count, count],
  )
  return 2 * count
}

async function broadcast({ seed, count, all }: Round): Promise<number> {
  const sending = async (): Promise<void> => {
    if (self === 0) return
    const end = new End('broadcast out', seed)
    using sender = attachBroadcastSender(all)
    for (let value = 0; value < count; value++) {
      await end.sends(sender.send(value))
      await end.pace()
    }
    end.end()
  }
  const order = inOrder()
  const [, received] = await Promise.all([
    sending(),
    receiveNumbers(new End('broadcast in', seed), attachBroadcastReceiver(all), order.see),
  ])
  assert.equal(received, count)
  return received
}

async function watch({ seed, count, watches }: Round): Promise<number> {
  const writing = async (): Promise<void> => {
    const end = new End('watch out', seed)
    using writer = attachWatchWriter(watches[self]!)
    for (let value = 1; value <= count; value++) {
      writer.write(value)
      await end.sends(yieldNow())
      await end.pace()
    }
    end.end()
  }
  const reading = async (): Promise<number> => {
    const end = new End('watch in', seed)
    using reader = attachWatchReader(watches[other]!)
    let last = 0
    for (let isOver = false; !isOver; await end.pace()) {
      const value = await end.receives(reader.changed())
      if (value === undefined) isOver = true
      else {
        assert.ok(value > last, 'values of a watch do not go back')
        last = value
      }
    }
    assert.equal(last, count, 'the last value is seen')
    end.end()
    return last
  }
  await Promise.all([writing(), reading()])
  return 1
}

async function oneshots({ seed, oneshots: all }: Round): Promise<number> {
  const sending = async (): Promise<void> => {
    const end = new End('oneshots out', seed)
    for (const [index, oneshot] of all[self]!.entries()) {
      const sender = attachOneshotSender(oneshot)
      await end.sends(end.pace())
      sender.send(index)
    }
    end.end()
  }
  const receiving = async (): Promise<void> => {
    const end = new End('oneshots in', seed)
    for (const [index, oneshot] of all[other]!.entries()) {
      await end.pace()
      assert.equal(await end.receives(attachOneshotReceiver(oneshot).receive()), index)
    }
    end.end()
  }
  await Promise.all([sending(), receiving()])
  return all[other]!.length
}

const KINDS = [exchangeNumbers, exchangeObjects, gather, mesh, broadcast, watch, oneshots]

async function run(round: Round): Promise<KindsReport> {
  const counts = await Promise.all(KINDS.map((kind) => kind(round)))
  const received = counts.reduce((sum, count) => sum + count, 0)
  return { received, parkCount: executor().stats().parkCount }
}

parentPort!.on('message', (round: Round) => {
  void run(round).then((report) => parentPort!.postMessage(report))
})
