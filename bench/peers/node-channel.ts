/** node-channel numbers|batch|bytes64|objects MESSAGES: the same through the port of a Node worker. */

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { makeObject } from '../round-trips.ts'
import { beginTransfer, endTransfer, type Meeting, reportTransfer } from '../transfer.ts'

const BATCH = 256
const FRAME_BYTES = 64

interface Part {
  readonly counts: readonly number[]
  readonly meeting: Meeting
}

const SENDS: Readonly<Record<string, (count: number, worker: Worker) => void>> = {
  batch: sendBatches,
  bytes64: sendFrames,
  objects: sendObjects,
}

if (isMainThread) await runProducer()
else runConsumer(workerData as Part)

async function runProducer(): Promise<void> {
  const [what, countText] = process.argv.slice(2)
  const send = SENDS[what ?? ''] ?? sendNumbers
  await reportTransfer(Number(countText), send, (counts, meeting) => {
    const part: Part = { counts, meeting }
    return new Worker(new URL(import.meta.url), { workerData: part })
  })
}

function sendNumbers(count: number, worker: Worker): void {
  for (let index = 0; index < count; index++) worker.postMessage(index)
}

function sendBatches(count: number, worker: Worker): void {
  const numbers = new Float64Array(BATCH)
  for (let sent = 0; sent < count; sent += BATCH) {
    const length = Math.min(BATCH, count - sent)
    for (let index = 0; index < length; index++) numbers[index] = sent + index
    // Not a part of it, with which all of its memory would be cloned.
    worker.postMessage(length === BATCH ? numbers : numbers.slice(0, length))
  }
}

function sendFrames(count: number, worker: Worker): void {
  const frame = new Uint8Array(FRAME_BYTES)
  for (let index = 0; index < count; index++) worker.postMessage(frame)
}

function sendObjects(count: number, worker: Worker): void {
  for (let index = 0; index < count; index++) worker.postMessage(makeObject(index))
}

function runConsumer({ counts, meeting }: Part): void {
  const left = [...counts]
  let taken = 0
  parentPort!.on('message', (message: number | Float64Array | object) => {
    taken += message instanceof Float64Array ? message.length : 1
    if (taken < left[0]!) return
    taken = 0
    left.shift()
    endTransfer(meeting)
    if (left.length > 0) beginTransfer(meeting)
  })
  beginTransfer(meeting)
}
