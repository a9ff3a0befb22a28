import type { TestContext } from 'node:test'
import { ENOMEM, kernelError } from '../../src/kernel/index.ts'
import type { Ring } from '../../src/ring/index.ts'

/**
 * Makes `ring` refuse the entry that is begun after `count` others.
 *
 * What it returns ends that, and says whether it came to it.
 */
export function refuseEntry(t: TestContext, ring: Ring, count: number): () => boolean {
  return refuseEntries(t, ring, count, 1)
}

/** The same of several in a row. */
export function refuseEntries(
  t: TestContext,
  ring: Ring,
  count: number,
  refusedCount: number,
): () => boolean {
  const begin = ring.begin.bind(ring)
  let left = count
  const mock = t.mock.method(ring, 'begin', () => {
    const isRefused = left <= 0 && left > -refusedCount
    left--
    if (isRefused) throw kernelError(-ENOMEM, { syscall: 'io_uring_enter' })
    return begin()
  })
  return () => {
    mock.mock.restore()
    return left < 0
  }
}
