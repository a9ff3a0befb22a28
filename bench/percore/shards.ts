/**
 * shards BY COUNT: an echo server of so many shards on one port, each on a core of its own. Connections are spread by `reusePort` or taken from one
 * socket by all (`share`). Prints its port; as its input closes, how many connections each shard took.
 */

import { writeSync } from 'node:fs'
import { TcpListener } from '../../src/net/index.ts'
import { ExecutorPool } from '../../src/runtime/index.ts'
import { PoolPlacement } from '../../src/topology/index.ts'
import type { ShardsArgument } from './shards-shard.ts'

const [by, countText] = process.argv.slice(2) as [string, string]
const shardCount = Number(countText)
// Finds a free port, and keeps it until the shards listen.
const listener = await TcpListener.bind({ port: 0, backlog: 4096, reusePort: by === 'reusePort' })
const { port } = listener.address
const listening = new Int32Array(new SharedArrayBuffer(4))
const share = by === 'share' ? listener.share() : null
const argument: ShardsArgument = { port, share, listening }
const pool = await ExecutorPool.start<ShardsArgument, number>({
  module: new URL('./shards-shard.js', import.meta.url),
  argument,
  placement: PoolPlacement.maxSpread(shardCount),
  onExit: ({ exit }) => {
    // Of a shard that nobody has stopped: whoever waits for its connections would do so for ever.
    if (exit.reason !== 'returned') throw new Error(`a shard has ended: ${exit.reason}`)
  },
})
while (Atomics.load(listening, 0) < shardCount) await new Promise(setImmediate)
// With `reusePort` it would have connections that nobody takes.
await listener.close()
writeSync(1, `${port}\n`)
process.stdin.resume()
process.stdin.on('end', async () => {
  const exits = await pool.stop()
  const accepted = exits.map((exit) => (exit.reason === 'returned' ? exit.value : Number.NaN))
  writeSync(1, `${JSON.stringify({ accepted })}\n`)
  process.exit(0)
})
