/** Random reads of many tasks beside a hog of the processor: what shares and latency classes bring. */

import { missingScript, nodeCommand, numberField, runForJson } from './child.ts'
import type { Benchmark, Case, Plan, Sample, Side } from './definition.ts'
import { openFile, type Storage } from './test-storage.ts'

const MIB = 1024 * 1024
const TASK_COUNT = 2_048
const RATE_UNIT = 'IOPS'
const MEDIAN_UNIT = 'us p50'
const TAIL_UNIT = 'us p99'
const PROGRESS_UNIT = 'units/s'

/** The latency class of the readers (0 for none), and the shares of readers and hog. */
interface Sharing {
  readonly latencyMs: number
  readonly shares: readonly [readers: number, hog: number]
}

const SHARINGS: readonly Sharing[] = [
  { latencyMs: 0, shares: [1000, 1000] },
  { latencyMs: 10, shares: [1000, 1000] },
  { latencyMs: 0.5, shares: [1000, 1000] },
  { latencyMs: 10, shares: [1000, 100] },
]

/** Glommio's benchmark of the same name, on ours and on Node's reads. Source: glommio's `competing_io`. */
export const competingIoBenchmark: Benchmark = {
  name: 'competing-io',
  summary:
    'random 4 KiB reads by 2,048 tasks beside a cooperative hog: IOPS, times, what the hog does',
  cases: (plan) => SHARINGS.map((sharing) => competingCase(plan, sharing)),
}

function competingCase(plan: Plan, { latencyMs, shares }: Sharing): Case {
  return {
    params: { tasks: TASK_COUNT, latencyMs, shares: shares.join(':') },
    metrics: [
      { unit: RATE_UNIT, better: 'more' },
      { unit: MEDIAN_UNIT, better: 'less' },
      { unit: TAIL_UNIT, better: 'less' },
      { unit: PROGRESS_UNIT, better: 'more' },
    ],
    open: async () => {
      const storage = openFile(plan.directory, plan.smoke ? 64 * MIB : 1024 * MIB)
      const own = [latencyMs, ...shares]
      return [
        side(plan, { name: 'percore', script: 'percore/competing-io', storage, own }),
        side(plan, { name: 'node', script: 'peers/node-competing-io', storage, own: [] }),
      ]
    },
  }
}

interface Parts {
  readonly name: string
  readonly script: string
  readonly storage: Storage
  readonly own: readonly number[]
}

function side(plan: Plan, { name, script, storage, own }: Parts): Side {
  const [seconds, warmupSeconds] = plan.smoke ? [0.3, 0.1] : [3, 1]
  const args = [storage.path, storage.sizeBytes, TASK_COUNT, seconds, warmupSeconds, ...own]
  const command = nodeCommand(script, args, { cpu: plan.serverCpu })
  return {
    name,
    missing: missingScript(script),
    run: async (): Promise<Sample> => {
      const answer = await runForJson(command)
      const elapsed = numberField(answer, 'seconds')
      return {
        [RATE_UNIT]: numberField(answer, 'ops') / elapsed,
        [MEDIAN_UNIT]: numberField(answer, 'p50us'),
        [TAIL_UNIT]: numberField(answer, 'p99us'),
        [PROGRESS_UNIT]: numberField(answer, 'units') / elapsed,
      }
    },
  }
}
