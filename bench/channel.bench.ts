/**
 * One way from a thread to another, as fast as it goes: both are busy with nothing else.
 *
 * `numbers` are sent and taken one by one (and published 32 at a time), `batch` 256 at once, `bytes64` are messages of 64
 * bytes, one by one. It is the ring alone: no executor, nobody sleeps. Both threads need a processor of their own: where
 * other programs run, the figures are theirs.
 */

import { missingScript, nodeCommand, numberField, runForJson } from './child.ts'
import type { Benchmark, Case, Plan, Sample } from './definition.ts'

const UNIT = 'M messages/s'

/** How many messages, for us and for a peer that is much slower. */
const WHATS = [
  { what: 'numbers', count: 40_000_000, peerCount: 1_000_000 },
  { what: 'batch', count: 200_000_000, peerCount: 20_000_000 },
  { what: 'bytes64', count: 20_000_000, peerCount: 500_000 },
] as const
const SMOKE_COUNT = 10_000

/** Messages between two threads, against Node's ports. */
export const channelBenchmark: Benchmark = {
  name: 'channel',
  summary: 'messages from one thread to another: numbers, batches of numbers, 64 bytes',
  cases: (plan) => WHATS.map((one) => channelCase(plan, one)),
}

function channelCase(plan: Plan, { what, count, peerCount }: (typeof WHATS)[number]): Case {
  const measure = async (script: string, messageCount: number): Promise<Sample> => {
    const args = [what, plan.smoke ? SMOKE_COUNT : messageCount]
    // Not pinned: the two threads of the process are to be on two processors.
    const answer = await runForJson(nodeCommand(script, args))
    return { [UNIT]: numberField(answer, 'messagesPerSecond') / 1e6 }
  }
  return {
    params: { what, mode: 'spin' },
    metrics: [{ unit: UNIT, better: 'more' }],
    open: async () => [
      {
        name: 'percore',
        missing: missingScript('percore/channel'),
        run: () => measure('percore/channel', count),
      },
      { name: 'messageport', run: () => measure('peers/node-channel', peerCount) },
    ],
  }
}
