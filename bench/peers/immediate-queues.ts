/**
 * immediate-queues QUEUES WARMUP SECONDS STYLE: the same as percore/busy-queues.ts without percore.
 *
 * Each task yields by setImmediate (`immediate`), or the tasks of a queue yield to each other by promises for
 * a millisecond and then to all others by setImmediate (`slices`). The echo of the latency class is one more
 * of `node:net`: nothing here is more urgent than the rest.
 */

import { BusyQueues, echoOnNode, SLICE_MS, TASKS_PER_QUEUE } from '../busy-load.ts'
import { endWithStdin } from './node-server.ts'

const [queueWord, warmupWord, secondsWord, style] = process.argv.slice(2)
const queueCount = Number(queueWord)
const load = new BusyQueues(Number(warmupWord), Number(secondsWord))

const port = await load.serve()
await echoOnNode(load.echo)
if (style === 'slices') {
  for (let index = 0; index < queueCount; index++) setImmediate(runSlice)
} else {
  for (let task = 0; task < queueCount * TASKS_PER_QUEUE; task++) setImmediate(yieldForEver)
}
endWithStdin(() => JSON.stringify(load.finish()))
process.stdout.write(`${port}\n`)

function yieldForEver(): void {
  load.yields.count++
  setImmediate(yieldForEver)
}

async function runSlice(): Promise<void> {
  const untilMs = performance.now() + SLICE_MS
  do {
    load.yields.count++
    await undefined
  } while (performance.now() < untilMs)
  setImmediate(runSlice)
}
