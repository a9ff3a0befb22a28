/**
 * From a thread to another, and back.
 *
 * `numbers` are sent and taken one by one, `batch` 256 at once, `bytes64` are messages of 64 bytes and `objects` small ones
 * by structured clone, one by one; `rtt` is a number there and back. `percore` is a shared channel between two executors, which
 * spin before they sleep, or do not: `mode`. `ring` is what it is made of, alone: no executor, nobody sleeps. `c` is a C program
 * whose two threads look at a word, or sleep and wake each other: what the processors, or the kernel and the host below it,
 * take for that. Both threads need a processor of their own: where other programs run, the figures are theirs.
 */

import { buildPeer, missingCompiler } from './build-peer.ts'
import { type Command, missingScript, nodeCommand, numberField, runForJson } from './child.ts'
import type { Benchmark, Case, Plan, Sample, Side } from './definition.ts'

const RATE = 'M messages/s'
const ROUND_TRIP = 'us p50'
const MODES = ['spin', 'park'] as const
const SMOKE_COUNT = 10_000

interface What {
  readonly what: string
  /** How many messages, for us and for a peer that is much slower; 0 where there is no such side. */
  readonly count: number
  readonly ringCount: number
  readonly peerCount: number
}

const WHATS: readonly What[] = [
  { what: 'numbers', count: 20_000_000, ringCount: 40_000_000, peerCount: 1_000_000 },
  { what: 'batch', count: 100_000_000, ringCount: 200_000_000, peerCount: 20_000_000 },
  { what: 'bytes64', count: 5_000_000, ringCount: 20_000_000, peerCount: 500_000 },
  { what: 'objects', count: 300_000, ringCount: 0, peerCount: 300_000 },
]
const ROUND_TRIP_COUNT = 50_000
/** By what the two threads of the bare C program wake each other. */
const C_WAKES = ['msgring', 'eventfd', 'futex'] as const

/** Messages between two threads, against Node's ports and `Atomics.waitAsync()`. */
export const channelBenchmark: Benchmark = {
  name: 'channel',
  summary:
    'messages from one thread to another: numbers, batches, 64 bytes, objects, there and back',
  cases: (plan) =>
    MODES.flatMap((mode) => [
      ...WHATS.map((one) => rateCase(plan, one, mode)),
      roundTripCase(plan, mode),
    ]),
}

function rateCase(plan: Plan, one: What, mode: string): Case {
  const { what, count, ringCount, peerCount } = one
  const side = (name: string, script: string, args: readonly string[], most: number): Side => ({
    name,
    missing: missingScript(script),
    run: async (): Promise<Sample> => {
      const messageCount = plan.smoke ? SMOKE_COUNT : most
      // Not pinned: the two threads of the process are to be on two processors.
      const answer = await runForJson(nodeCommand(script, [...args, messageCount]))
      return { [RATE]: numberField(answer, 'messagesPerSecond') / 1e6 }
    },
  })
  const sides = [side('percore', 'percore/shared-channel', [what, mode], count)]
  if (mode === 'spin' && ringCount > 0) {
    sides.push(side('ring', 'percore/channel', [what], ringCount))
  }
  sides.push(side('messageport', 'peers/node-channel', [what], peerCount))
  return {
    params: { what, mode },
    metrics: [{ unit: RATE, better: 'more' }],
    open: async () => sides,
  }
}

function roundTripCase(plan: Plan, mode: string): Case {
  const count = plan.smoke ? 1_000 : ROUND_TRIP_COUNT
  const measure = async (command: Command): Promise<Sample> => {
    const answer = await runForJson(command)
    return { [ROUND_TRIP]: numberField(answer, 'p50Ns') / 1e3 }
  }
  const side = (name: string, script: string, args: readonly string[]): Side => ({
    name,
    missing: missingScript(script),
    run: () => measure(nodeCommand(script, [...args, count])),
  })
  const floor = (name: string, how: string): Side => ({
    name,
    missing: missingCompiler(),
    run: () => measure({ program: buildPeer('wake'), args: [how, String(count)] }),
  })
  const sides = [
    side('percore', 'percore/shared-channel', ['rtt', mode]),
    side('messageport', 'peers/node-rtt', ['messageport']),
    side('waitasync', 'peers/node-rtt', ['waitasync']),
  ]
  if (mode === 'spin') sides.push(side('ring', 'percore/channel', ['rtt']), floor('c', 'spin'))
  else sides.push(...C_WAKES.map((how) => floor(`c-${how}`, how)))
  return {
    params: { what: 'rtt', mode },
    metrics: [{ unit: ROUND_TRIP, better: 'less' }],
    open: async () => sides,
  }
}
