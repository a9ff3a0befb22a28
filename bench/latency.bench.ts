/** How long a request waits beside work that does not: what a scheduler is for. */

import { BURST_MS } from './background.ts'
import { buildPeer, missingCompiler } from './build-peer.ts'
import {
  type Command,
  Held,
  missingScript,
  nodeCommand,
  numberField,
  parseLastLine,
  runForJson,
} from './child.ts'
import { type Benchmark, type Case, type Plan, type Sample, Unavailable } from './definition.ts'

const RATE = 2_000
const CONNECTION_COUNT = 16
const SIZE_BYTES = 64
const LATENCY_UNIT = 'us'
const PROGRESS_UNIT = 'units/s'

/** An open-loop echo beside a background task; latency from the intended time of sending. */
export const latencyBenchmark: Benchmark = {
  name: 'latency',
  summary: 'p99 of an open-loop echo beside background bursts, and what the background achieves',
  cases: (plan) => [latencyCase(plan)],
}

function latencyCase(plan: Plan): Case {
  const args = [BURST_MS]
  const cpu = plan.serverCpu
  return {
    params: { rate: RATE, connections: CONNECTION_COUNT, burstMs: BURST_MS },
    metrics: [
      { unit: LATENCY_UNIT, better: 'less' },
      // Low latency is easy for a background that starves, so its progress is a row of its own.
      { unit: PROGRESS_UNIT, better: 'more' },
    ],
    open: async () => {
      const reason = missingCompiler()
      if (reason !== undefined) throw new Unavailable(`the client is in C, and ${reason}`)
      return [
        {
          name: 'percore',
          missing: missingScript('percore/latency'),
          run: () => measure(plan, nodeCommand('percore/latency', args, { cpu })),
        },
        {
          name: 'node',
          run: () => measure(plan, nodeCommand('peers/node-latency', args, { cpu })),
        },
      ]
    },
  }
}

async function measure(plan: Plan, command: Command): Promise<Sample> {
  const seconds = plan.smoke ? 0.3 : 3
  // Compilers share the processor with the server, and hold it up for milliseconds each time: at 3 s of
  // warm-up they were still at it during the measurement, and the figure was theirs.
  const warmupSeconds = plan.smoke ? 0.1 : 10
  await using server = await Held.start(command)
  const load = [CONNECTION_COUNT, SIZE_BYTES, seconds, warmupSeconds].map(String)
  const client = await runForJson({
    program: buildPeer('echo-client'),
    args: ['127.0.0.1', String(server.port()), ...load, '--rate', String(RATE), '--spin'],
    cpu: plan.clientCpu,
  })
  const background = parseLastLine(await server.stop())
  return {
    [LATENCY_UNIT]: numberField(client, 'p99us'),
    [PROGRESS_UNIT]: numberField(background, 'units') / numberField(background, 'seconds'),
  }
}
