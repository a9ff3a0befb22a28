/** Bulk through a proxy over loopback: what one stream brings is passed on to another. */

import { buildPeer, missingCompiler } from './build-peer.ts'
import { type Command, Held, missingScript, nodeCommand, numberField, runForJson } from './child.ts'
import { type Benchmark, type Case, type Plan, type Sample, Unavailable } from './definition.ts'

const RATE_UNIT = 'MB/s'
const CPU_UNIT = 'MB/CPU s'

/** `pipe()` of two streams, as users write it, between a client that pours and a sink that drops. */
export const relayBenchmark: Benchmark = {
  name: 'relay',
  summary: 'bulk through a proxy, pipe() of two streams: rate, and by the CPU of the proxy',
  cases: (plan) => [relayCase(plan, 1), relayCase(plan, 16)],
}

function relayCase(plan: Plan, pairs: number): Case {
  return {
    params: { pairs },
    metrics: [
      { unit: RATE_UNIT, better: 'more' },
      { unit: CPU_UNIT, better: 'more' },
    ],
    open: async () => {
      const reason = missingCompiler()
      if (reason !== undefined) throw new Unavailable(`the load is in C, and ${reason}`)
      const cpu = plan.serverCpu
      const uring = { program: buildPeer('relay-uring'), args: [], cpu }
      return [
        {
          name: 'percore',
          missing: missingScript('percore/relay'),
          run: () => measure(plan, nodeCommand('percore/relay', [], { cpu }), pairs),
        },
        {
          name: 'node',
          run: () => measure(plan, nodeCommand('peers/node-relay', [], { cpu }), pairs),
        },
        { name: 'uring', run: () => measure(plan, uring, pairs) },
      ]
    },
  }
}

/** A fresh proxy, and what came out of it. */
async function measure(plan: Plan, command: Command, pairs: number): Promise<Sample> {
  // Of the proxy's time on the processor: once compiled, it takes half of what it does before.
  const [seconds, warmupSeconds] = plan.smoke ? [0.2, 0.1] : [1, 1.5]
  await using server = await Held.start(command)
  const args = [server.port(), pairs, seconds, warmupSeconds, server.pid].map(String)
  const answer = await runForJson({ program: buildPeer('relay-load'), args, cpu: plan.clientCpu })
  await server.stop()
  const megabytes = numberField(answer, 'bytes') / 1e6
  return {
    [RATE_UNIT]: megabytes / numberField(answer, 'seconds'),
    [CPU_UNIT]: (megabytes * 1e9) / numberField(answer, 'serverCpuNs'),
  }
}
