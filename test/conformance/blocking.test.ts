/** Glommio's behaviours of blocking work: rows 32 to 35, and what of it goes wrong there. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { BlockingPool, blocking } from '../../src/blocking/index.ts'
import { needPreempt, yieldNow } from '../../src/index.ts'
import { sleep } from '../../src/time/index.ts'
import { CpuSet, PoolPlacement } from '../../src/topology/index.ts'
import { OPEN, STARTED } from '../blocking/work.ts'
import { limited } from '../limits.ts'

type Work = typeof import('../blocking/work.ts')

const LIMIT = limited(60_000)
const WORK = new URL('../blocking/work.js', import.meta.url)

function createWords(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(8))
}

function open(words: Int32Array): void {
  Atomics.store(words, OPEN, 1)
  Atomics.notify(words, OPEN)
}

test('32: blocking work and cooperative work go on beside each other', LIMIT, async () => {
  const words = createWords()
  let isAnswered = false
  const blocked = blocking<Work>(WORK)
    .call('pass', [words, 1])
    .then(() => {
      isAnswered = true
    })
  // It blocks until this work, which is done meanwhile, is at its end.
  let passes = 0
  while (Atomics.load(words, STARTED) === 0 || passes < 1e6) {
    passes++
    if (needPreempt()) await yieldNow()
  }

  assert.equal(isAnswered, false)
  open(words)
  await blocked
})

test('33: of five calls on four threads four run at a time', LIMIT, async () => {
  await using pool = new BlockingPool({ placement: PoolPlacement.unbound(4) })
  const words = createWords()
  const work = blocking<Work>(WORK, pool)
  const calls = [1, 2, 3, 4, 5].map((value) => work.call('pass', [words, value]))
  while (Atomics.load(words, STARTED) < 4) await sleep(1)
  const { busyCount, queuedCount } = pool.stats()
  open(words)

  assert.deepEqual(await Promise.all(calls), [1, 2, 3, 4, 5])
  assert.deepEqual([busyCount, queuedCount], [4, 1])
})

test(
  '34: an unbound pool of a pinned executor may use all processors of the process',
  LIMIT,
  async () => {
    const allowed = CpuSet.allowed()
    const [cpu] = allowed.ids
    const url = new URL('../blocking/pinned-worker.js', import.meta.url)
    const worker = new Worker(url, { workerData: { cpu } })
    const found = await new Promise((resolve, reject) => {
      worker.on('message', resolve)
      worker.on('error', reject)
    })

    assert.deepEqual(found, { inPool: String(allowed), own: [cpu], listed: String(cpu) })
    await worker.terminate()
  },
)

test('35: a placement that cannot be is refused', LIMIT, () => {
  assert.throws(() => new BlockingPool({ placement: PoolPlacement.unbound(0) }), RangeError)
  const tooMany = CpuSet.allowed().size + 1
  assert.throws(() => new BlockingPool({ placement: PoolPlacement.maxSpread(tooMany) }), {
    code: 'ERR_TOO_FEW_CPUS',
  })
})

test('D20: a function that throws fails its caller, and its thread goes on', LIMIT, async () => {
  await using pool = new BlockingPool({ placement: PoolPlacement.unbound(1) })
  const work = blocking<Work>(WORK, pool)
  const [thread] = await work.call('countCalls', [])
  for (let i = 0; i < 10; i++) await assert.rejects(work.call('failInside', []), RangeError)

  assert.deepEqual(await work.call('countCalls', []), [thread, 2])
})
