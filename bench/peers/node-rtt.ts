/** node-rtt messageport|waitasync MESSAGES: there and back between two threads, which sleep in Node's event loop. */

import { once } from 'node:events'
import { isMainThread, type MessagePort, parentPort, Worker, workerData } from 'node:worker_threads'
import { reportRoundTrips, roundTripCounts } from '../round-trips.ts'

const THERE = 0
const BACK = 1

interface Part {
  readonly how: string
  /** How many went there, and how many came back. */
  readonly words: Int32Array
}

/** Newer than the types of the oldest Node that is supported. */
interface WaitAsync {
  waitAsync(
    words: Int32Array,
    index: number,
    value: number,
  ): { readonly value: Promise<string> | string }
}

if (isMainThread) await runMain()
else await runWorker(workerData as Part)

async function runMain(): Promise<void> {
  const [how = '', countText] = process.argv.slice(2)
  const count = Number(countText)
  const counts = roundTripCounts(count)
  const part: Part = { how, words: new Int32Array(new SharedArrayBuffer(8)) }
  const worker = new Worker(new URL(import.meta.url), { workerData: part })
  await once(worker, 'message')
  if (how === 'waitasync') {
    // A wait for a notification keeps no program alive.
    setInterval(() => {}, 1_000)
    await reportRoundTrips(counts, () => goByWords(part.words))
  }
  let answered: () => void = () => {}
  worker.on('message', () => answered())
  await reportRoundTrips(counts, (value) => {
    return new Promise((resolve) => {
      answered = resolve
      worker.postMessage(value)
    })
  })
}

async function goByWords(words: Int32Array): Promise<void> {
  const before = Atomics.load(words, BACK)
  Atomics.add(words, THERE, 1)
  Atomics.notify(words, THERE)
  await untilChanged(words, BACK, before)
}

async function untilChanged(words: Int32Array, index: number, seen: number): Promise<void> {
  while (Atomics.load(words, index) === seen) {
    await (Atomics as unknown as WaitAsync).waitAsync(words, index, seen).value
  }
}

async function runWorker({ how, words }: Part): Promise<void> {
  const port = parentPort as MessagePort
  if (how === 'messageport') port.on('message', (value) => port.postMessage(value))
  port.postMessage('ready')
  if (how !== 'waitasync') return
  setInterval(() => {}, 1_000)
  for (let seen = 0; ; seen++) {
    await untilChanged(words, THERE, seen)
    Atomics.add(words, BACK, 1)
    Atomics.notify(words, BACK)
  }
}
