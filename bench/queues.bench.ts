/** What many waiting cost: an operation must cost the same however many wait beside it. */

import { type Command, missingScript, nodeCommand, numberField, runForJson } from './child.ts'
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
/** As shards are to have it: with less, most of what is measured is the copying of survivors. */
const ENV = { NODE_OPTIONS: '--max-semi-space-size=64' }

/** Operations that wait at once, 1,000 and 64,000 of them: the cost of each, and the ratio. */
export const queuesBenchmark: Benchmark = {
  name: 'queues',
  summary: 'operations that wait, 1,000 and 64,000 at once: the cost of each, at most 1.5 times',
  cases: (plan) => QUEUES.map((what) => queueCase(plan, what)),
}

function queueCase(plan: Plan, what: string): Case {
  const [few, many, rounds] = plan.smoke ? [100, 1_000, 1] : [FEW, MANY, ROUNDS]
  const args = [what, few, many, rounds, plan.directory]
  const unitOfFew = `ns/op of ${FEW}`
  const unitOfMany = `ns/op of ${MANY}`
  const measure = async (command: Command): Promise<Sample> => {
    const answer = await runForJson(command)
    const fewNs = numberField(answer, 'fewNs')
    const manyNs = numberField(answer, 'manyNs')
    return { [unitOfFew]: fewNs, [unitOfMany]: manyNs, ratio: manyNs / fewNs }
  }
  const side: Side = {
    name: 'percore',
    missing: missingScript('percore/queues'),
    run: () => measure(nodeCommand('percore/queues', args, { cpu: plan.clientCpu, env: ENV })),
  }
  return {
    params: { what },
    metrics: [unitOfFew, unitOfMany, 'ratio'].map((unit) => ({ unit, better: 'less' })),
    open: async () => [side],
  }
}
