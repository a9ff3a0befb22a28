/**
 * Two real threads that hammer channels of every kind at once, and a third one without an executor: for one round, or for as many
 * seconds as `PERCORE_HAMMER_SECONDS` says. A wake-up that is lost leaves an end waiting: the failure says which, for what.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { Prng } from '../../src/base/index.ts'
import {
  attachThreadSender,
  createBroadcast,
  createMesh,
  createMpscChannel,
  createSharedChannel,
  createSharedOneshot,
  createSharedWatch,
  type MpscChannel,
} from '../../src/channels/index.ts'
import { farLimitMs, limited, repetitionCount } from '../limits.ts'
import { DOES, ENDS, type Item, type KindsPart, type KindsReport, type Round } from './kinds.ts'

const HAMMER_MS = Number(process.env.PERCORE_HAMMER_SECONDS ?? 0) * 1_000
const MESSAGE_COUNT = repetitionCount(1_000, 50)
const ONESHOT_COUNT = 50
/** How long all ends may stand still, and how often that is looked at. */
const STILL_MS = farLimitMs(20_000)
const LOOK_MS = 250

function makeRound(seed: number): Round {
  const prng = new Prng(seed)
  const capacity = () => prng.int(1, prng.int(0, 1) === 0 ? 4 : 200)
  const both = [0, 1]
  const numbers = { codec: 'numbers' } as const
  return {
    seed,
    count: MESSAGE_COUNT,
    numbers: both.map(() => createSharedChannel({ ...numbers, capacity: capacity() })),
    objects: both.map((index) => {
      const codec = index === 0 ? 'clone' : 'msgpack'
      return createSharedChannel<Item>({ capacity: capacity(), codec })
    }),
    many: createMpscChannel({ ...numbers, senders: 3, capacity: capacity() }),
    mesh: createMesh({ ...numbers, shards: 2, capacity: capacity() }),
    all: createBroadcast({ ...numbers, receivers: 2, capacity: capacity() }),
    watches: both.map(() => createSharedWatch<number>({ codec: 'numbers' })),
    oneshots: both.map(() =>
      Array.from({ length: ONESHOT_COUNT }, () =>
        createSharedOneshot<number>({ codec: 'numbers' }),
      ),
    ),
  }
}

/** The third sender, which has no executor. */
async function sendAsOutsider(many: MpscChannel<number>, prng: Prng): Promise<void> {
  using sender = attachThreadSender<number>(many)
  for (let next = 0; next < MESSAGE_COUNT; ) {
    const lot = Math.min(prng.int(1, 30), MESSAGE_COUNT - next)
    await sender.sendBatch(Array.from({ length: lot }, (_, index) => 2e6 + next + index))
    next += lot
  }
}

/** Rejects, saying who waits for what, once nobody has got any further for long. */
function watchProgress(progress: Int32Array): { readonly stuck: Promise<never>; stop(): void } {
  let last = ''
  let sinceMs = performance.now()
  let timer: NodeJS.Timeout
  const stuck = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      const now = progress.join()
      if (now !== last) {
        last = now
        sinceMs = performance.now()
      } else if (performance.now() - sinceMs > STILL_MS) {
        reject(new Error(`all ends stand still:\n${describe(progress)}`))
      }
    }, LOOK_MS)
  })
  return { stuck, stop: () => clearInterval(timer) }
}

function describe(progress: Int32Array): string {
  const lines: string[] = []
  for (let index = 0; index < progress.length; index += 2) {
    const place = index / 2
    const does = progress[index]!
    if (does === 0) continue
    const thread = Math.floor(place / ENDS.length)
    const end = ENDS[place % ENDS.length]
    lines.push(`thread ${thread}, ${end}: ${DOES[does]}, after ${progress[index + 1]} messages`)
  }
  return lines.join('\n')
}

test(
  'channels of every kind lose no message, no order and no wake-up between threads that sleep',
  limited(HAMMER_MS + 120_000),
  async (t) => {
    const progress = new Int32Array(new SharedArrayBuffer(2 * ENDS.length * 2 * 4))
    const workers = [0, 1].map((self) => {
      const workerData: KindsPart = { self, progress }
      return new Worker(new URL('./kinds-worker.js', import.meta.url), { workerData })
    })
    const failed = new Promise<never>((_, reject) => {
      for (const worker of workers) worker.on('error', reject)
    })
    const { stuck, stop } = watchProgress(progress)
    const untilMs = performance.now() + HAMMER_MS
    let [received, parkCount, seed] = [0, 0, 0]
    try {
      for (; seed < 1 || performance.now() < untilMs; seed++) {
        const round = makeRound(seed)
        const answers = workers.map(async (worker) => {
          worker.postMessage(round)
          const [report] = await once(worker, 'message')
          return report as KindsReport
        })
        const outsider = sendAsOutsider(round.many, new Prng(seed))
        const all = Promise.all([...answers, outsider.then(() => null)])
        for (const report of await Promise.race([all, stuck, failed])) {
          received += report?.received ?? 0
          parkCount = Math.max(parkCount, report?.parkCount ?? 0)
        }
      }
    } finally {
      stop()
      failed.catch(() => {})
      await Promise.all(workers.map((worker) => worker.terminate()))
    }

    assert.ok(parkCount > 0, 'the threads had to sleep')
    t.diagnostic(`${seed} rounds, ${received} messages, a thread slept ${parkCount} times`)
  },
)
