/**
 * Threads come and go without a trace. `PERCORE_TEST_THREADS=10000` tries so many.
 *
 * Proof that it can fail: without `executor().close()` or the cleanup hook of native/loop.c the count of descriptors grows.
 */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { MIB } from '../../src/base/index.ts'
import { UringKernel } from '../../src/kernel/index.ts'
import { ExecutorPool } from '../../src/runtime/index.ts'
import { PoolPlacement } from '../../src/topology/index.ts'
import { limited } from '../limits.ts'

const BATCH = 8
const THREAD_COUNT = Number(process.env.PERCORE_TEST_THREADS ?? 32)
/** What V8 and the allocator of the C library may keep beside what the first batches have left. */
const GROWTH_BYTES_MAX = 64 * MIB
const kernel = new UringKernel()

async function runBatch(): Promise<void> {
  const pool = await ExecutorPool.start({
    module: new URL('./shard-programs.js', import.meta.url),
    argument: { do: 'describe' },
    placement: PoolPlacement.unbound(BATCH),
    executor: { ioMemoryBytes: 1 << 20 },
  })
  await pool.results()
}

function descriptorCount(): number {
  return readdirSync('/proc/self/fd').length
}

test(
  'pools leave no thread, no descriptor and no memory behind',
  limited(120_000 + THREAD_COUNT * 1_000),
  async () => {
    for (let index = 0; index < 2; index++) await runBatch()
    const before = {
      threads: kernel.threadIds().length,
      descriptors: descriptorCount(),
      leftBytes: kernel.leftBytes(),
    }
    const beforeBytes = process.memoryUsage.rss()

    for (let count = 0; count < THREAD_COUNT; count += BATCH) await runBatch()

    const after = {
      threads: kernel.threadIds().length,
      descriptors: descriptorCount(),
      leftBytes: kernel.leftBytes(),
    }
    assert.deepEqual(after, before)
    const growthBytes = process.memoryUsage.rss() - beforeBytes
    assert.ok(growthBytes < GROWTH_BYTES_MAX, `grew by ${growthBytes} bytes`)
  },
)
