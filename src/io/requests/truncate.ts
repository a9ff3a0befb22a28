import { ShieldedWaiter } from '../../executor/index.ts'
import { kernelError } from '../../kernel/index.ts'
import type { Descriptor } from './descriptor.ts'
import { Truncate } from './file-operations.ts'

/**
 * `ftruncate(2)`: by the ring, or where that has no such operation (before Linux 6.9) in another
 * thread; there nothing cancels it.
 *
 * @param start How the operation of the ring is begun.
 */
export async function truncate(
  descriptor: Descriptor,
  sizeBytes: number,
  start: (operation: Truncate) => Promise<void>,
): Promise<void> {
  const { opcodes } = descriptor.executor.io.capabilities
  if (opcodes.includes('FTRUNCATE')) await start(new Truncate(descriptor, sizeBytes))
  else await truncateAside(descriptor, sizeBytes)
}

async function truncateAside(descriptor: Descriptor, sizeBytes: number): Promise<void> {
  const { executor, path, fd } = descriptor
  const waiter = new ShieldedWaiter<number>(executor)
  descriptor.enter()
  try {
    executor.kernel.truncateFd(fd, sizeBytes, (result) => waiter.fulfil(result))
    const result = await waiter.promise
    if (result < 0) throw kernelError(result, { syscall: 'ftruncate', path, fd })
  } finally {
    descriptor.leave()
  }
}
