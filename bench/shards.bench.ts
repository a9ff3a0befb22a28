/**
 * A TCP echo served by several shards on one port, beside the same by one shard.
 *
 * What a client can ask for is the limit before the server is where it has no processors of its own, so throughput says nothing about the
 * server there: what counts is the processor's time of the server's process, all of its threads and the kernel's work on their behalf,
 * per request. Its inverse is the requests that a core would serve if it did nothing else, `requests/core-s`, which several
 * shards are to reach as well as one does with as many connections for each. How connections spread is told by the shards:
 * by how much the one with the most, or the fewest, is off the mean.
 *
 * `by` says who spreads them: the kernel over a listener for each shard (`reusePort`), or the shards, which take them in turns from one
 * socket (`share`).
 */

import { buildPeer, missingCompiler } from './build-peer.ts'
import {
  Held,
  missingScript,
  nodeCommand,
  numberField,
  parseLastLine,
  runForJson,
} from './child.ts'
import { type Benchmark, type Case, type Plan, type Sample, Unavailable } from './definition.ts'

const RATE = 'requests/core-s'
const SPREAD = '% off the mean'
const SIZE_BYTES = 64
const SHARD_COUNT = 2
/** For each shard; many, since the kernel spreads them by chance: 512 are off by 3 % as a rule. */
const CONNECTIONS_EACH = 512

/** Shards that serve one port. */
export const shardsBenchmark: Benchmark = {
  name: 'shards',
  summary:
    'TCP echo by two shards on one port: how connections spread, requests per core against one shard',
  cases: (plan) => ['reusePort', 'share'].map((by) => shardsCase(plan, by)),
}

function shardsCase(plan: Plan, by: string): Case {
  const each = plan.smoke ? 16 : CONNECTIONS_EACH
  return {
    params: { by, shards: SHARD_COUNT, connections: SHARD_COUNT * each, size: SIZE_BYTES },
    metrics: [
      { unit: RATE, better: 'more' },
      { unit: SPREAD, better: 'less' },
    ],
    open: async () => {
      const reason = missingCompiler()
      if (reason !== undefined) throw new Unavailable(`the client is in C, and ${reason}`)
      const missing = missingScript('percore/shards')
      return [
        {
          name: 'percore',
          missing,
          run: () => measure(plan, { by, shardCount: SHARD_COUNT, each }),
        },
        { name: 'one shard', missing, run: () => measure(plan, { by, shardCount: 1, each }) },
      ]
    },
  }
}

async function measure(
  plan: Plan,
  options: { readonly by: string; readonly shardCount: number; readonly each: number },
): Promise<Sample> {
  const { by, shardCount, each } = options
  await using server = await Held.start(nodeCommand('percore/shards', [by, shardCount]))
  const seconds = plan.smoke ? 0.4 : 3
  const warmupSeconds = plan.smoke ? 0.1 : 1
  const load = [shardCount * each, SIZE_BYTES, seconds, warmupSeconds].map(String)
  const answer = await runForJson({
    program: buildPeer('echo-client'),
    args: ['127.0.0.1', String(server.port()), ...load, '--server', String(server.pid)],
    // One shard has a processor of its own, and of several the last one shares its with the client.
    cpu: plan.clientCpu,
  })
  const output = await server.stop()
  const cpuSeconds = numberField(answer, 'serverCpuNs') / 1e9
  return {
    [RATE]: numberField(answer, 'requests') / cpuSeconds,
    [SPREAD]: spreadPercent(parseLastLine(output).accepted as readonly number[]),
  }
}

function spreadPercent(counts: readonly number[]): number {
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length
  return (100 * Math.max(...counts.map((count) => Math.abs(count - mean)))) / mean
}
