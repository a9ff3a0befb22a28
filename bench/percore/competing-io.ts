/**
 * competing-io PATH SIZE_BYTES TASKS SECONDS WARMUP_SECONDS LATENCY_MS READER_SHARES HOG_SHARES: random direct reads by
 * many tasks, beside a cooperative hog.
 *
 * LATENCY_MS is the latency class of the readers' queue, 0 for none. Prints reads, seconds, the 50th and 99th percentile
 * of a read's time, and what the hog did.
 */

import { createTaskQueue, needPreempt, spawnInto, yieldNow } from '../../src/index.ts'
import { DirectFile, type Lease } from '../../src/io/index.ts'
import { BURST_MS, workOneUnit } from '../background.ts'
import { BLOCK_BYTES } from '../block-data.ts'
import { ReadTimes } from '../read-times.ts'

const [path = '', ...numbers] = process.argv.slice(2)
const [sizeBytes = 0, taskCount = 0, seconds = 0, warmupSeconds = 0] = numbers.map(Number)
const [latencyMs = 0, readerShares = 0, hogShares = 0] = numbers.slice(4).map(Number)
const blockCount = sizeBytes / BLOCK_BYTES
const times = new ReadTimes(warmupSeconds, seconds)
let unitCount = 0
let isOver = false

const readers = createTaskQueue('readers', {
  shares: readerShares,
  ...(latencyMs > 0 ? { latency: { maxMs: latencyMs } } : {}),
})
const hogs = createTaskQueue('hogs', { shares: hogShares })
const file = await spawnInto(readers, () => DirectFile.open(path))
const buffers = Array.from({ length: taskCount }, () => file.allocateBuffer(BLOCK_BYTES))
const hog = spawnInto(hogs, async () => {
  while (!isOver) {
    runBurst()
    await yieldNow()
  }
})
times.begin(() => unitCount)
await Promise.all(buffers.map((buffer) => spawnInto(readers, () => readOn(buffer))))
isOver = true
await hog
for (const buffer of buffers) buffer.release()
await file.close()
process.stdout.write(`${JSON.stringify(times.answer())}\n`)

async function readOn(buffer: Lease): Promise<void> {
  while (!times.isOver) {
    const fromMs = performance.now()
    const bytesRead = await file.readInto(
      buffer,
      Math.floor(Math.random() * blockCount) * BLOCK_BYTES,
    )
    if (bytesRead !== BLOCK_BYTES) throw new Error(`Cannot go on: a read was short: ${bytesRead}`)
    times.add(fromMs, () => unitCount)
  }
}

// Apart, since V8 leaves a hot loop inside of an async function half optimised.
function runBurst(): void {
  const untilMs = performance.now() + BURST_MS
  do {
    workOneUnit()
    unitCount++
  } while (!needPreempt() && performance.now() < untilMs)
}
