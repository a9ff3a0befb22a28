/**
 * What many waiting cost: an operation must cost the same however many wait beside it.
 *
 * Two sizes do the same work: 64,000 operations that wait at once, and 64 times 1,000 of them. `growth` is the
 * cost of one in the first ÷ in the second; a structure that is scanned at each event shows as up to 64.
 *
 * What waits is alive, and that alone costs: the collector copies a young object that survives twice, where
 * those of 1,000 have mostly died before it comes, and 64,000 with their promises are more than the caches
 * hold. That grows for everybody, and is no scan. So `growth` is measured in a young generation in which
 * little has to be copied (of `file` some has), from a heap that was collected before, and `growth as is` in the one that Node
 * has unless told, with `gc % as is`, the part of the time of 64,000 for which the collector stopped the thread.
 *
 * `bare` is the floor: the same callers, who wait for as many plain promises in the simplest line, lock, heap
 * or ring that does the same while nothing fails; see bench/peers/bare-waits.ts and bare-files.ts. A case is
 * well where growth is at most 1.5, or at most that of bare: more than that is ours. Streams have none.
 */

import { type Answer, missingScript, nodeCommand, numberField, runForJson } from './child.ts'
import type { Benchmark, Case, Plan, Sample, Side } from './definition.ts'

/** What waits; see bench/percore/queues.ts. */
const QUEUES = [
  'stream',
  'stream-withdraw',
  'file',
  'append',
  'semaphore',
  'mutex',
  'rw-lock',
  'condition',
  'event',
  'latch',
  'barrier',
  'gate',
  'withdraw',
  'channel-items',
  'channel-receivers',
  'channel-senders',
  'timer',
  'task',
] as const
const FEW = 1_000
const MANY = 64_000
const ROUNDS = 5
/** More MiB than any case allocates in a round of most, and from the start, for both sizes alike. */
const ROOMY_FLAGS = ['--min-semi-space-size=256', '--max-semi-space-size=256']

const UNIT_FEW = `ns/op of ${FEW}`
const UNIT_MANY = `ns/op of ${MANY}`
const UNIT_GROWTH = 'growth'
const UNIT_GROWTH_AS_IS = 'growth as is'
const UNIT_COLLECTOR_AS_IS = 'gc % as is'

/** Operations that wait at once, 1,000 and 64,000 of them: the cost of each, and its growth. */
export const queuesBenchmark: Benchmark = {
  name: 'queues',
  summary: 'operations that wait, 1,000 and 64,000 at once: the cost of each, at most 1.5 times',
  cases: (plan) => QUEUES.map((what) => queueCase(plan, what)),
}

function queueCase(plan: Plan, what: string): Case {
  const sizes = plan.smoke ? [100, 1_000, 1] : [FEW, MANY, ROUNDS]
  const cpu = plan.clientCpu
  const measure = async (script: string, words: readonly string[]): Promise<Sample> => {
    const args = [...words, ...sizes]
    const roomy = await runForJson(nodeCommand(script, args, { cpu, flags: ROOMY_FLAGS }))
    const asIs = await runForJson(nodeCommand(script, args, { cpu }))
    return readSample(roomy, asIs)
  }
  const sides: readonly Side[] = [
    {
      name: 'percore',
      missing: missingScript('percore/queues'),
      run: () => measure('percore/queues', [what, plan.directory]),
    },
    ...bareSides(what, plan, measure),
  ]
  const units = [UNIT_FEW, UNIT_MANY, UNIT_GROWTH, UNIT_GROWTH_AS_IS, UNIT_COLLECTOR_AS_IS]
  return {
    params: { what },
    metrics: units.map((unit) => ({ unit, better: 'less' })),
    open: async () => sides,
  }
}

/** The floor, where there is one. */
function bareSides(
  what: string,
  plan: Plan,
  measure: (script: string, words: readonly string[]) => Promise<Sample>,
): readonly Side[] {
  if (what.startsWith('stream')) return []
  const isFile = what === 'file' || what === 'append'
  const script = isFile ? 'peers/bare-files' : 'peers/bare-waits'
  const words = isFile ? [what, plan.directory] : [what]
  return [{ name: 'bare', missing: missingScript(script), run: () => measure(script, words) }]
}

function readSample(roomy: Answer, asIs: Answer): Sample {
  const fewNs = numberField(roomy, 'fewNs')
  const manyNs = numberField(roomy, 'manyNs')
  const manyNsAsIs = numberField(asIs, 'manyNs')
  return {
    [UNIT_FEW]: fewNs,
    [UNIT_MANY]: manyNs,
    [UNIT_GROWTH]: manyNs / fewNs,
    [UNIT_GROWTH_AS_IS]: manyNsAsIs / numberField(asIs, 'fewNs'),
    [UNIT_COLLECTOR_AS_IS]: (100 * numberField(asIs, 'manyCollectorNs')) / manyNsAsIs,
  }
}
