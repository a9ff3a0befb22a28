/** Two busy task queues at two to one: what each got of the thread after half a second. */

import { createTaskQueue, needPreempt, spawnInto, type TaskQueue, yieldNow } from 'percore'
import { sleep } from 'percore/time'

let isOver = false
const serving = createTaskQueue('serving', { shares: 1000 })
const compaction = createTaskQueue('compaction', { shares: 500 })

const tasks = [serving, compaction].map((queue) => spawnInto(queue, () => work()))
await sleep(500)
isOver = true
await Promise.all(tasks)
for (const queue of [serving, compaction]) console.log(describe(queue))

async function work(): Promise<number> {
  let sum = 0
  while (!isOver) {
    for (let index = 0; index < 1000; index++) sum += index
    if (needPreempt()) await yieldNow()
  }
  return sum
}

function describe(queue: TaskQueue): string {
  const { name, shares, runtimeNs, turnCount } = queue.stats()
  return `${name}: ${shares} shares, ${Math.round(runtimeNs / 1e6)} ms in ${turnCount} turns`
}
