/**
 * busy-task WARMUP SECONDS: `node:http` beside one task that works, and yields when somebody else is to run.
 *
 * Prints the port; when its input closes, prints how much the task did, and ends.
 */

import { needPreempt, spawn, yieldNow } from '../../src/index.ts'
import { BusyTask } from '../busy-load.ts'
import { endWithStdin } from '../peers/node-server.ts'

const [warmupSeconds = 0, seconds = 0] = process.argv.slice(2).map(Number)
const work = new BusyTask(warmupSeconds, seconds)

const port = await work.serve()
void spawn(async () => {
  for (;;) {
    work.doUnit()
    if (needPreempt()) await yieldNow()
  }
})
endWithStdin(() => JSON.stringify(work.finish()))
process.stdout.write(`${port}\n`)
