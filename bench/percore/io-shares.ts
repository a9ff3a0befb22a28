/**
 * io-shares WHAT PATH SIZE_BYTES SECONDS PROPERTIES: task queues that use one device, with its properties, or `none`.
 *
 * `shares`: two queues of 800 and 200 shares write blocks of 128 KiB, 160 at a time each, so that some always wait; prints the bytes of both. `latency`: a queue
 * with a latency class reads 4 KiB every 2 ms beside a writer of 1 MiB, 32 at a time; prints the percentiles of the
 * reads, and the writer's bytes. `alone`: that writer without the reader.
 */

import { setTimeout as delay } from 'node:timers/promises'
import { attachExecutor, createTaskQueue, spawnInto, type TaskQueue } from '../../src/index.ts'
import { DirectFile } from '../../src/io/index.ts'

const KIB = 1024
const MIB: number = KIB * KIB
const WARM_UP_MS = 300

const [what, path = '', ...rest] = process.argv.slice(2)
const [sizeBytes = 0, seconds = 0] = rest.map(Number)
const properties = rest[2]!
const home = attachExecutor(properties === 'none' ? {} : { ioProperties: properties })
await using file = await DirectFile.open(path, { read: true, write: true, poll: 'never' })
let [isCounting, isOver] = [false, false]

/** Writes blocks one after the other, so many at a time, in a stretch of its own; returns their bytes. */
async function write(
  queue: TaskQueue,
  blockBytes: number,
  depth: number,
  from: number,
): Promise<number> {
  let [doneBytes, place] = [0, 0]
  const placeCount = Math.floor(sizeBytes / 2 / blockBytes)
  const one = async (): Promise<void> => {
    using buffer = file.allocateBuffer(blockBytes)
    crypto.getRandomValues(buffer.bytes.subarray(0, 4096))
    while (!isOver) {
      await file.write(buffer, from + (place++ % placeCount) * blockBytes)
      if (isCounting) doneBytes += blockBytes
    }
  }
  await Promise.all(Array.from({ length: depth }, () => spawnInto(queue, one)))
  return doneBytes
}

/** Reads at random every 2 ms; returns how long each read took. */
async function read(queue: TaskQueue): Promise<number[]> {
  const tookUs: number[] = []
  await spawnInto(queue, async () => {
    using buffer = file.allocateBuffer(4 * KIB)
    while (!isOver) {
      await delay(2)
      const startNs = home.nowNs()
      await file.readInto(buffer, Math.floor((Math.random() * sizeBytes) / 4096) * 4096)
      if (isCounting) tookUs.push((home.nowNs() - startNs) / 1000)
    }
  })
  return tookUs.sort((a, b) => a - b)
}

async function timed<T>(run: Promise<T>): Promise<T> {
  await delay(WARM_UP_MS)
  isCounting = true
  await delay(seconds * 1000)
  // What is under way at the end is as much of either queue, whatever their shares.
  isCounting = false
  isOver = true
  return await run
}

async function measure(): Promise<object> {
  if (what === 'shares') {
    const [many, few] = [800, 200].map((shares) => createTaskQueue(`${shares}`, { shares }))
    const writes = [write(many!, 128 * KIB, 160, 0), write(few!, 128 * KIB, 160, sizeBytes / 2)]
    const [manyBytes, fewBytes] = await timed(Promise.all(writes))
    return { manyBytes, fewBytes, seconds }
  }
  const bulk = createTaskQueue('bulk')
  const writing = write(bulk, MIB, 32, 0)
  if (what === 'alone') return { bulkBytes: await timed(writing), seconds }
  const reading = read(createTaskQueue('reads', { latency: { maxMs: 1 } }))
  const [bulkBytes, tookUs] = await timed(Promise.all([writing, reading]))
  const at = (part: number): number => tookUs[Math.floor(tookUs.length * part)]!
  return { bulkBytes, p50Us: at(0.5), p99Us: at(0.99), seconds }
}

process.stdout.write(`${JSON.stringify(await measure())}\n`)
