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
  await using server = await Held.start(command)
  // Compilers share the processor with the server, and hold it up for milliseconds each time: at the measured rate they
  // are at it for half a minute, and the figure is theirs. As fast as it goes the same code is hot in seconds.
  await load(plan, server.port(), [plan.smoke ? 0.1 : 6, 0])
  const client = await load(
    plan,
    server.port(),
    [seconds, plan.smoke ? 0.1 : 1],
    ['--rate', String(RATE), '--spin'],
  )
  const background = parseLastLine(await server.stop())
  return {
    [LATENCY_UNIT]: numberField(client, 'p99us'),
    [PROGRESS_UNIT]: numberField(background, 'units') / numberField(background, 'seconds'),
  }
}

function load(
  plan: Plan,
  port: number,
  seconds: readonly [measured: number, warmup: number],
  options: readonly string[] = [],
) {
  const shape = [CONNECTION_COUNT, SIZE_BYTES, ...seconds].map(String)
  return runForJson({
    program: buildPeer('echo-client'),
    args: ['127.0.0.1', String(port), ...shape, ...options],
    cpu: plan.clientCpu,
  })
}
