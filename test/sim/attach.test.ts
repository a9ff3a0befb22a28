import assert from 'node:assert/strict'
import { test } from 'node:test'
import { attachExecutor } from '../../src/index.ts'
import { Semaphore } from '../../src/sync/index.ts'
import { SimKernel } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'

test('attachExecutor() runs on a simulated kernel, beside the host loop', async () => {
  const attached = attachExecutor({ kernel: new SimKernel(), ioMemoryBytes: 65_536 })
  try {
    await sleep(3_600_000)
    await new Promise((resolve) => setTimeout(resolve, 20))
    await sleep(3_600_000)

    assert.equal(attached.stats().driver, 'sim')
    assert.ok(attached.stats().parkedNs >= 7_199_000 * 1e6)
  } finally {
    await attached.close()
  }
})

test('a wait on a simulated kernel is ended by a timer of the host', async () => {
  const attached = attachExecutor({ kernel: new SimKernel(), ioMemoryBytes: 65_536 })
  const controller = new AbortController()
  try {
    setTimeout(() => controller.abort(), 20)
    const waiting = new Semaphore(0).acquire(1, { signal: controller.signal })

    await assert.rejects(waiting, { name: 'AbortError' })
  } finally {
    await attached.close()
  }
})
