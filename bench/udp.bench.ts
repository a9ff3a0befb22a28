/** Datagrams over loopback: how many a second of the measured side's CPU answers, takes or sends. */

import { buildPeer, missingCompiler } from './build-peer.ts'
import { type Command, Held, missingScript, nodeCommand, numberField, runForJson } from './child.ts'
import { type Benchmark, type Case, type Plan, type Sample, Unavailable } from './definition.ts'

const UNIT = 'packets/CPU s'
const SIZES: readonly number[] = [64, 1200]

/** What the measured side does: answers each datagram, drops what floods it, floods, or floods many to a call (UDP_SEGMENT), which Node cannot. */
type Mode = 'echo' | 'receive' | 'send' | 'segments'

/** Request and reply, and a flood one way, of which either end is measured. */
export const udpBenchmark: Benchmark = {
  name: 'udp',
  summary: 'datagrams over loopback: request and reply, one-way flood, by CPU of the measured side',
  cases: (plan) => [
    ...SIZES.map((size) => udpCase(plan, 'echo', size)),
    ...SIZES.map((size) => udpCase(plan, 'receive', size)),
    ...SIZES.map((size) => udpCase(plan, 'send', size)),
    ...SIZES.map((size) => udpCase(plan, 'segments', size)),
  ],
}

function udpCase(plan: Plan, mode: Mode, size: number): Case {
  return {
    params: { mode, size },
    metrics: [{ unit: UNIT, better: 'more' }],
    open: async () => {
      const reason = missingCompiler()
      if (reason !== undefined) throw new Unavailable(`the load is in C, and ${reason}`)
      const cpu = plan.serverCpu
      const isSender = mode === 'send' || mode === 'segments'
      const measure = isSender ? measureSender : measureServer
      const run = (command: Command) => (): Promise<Sample> => measure(plan, command, size)
      return [
        {
          name: 'percore',
          missing: missingScript('percore/udp'),
          run: run(nodeCommand('percore/udp', [mode], { cpu })),
        },
        { name: 'node', run: run(nodeCommand('peers/node-udp', [mode], { cpu })) },
        // Built where it is measured: not for a case that cannot run.
        { name: 'c', run: run({ program: buildPeer('udp-server'), args: [mode], cpu }) },
      ]
    },
  }
}

/** A fresh server, and what the load has counted of it. */
async function measureServer(plan: Plan, command: Command, size: number): Promise<Sample> {
  await using server = await Held.start(command)
  const args = [command.args.at(-1)!, server.port(), size, ...times(plan), server.pid].map(String)
  const answer = await runForJson({ program: buildPeer('udp-load'), args, cpu: plan.clientCpu })
  await server.stop()
  return toSample(numberField(answer, 'packets'), numberField(answer, 'cpuNs'))
}

/** A fresh sender, which counts for itself, and a sink that drops what comes. */
async function measureSender(plan: Plan, command: Command, size: number): Promise<Sample> {
  const program = buildPeer('udp-load')
  await using sink = await Held.start({ program, args: ['sink'], cpu: plan.clientCpu })
  const args = [...command.args, sink.port(), size, ...times(plan)].map(String)
  const answer = await runForJson({ ...command, args })
  await sink.stop()
  return toSample(numberField(answer, 'packets'), numberField(answer, 'cpuNs'))
}

/** Seconds that are measured, and those before, in which the code gets warm. */
function times(plan: Plan): readonly [number, number] {
  return plan.smoke ? [0.2, 0.1] : [2, 1.5]
}

function toSample(packets: number, cpuNs: number): Sample {
  return { [UNIT]: (packets * 1e9) / cpuNs }
}
