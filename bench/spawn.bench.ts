/**
 * Executors on threads of their own, started and ended, beside bare workers.
 *
 * `batch` threads at a time. `threads` is one long run in batches of 8, which is about what is left behind: descriptors, threads, and resident
 * memory, over what the first batches have left. `PERCORE_SPAWN_THREADS=10000` has it go on for so many; each takes a
 * twentieth of a second and more.
 */

import { type Command, missingScript, nodeCommand, numberField, runForJson } from './child.ts'
import type { Benchmark, Case, Plan, Sample } from './definition.ts'

const MS_EACH = 'ms/thread'
const RATE = 'threads/s'
const DESCRIPTORS = 'descriptors left'
const THREADS = 'threads left'
const MEMORY = 'KiB left/thread'
/** Threads that are started at once. */
const BATCHES = [1, 8]
const THREAD_COUNT = 160
const CHURN_BATCH = 8
const CHURN_COUNT = Number(process.env.PERCORE_SPAWN_THREADS ?? 400)
/** What a thread takes on a machine that is slow and busy. */
const THREAD_MS_MAX = 1_000

/** From nothing to a thread that answers, and to its end. */
export const spawnBenchmark: Benchmark = {
  name: 'spawn',
  summary: 'threads with an executor, started and ended, in batches, and what they leave',
  cases: (plan) => [...BATCHES.map((batch) => spawnCase(plan, batch)), churnCase(plan)],
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
        run: () => measure(nodeCommand('percore/spawn', [threadCount, batch]), threadCount),
      },
      {
        name: 'worker',
        run: () => measure(nodeCommand('peers/node-spawn', [threadCount, batch]), threadCount),
      },
    ],
  }
}

function churnCase(plan: Plan): Case {
  const threadCount = plan.smoke ? CHURN_BATCH : CHURN_COUNT
  const command = (script: string): Command =>
    nodeCommand(script, [threadCount, CHURN_BATCH], { flags: ['--expose-gc'] })
  return {
    params: { threads: threadCount, batch: CHURN_BATCH },
    metrics: [
      { unit: DESCRIPTORS, better: 'less' },
      { unit: THREADS, better: 'less' },
      { unit: MEMORY, better: 'less' },
    ],
    open: async () => [
      {
        name: 'percore',
        missing: missingScript('percore/spawn'),
        run: () => measureLeft(command('percore/spawn'), threadCount),
      },
      { name: 'worker', run: () => measureLeft(command('peers/node-spawn'), threadCount) },
    ],
  }
}

async function measure(command: Command, threadCount: number): Promise<Sample> {
  const answer = await runForJson(command, limitMs(threadCount))
  const msPerThread = numberField(answer, 'msPerThread')
  return { [MS_EACH]: msPerThread, [RATE]: 1_000 / msPerThread }
}

async function measureLeft(command: Command, threadCount: number): Promise<Sample> {
  const answer = await runForJson(command, limitMs(threadCount))
  return {
    [DESCRIPTORS]: numberField(answer, 'descriptorsLeft'),
    [THREADS]: numberField(answer, 'threadsLeft'),
    [MEMORY]: numberField(answer, 'bytesLeft') / 1024 / threadCount,
  }
}

function limitMs(threadCount: number): number {
  return 120_000 + threadCount * THREAD_MS_MAX
}
