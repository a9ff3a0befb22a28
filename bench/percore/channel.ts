/** channel WHAT(numbers|batch|bytes64|rtt) MESSAGES: through a ring in shared memory, to a thread that spins. */

import { once } from 'node:events'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import {
  createSpscRing,
  SpscFrameConsumer,
  SpscFrameProducer,
  SpscNumberConsumer,
  SpscNumberProducer,
  type SpscRing,
} from '../../src/channels/shared/index.ts'
import { reportRoundTrips, roundTripCounts } from '../round-trips.ts'
import { type Meeting, meet, reportTransfer } from '../transfer.ts'

const CELL_COUNT = 1_024
/** Nine cells for each frame of 64 bytes: nearly as many messages as there is room for numbers. */
const FRAME_CELL_COUNT = 8_192
const BATCH = 256
/** What is sent one by one is published 32 at a time, as an executor does at the end of a turn. */
const PUBLISH_MASK = 31
const FRAME_BYTES = 64

interface Part {
  readonly what: string
  readonly counts: readonly number[]
  readonly ring: SpscRing
  readonly meeting: Meeting
}

/** Of round trips. */
interface BackPart {
  readonly there: SpscRing
  readonly back: SpscRing
}

if (!isMainThread) {
  if ('back' in workerData) answerAll(workerData as BackPart)
  else runConsumer(workerData as Part)
} else if (process.argv[2] === 'rtt') await runRoundTrips(Number(process.argv[3]))
else await runProducer()

async function runRoundTrips(count: number): Promise<void> {
  const part: BackPart = {
    there: createSpscRing({ kind: 'numbers', capacity: CELL_COUNT }),
    back: createSpscRing({ kind: 'numbers', capacity: CELL_COUNT }),
  }
  const producer = SpscNumberProducer.attach(part.there)
  const consumer = SpscNumberConsumer.attach(part.back)
  await once(new Worker(new URL(import.meta.url), { workerData: part }), 'online')
  await reportRoundTrips(roundTripCounts(count), async (value) => {
    producer.tryPush(value)
    while (consumer.tryPop() === undefined);
  })
}

function answerAll({ there, back }: BackPart): never {
  const consumer = SpscNumberConsumer.attach(there)
  const producer = SpscNumberProducer.attach(back)
  for (;;) {
    const value = consumer.tryPop()
    if (value !== undefined) producer.tryPush(value)
  }
}

async function runProducer(): Promise<void> {
  const [what = '', countText] = process.argv.slice(2)
  const isFrames = what === 'bytes64'
  const ring = createSpscRing({
    kind: isFrames ? 'frames' : 'numbers',
    capacity: isFrames ? FRAME_CELL_COUNT : CELL_COUNT,
  })
  const send = makeSend(what, ring)
  await reportTransfer(Number(countText), send, (counts, meeting) => {
    const part: Part = { what, counts, ring, meeting }
    return new Worker(new URL(import.meta.url), { workerData: part })
  })
}

function makeSend(what: string, ring: SpscRing): (count: number) => void {
  if (what === 'bytes64') {
    const producer = SpscFrameProducer.attach(ring)
    return (count) => sendFrames(producer, count)
  }
  const producer = SpscNumberProducer.attach(ring)
  if (what === 'numbers') return (count) => sendNumbers(producer, count)
  if (what === 'batch') return (count) => sendBatches(producer, count)
  throw new Error(`Cannot measure ${what}: not one of numbers, batch, bytes64`)
}

function sendNumbers(producer: SpscNumberProducer, count: number): void {
  for (let index = 0; index < count; index++) {
    while (!producer.stage(index)) producer.publish()
    if ((index & PUBLISH_MASK) === 0) producer.publish()
  }
  producer.publish()
}

function sendBatches(producer: SpscNumberProducer, count: number): void {
  const batch = new Float64Array(BATCH)
  for (let sent = 0; sent < count; ) {
    const length = Math.min(BATCH, count - sent)
    for (let index = 0; index < length; index++) batch[index] = sent + index
    for (let from = 0; from < length; ) from += producer.pushBatch(batch, from, length)
    sent += length
  }
}

function sendFrames(producer: SpscFrameProducer, count: number): void {
  const frame = new Uint8Array(FRAME_BYTES)
  for (let index = 0; index < count; index++) {
    frame[index & 63] = index
    while (!producer.stage(frame)) producer.publish()
    if ((index & PUBLISH_MASK) === 0) producer.publish()
  }
  producer.publish()
}

function runConsumer({ what, counts, ring, meeting }: Part): void {
  const take = makeTake(what, ring)
  for (const count of counts) meet(meeting, () => take(count))
}

function makeTake(what: string, ring: SpscRing): (count: number) => void {
  if (what === 'bytes64') {
    const consumer = SpscFrameConsumer.attach(ring)
    return (count) => takeFrames(consumer, count)
  }
  const consumer = SpscNumberConsumer.attach(ring)
  return what === 'batch'
    ? (count) => takeBatches(consumer, count)
    : (count) => takeNumbers(consumer, count)
}

function takeNumbers(consumer: SpscNumberConsumer, count: number): void {
  for (let taken = 0; taken < count; ) {
    const value = consumer.take()
    if (value === undefined) continue
    check(value === taken)
    taken++
  }
  consumer.release()
}

function takeBatches(consumer: SpscNumberConsumer, count: number): void {
  const batch = new Float64Array(BATCH)
  for (let taken = 0; taken < count; ) {
    const length = consumer.popInto(batch)
    for (let index = 0; index < length; index++) check(batch[index] === taken + index)
    taken += length
  }
}

function takeFrames(consumer: SpscFrameConsumer, count: number): void {
  const { bytes } = consumer
  for (let taken = 0; taken < count; ) {
    const offset = consumer.nextFrame()
    if (offset !== -1) {
      check(bytes[offset + (taken & 63)] === (taken & 255))
      taken++
      if ((taken & PUBLISH_MASK) !== 0) continue
    }
    consumer.release()
  }
  consumer.release()
}

function check(isRight: boolean): void {
  if (!isRight) throw new Error('Cannot report a speed: what was sent did not arrive in order')
}
