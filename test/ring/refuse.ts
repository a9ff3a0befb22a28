import type { TestContext } from 'node:test'
import { ENOMEM, kernelError } from '../../src/kernel/index.ts'
import type { Ring } from '../../src/ring/index.ts'

/**
 * Makes `ring` refuse the entry that is begun after `count` others.
 *
 * What it returns ends that, and says whether it came to it.
 */
export function refuseEntry(t: TestContext, ring: Ring, count: number): () => boolean {
  const begin = ring.begin.bind(ring)
  let left = count
  const mock = t.mock.method(ring, 'begin', () => {
    if (left-- === 0) throw kernelError(-ENOMEM, { syscall: 'io_uring_enter' })
    return begin()
  })
  return () => {
    mock.mock.restore()
    return left < 0
  }
}
