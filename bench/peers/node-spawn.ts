/** node-spawn THREADS BATCH: bare workers in batches, each started, asked once and ended. */

import { once } from 'node:events'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

if (isMainThread) await runAll()
else parentPort!.postMessage(workerData)

async function runAll(): Promise<void> {
  // Not for the workers, which are to be bare.
  const { leftSince, readHolding } = await import('../left-behind.ts')
  const [threadCount, batch] = process.argv.slice(2).map(Number) as [number, number]
  await run(batch)
  await run(batch)
  const before = readHolding()
  const from = process.hrtime.bigint()
  for (let count = 0; count < threadCount; count += batch) await run(batch)
  const elapsedMs = Number(process.hrtime.bigint() - from) / 1e6
  const answer = { msPerThread: elapsedMs / threadCount, ...leftSince(before) }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}

async function run(batch: number): Promise<void> {
  const workers = Array.from(
    { length: batch },
    (_, id) => new Worker(new URL(import.meta.url), { workerData: id }),
  )
  await Promise.all(
    workers.map(async (worker, id) => {
      const ended = once(worker, 'exit')
      const [answer] = await once(worker, 'message')
      if (answer !== id) throw new Error('Cannot count what did not run')
      await ended
    }),
  )
}
