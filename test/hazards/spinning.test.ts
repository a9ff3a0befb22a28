/**
 * Threads that poll before they sleep leave the CPUs to others where there are too few.
 *
 * Proof that these can fail: without the look at how many are awake in native/loop.c nobody is ever crowded out, and
 * the tests wait for ever.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { maskOfNumbers, numbersOfMask } from '../../src/base/index.ts'
import type { ExecutorStats } from '../../src/index.ts'
import { UringKernel } from '../../src/kernel/index.ts'
import { readCpuQuota } from '../../src/reactor/spin-quota.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(60_000)

function start(count: number): Worker[] {
  const script = new URL('./spin-worker.js', import.meta.url)
  return Array.from({ length: count }, () => new Worker(script))
}

async function askStats(worker: Worker): Promise<ExecutorStats> {
  const answer = once(worker, 'message')
  worker.postMessage('stats')
  const [stats] = await answer
  return stats as ExecutorStats
}

async function untilCrowded(workers: readonly Worker[]): Promise<void> {
  for (let crowdedCount = 0; crowdedCount === 0; ) {
    const all = await Promise.all(workers.map(askStats))
    for (const stats of all) crowdedCount += stats.crowdedCount
  }
}

/** Asks for a while, and ends the thread; how often it has slept meanwhile, and found too few CPUs. */
async function watchOne(worker: Worker): Promise<{ parkCount: number; crowdedCount: number }> {
  const before = await askStats(worker)
  let after = before
  for (let round = 0; round < 50; round++) after = await askStats(worker)
  await worker.terminate()
  return {
    parkCount: after.parkCount - before.parkCount,
    crowdedCount: after.crowdedCount - before.crowdedCount,
  }
}

const NEVER = { parkCount: 0, crowdedCount: 0 }

test('of more executors than CPUs some sleep, and the last one polls on', LIMIT, async () => {
  const [first, ...others] = start(availableParallelism() + 1)
  assert.ok(first !== undefined)

  await untilCrowded([first, ...others])
  await Promise.all(others.map((worker) => worker.terminate()))

  assert.deepEqual(await watchOne(first), NEVER)
})

test('of executors that are bound to one CPU one polls at most', LIMIT, async () => {
  const kernel = new UringKernel()
  const before = new Uint8Array(128)
  assert.ok(kernel.getAffinity(0, before) > 0)
  const cpu = numbersOfMask(before)[0]!
  kernel.setAffinity(0, maskOfNumbers([cpu]))
  const workers = start(2)
  await Promise.all(workers.map((worker) => once(worker, 'online')))
  kernel.setAffinity(0, before)
  const [first, second] = workers

  await untilCrowded(workers)
  await second!.terminate()

  assert.deepEqual(await watchOne(first!), NEVER)
})

const FILES: Record<string, Record<string, string>> = {
  'no limit': { 'cpu.max': 'max 100000\n' },
  'no limit in the first version': {
    'cpu/cpu.cfs_quota_us': '-1\n',
    'cpu/cpu.cfs_period_us': '100000\n',
  },
  'no files': {},
}

for (const [what, files] of Object.entries(FILES)) {
  test(`readCpuQuota() finds none with ${what}`, () => {
    assert.equal(readCpuQuota(readFrom(files)), null)
  })
}

test('readCpuQuota() tells how many CPUs a control group of either version allows', () => {
  const second = { 'cpu.max': '150000 100000\n' }
  const first = { 'cpu/cpu.cfs_quota_us': '200000\n', 'cpu/cpu.cfs_period_us': '50000\n' }

  assert.deepEqual([second, first].map(readFrom).map(readCpuQuota), [1.5, 4])
})

function readFrom(files: Record<string, string>): (path: string) => string | number {
  return (path) => files[path.replace('/sys/fs/cgroup/', '')] ?? -2
}
