/**
 * immediate-task WARMUP SECONDS: the same as percore/busy-task.ts without percore, in slices of 1 ms.
 *
 * Between them others run by setImmediate.
 */

import { BusyTask, SLICE_MS } from '../busy-load.ts'
import { endWithStdin } from './node-server.ts'

const [warmupSeconds = 0, seconds = 0] = process.argv.slice(2).map(Number)
const work = new BusyTask(warmupSeconds, seconds)

const port = await work.serve()
setImmediate(runSlice)
endWithStdin(() => JSON.stringify(work.finish()))
process.stdout.write(`${port}\n`)

function runSlice(): void {
  const untilMs = performance.now() + SLICE_MS
  do work.doUnit()
  while (performance.now() < untilMs)
  setImmediate(runSlice)
}
