/** Executors on threads of their own, started and ended, beside bare workers. */

import { type Command, missingScript, nodeCommand, numberField, runForJson } from './child.ts'
import type { Benchmark, Case, Plan, Sample } from './definition.ts'

const MS_EACH = 'ms/thread'
const RATE = 'threads/s'
/** Threads that are started at once. */
const BATCHES = [1, 8]
const THREAD_COUNT = 160

/** From nothing to a thread that answers, and to its end. */
export const spawnBenchmark: Benchmark = {
  name: 'spawn',
  summary: 'threads with an executor, started and ended, in batches',
  cases: (plan) => BATCHES.map((batch) => spawnCase(plan, batch)),
}

function spawnCase(plan: Plan, batch: number): Case {
  const threadCount = plan.smoke ? batch : THREAD_COUNT
  return {
    params: { batch },
    metrics: [
      { unit: MS_EACH, better: 'less' },
      { unit: RATE, better: 'more' },
    ],
    open: async () => [
      {
        name: 'percore',
        missing: missingScript('percore/spawn'),
        run: () => measure(nodeCommand('percore/spawn', [threadCount, batch])),
      },
      {
        name: 'worker',
        run: () => measure(nodeCommand('peers/node-spawn', [threadCount, batch])),
      },
    ],
  }
}

async function measure(command: Command): Promise<Sample> {
  const msPerThread = numberField(await runForJson(command), 'msPerThread')
  return { [MS_EACH]: msPerThread, [RATE]: 1_000 / msPerThread }
}
