/** Two real threads that send and sleep: for two seconds, or as many as `PERCORE_HAMMER_SECONDS` says. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { createSpscRing } from '../../src/channels/shared/index.ts'
import { INBOX_COUNT_MAX } from '../../src/reactor/index.ts'
import { limited, repetitionCount } from '../limits.ts'
import type { HammerPart, HammerReport } from './hammer-worker.ts'

const HAMMER_MS = Number(process.env.PERCORE_HAMMER_SECONDS ?? 2) * 1_000
const INBOX_COUNT = 4
/** Of a control block, at least. */
const WORD_COUNT = 256
/** Fewer where each wake-up takes long. */
const MESSAGE_COUNT = repetitionCount(20_000, 500)
/** Numbers, and cells of frames: rings that are full, and empty, all the time, and some that are not. */
const CAPACITIES = [
  [1, 8],
  [2, 16],
  [64, 64],
] as const

async function runRound(seed: number, signal: AbortSignal): Promise<readonly HammerReport[]> {
  const [numbers, cells] = CAPACITIES[seed % CAPACITIES.length]!
  const both = [0, 1]
  const parts = {
    seed,
    messageCount: MESSAGE_COUNT,
    numberRings: both.map(() => createSpscRing({ kind: 'numbers', capacity: numbers })),
    wakes: both.map(() => makeWords(1)),
    frameRings: both.map(() => createSpscRing({ kind: 'frames', capacity: cells })),
    doorbells: both.map(() => ({
      words: makeWords(WORD_COUNT),
      inboxes: makeWords(INBOX_COUNT_MAX / 32),
    })),
  }
  const workers = both.map((self) => {
    const workerData: HammerPart = { ...parts, self }
    return new Worker(new URL('./hammer-worker.js', import.meta.url), { workerData })
  })
  try {
    const answers = workers.map(async (worker) => (await once(worker, 'message', { signal }))[0])
    return await Promise.all(answers)
  } finally {
    // A thread that was left asleep ends here, too.
    await Promise.all(workers.map((worker) => worker.terminate()))
  }
}

test(
  'threads that send and sleep lose no message and no wake-up',
  limited(HAMMER_MS + 60_000),
  async (t) => {
    const untilMs = performance.now() + HAMMER_MS
    let sleepCount = 0
    let seed = 0
    for (; seed < CAPACITIES.length || performance.now() < untilMs; seed++) {
      const reports = await runRound(seed, t.signal)

      for (const [self, { received, wakeCount }] of reports.entries()) {
        assert.equal(received, 2 * MESSAGE_COUNT)
        const mostCount = reports[1 - self]!.takenCount + INBOX_COUNT
        assert.ok(wakeCount <= mostCount, 'a sender wakes once until its inbox is taken')
      }
      sleepCount += reports.reduce((sum, report) => sum + report.sleepCount, 0)
    }
    assert.ok(sleepCount > 0, 'the threads had to sleep')
    t.diagnostic(`${seed} rounds, ${sleepCount} sleeps`)
  },
)

function makeWords(count: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * count))
}
