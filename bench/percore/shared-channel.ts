/**
 * shared-channel WHAT(numbers|batch|bytes64|objects|rtt) MODE(spin|park) MESSAGES: through a shared channel, from one
 * executor to another, which answers when it has all; of `rtt`, one at a time.
 */

import { isMainThread, Worker, workerData } from 'node:worker_threads'
import {
  attachReceiver,
  attachSender,
  createSharedChannel,
  type SharedChannel,
  type SharedReceiver,
  type SharedSender,
} from '../../src/channels/index.ts'
import { attachExecutor } from '../../src/index.ts'
import { makeObject, reportRate, reportRoundTrips, roundTripCounts } from '../round-trips.ts'

const CAPACITY = 4_096
const BATCH = 256
const FRAME_BYTES = 64
const SPIN_US = 5_000

interface Part {
  readonly what: string
  readonly mode: string
  readonly counts: readonly number[]
  readonly there: SharedChannel<unknown>
  readonly back: SharedChannel<number>
}

if (isMainThread) await runSender()
else await runReceiver(workerData as Part)

async function runSender(): Promise<void> {
  const [what = '', mode = '', countText] = process.argv.slice(2)
  const count = Number(countText)
  const counts = roundTripCounts(count)
  attachExecutor({ spinBeforeParkUs: mode === 'spin' ? SPIN_US : 0 })
  const there = createThere(what) as SharedChannel<unknown>
  const back = createSharedChannel({ capacity: CAPACITY, codec: 'numbers' })
  const part: Part = { what, mode, counts, there, back }
  new Worker(new URL(import.meta.url), { workerData: part }).on('error', (error) => {
    throw error
  })
  const sender = attachSender(there)
  const receiver = attachReceiver(back)
  await receiver.receive()
  if (what === 'rtt') {
    await reportRoundTrips(counts, async (value) => {
      await sender.send(value)
      await receiver.receive()
    })
    return
  }
  const send = makeSend(what, sender)
  await reportRate(counts, async (messageCount) => {
    await send(messageCount)
    sender.flush()
    await receiver.receive()
  })
}

function createThere(what: string): SharedChannel<number> | SharedChannel<unknown> {
  if (what === 'objects') return createSharedChannel<unknown>({ capacity: CAPACITY })
  if (what !== 'bytes64') return createSharedChannel({ capacity: CAPACITY, codec: 'numbers' })
  return createSharedChannel<unknown>({
    capacity: CAPACITY,
    codec: 'bytes',
    valueBytes: FRAME_BYTES,
  })
}

function makeSend(what: string, sender: SharedSender<unknown>): (count: number) => Promise<void> {
  if (what === 'numbers') return (count) => sendNumbers(sender as SharedSender<number>, count)
  if (what === 'batch') return (count) => sendBatches(sender as SharedSender<number>, count)
  if (what === 'objects') return (count) => sendEach(sender, count, makeObject)
  const frame = new Uint8Array(FRAME_BYTES)
  return (count) => sendEach(sender, count, () => frame)
}

async function sendNumbers(sender: SharedSender<number>, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    if (sender.isFull) await sender.send(index)
    else sender.trySend(index)
  }
}

async function sendBatches(sender: SharedSender<number>, count: number): Promise<void> {
  const numbers = new Float64Array(BATCH)
  for (let sent = 0; sent < count; sent += BATCH) {
    const length = Math.min(BATCH, count - sent)
    for (let index = 0; index < length; index++) numbers[index] = sent + index
    await sender.sendBatch(length === BATCH ? numbers : numbers.subarray(0, length))
  }
}

async function sendEach(
  sender: SharedSender<unknown>,
  count: number,
  make: (index: number) => unknown,
): Promise<void> {
  for (let index = 0; index < count; index++) {
    if (sender.isFull) await sender.send(make(index))
    else sender.trySend(make(index))
  }
}

async function runReceiver({ what, mode, counts, there, back }: Part): Promise<void> {
  attachExecutor({ spinBeforeParkUs: mode === 'spin' ? SPIN_US : 0 })
  const receiver = attachReceiver(there)
  const sender = attachSender(back)
  await sender.send(0)
  if (what === 'rtt') {
    for await (const value of receiver) await sender.send(value as number)
    return
  }
  for (const count of counts) {
    if (what === 'batch') await takeBatches(receiver as SharedReceiver<number>, count)
    else await takeEach(receiver, count, what === 'numbers')
    await sender.send(count)
  }
}

async function takeEach(
  receiver: SharedReceiver<unknown>,
  count: number,
  isNumbers: boolean,
): Promise<void> {
  for (let taken = 0; taken < count; taken++) {
    const value = receiver.tryReceive() ?? (await receiver.receive())
    if (isNumbers ? value !== taken : typeof value !== 'object') throw new Error('out of order')
  }
}

async function takeBatches(receiver: SharedReceiver<number>, count: number): Promise<void> {
  const numbers = new Float64Array(1_024)
  for (let taken = 0; taken < count; ) {
    const length = await receiver.receiveInto(numbers)
    for (let index = 0; index < length; index++) {
      if (numbers[index] !== taken + index) throw new Error('out of order')
    }
    taken += length
  }
}
