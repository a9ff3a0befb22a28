/** The clock of transfers between two threads: from the first send to the other's having taken the last. */

import { once } from 'node:events'
import type { Worker } from 'node:worker_threads'

/** Two words: how many transfers the receiving thread is ready for, and how many it has ended. */
export type Meeting = Int32Array

const READY = 0
const ENDED = 1
/** Of the messages that are counted, as many again are sent before, in pieces, until all is compiled. */
const WARM_UPS = 8

/**
 * Prints, as JSON, how many messages a second go from `send` to the thread that `start` makes, which takes
 * as many as `counts` says, one transfer after another, each within {@link meet}.
 */
export async function reportTransfer(
  count: number,
  send: (count: number, worker: Worker) => void,
  start: (counts: readonly number[], meeting: Meeting) => Worker,
): Promise<void> {
  const piece = Math.ceil(count / WARM_UPS)
  const counts = [...new Array<number>(WARM_UPS).fill(piece), count]
  const meeting = new Int32Array(new SharedArrayBuffer(8))
  const worker = start(counts, meeting)
  worker.on('error', (error) => {
    throw error
  })
  await once(worker, 'online')
  let elapsedNs = 0
  for (const [index, sendCount] of counts.entries()) {
    Atomics.wait(meeting, READY, index)
    const fromNs = process.hrtime.bigint()
    send(sendCount, worker)
    while (Atomics.load(meeting, ENDED) === index) Atomics.wait(meeting, ENDED, index, 100)
    elapsedNs = Number(process.hrtime.bigint() - fromNs)
  }
  process.stdout.write(`${JSON.stringify({ messagesPerSecond: (count * 1e9) / elapsedNs })}\n`)
  process.exit(0)
}

/** The receiving thread's side of one transfer. */
export function meet(meeting: Meeting, take: () => void): void {
  beginTransfer(meeting)
  take()
  endTransfer(meeting)
}

/** The beginning of {@link meet}, for a thread that receives by events. */
export function beginTransfer(meeting: Meeting): void {
  Atomics.add(meeting, READY, 1)
  Atomics.notify(meeting, READY)
}

/** The end of it. */
export function endTransfer(meeting: Meeting): void {
  Atomics.add(meeting, ENDED, 1)
  Atomics.notify(meeting, ENDED)
}
