/** spawn THREADS BATCH: pools of that many shards, each started, run and ended, until there were so many threads. */

import { ExecutorPool } from '../../src/runtime/index.ts'
import { PoolPlacement } from '../../src/topology/index.ts'
import { leftSince, readHolding } from '../left-behind.ts'

const [threadCount, batch] = process.argv.slice(2).map(Number) as [number, number]
const module = new URL('./spawn-shard.js', import.meta.url)
const placement = PoolPlacement.unbound(batch)

// The first ones start helpers of Node's, which stay.
await run()
await run()
const before = readHolding()
const from = process.hrtime.bigint()
for (let count = 0; count < threadCount; count += batch) await run()
const elapsedMs = Number(process.hrtime.bigint() - from) / 1e6
const answer = { msPerThread: elapsedMs / threadCount, ...leftSince(before) }
process.stdout.write(`${JSON.stringify(answer)}\n`)

async function run(): Promise<void> {
  const pool = await ExecutorPool.start<undefined, number>({ module, placement })
  const results = await pool.results()
  if (results.some((result, id) => result !== id)) throw new Error('Cannot count what did not run')
}
