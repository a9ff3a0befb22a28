import { checkCancellation, ShieldedWaiter, type WaitOptions } from '../../executor/index.ts'
import { type CallDone, EINTR, kernelError } from '../../kernel/index.ts'
import type { Descriptor } from './descriptor.ts'

/** A system call in another thread: what it is, and how it is begun. */
export interface AsideCall {
  /** What the user calls it, for errors of ours. */
  readonly action: string
  /** What the kernel calls it, for its errors. */
  readonly syscall: string
  readonly begin: (fd: number, done: CallDone) => number
}

/**
 * Runs a call in another thread, and resolves with its result: for what no ring has. Once it has begun
 * nothing cancels it; {@link options} may do so before.
 *
 * @throws {KernelError} as the call.
 */
export async function callAside(
  descriptor: Descriptor,
  call: AsideCall,
  options: WaitOptions | undefined,
): Promise<number> {
  checkCancellation(descriptor.executor, options, call.action)
  return await callShielded(descriptor, call)
}

/** The same, but nothing keeps it from beginning: for what puts things right again. */
export async function callShielded(descriptor: Descriptor, call: AsideCall): Promise<number> {
  const { executor, path } = descriptor
  const { syscall, begin } = call
  descriptor.enter()
  executor.liveness.hold()
  try {
    for (;;) {
      const waiter = new ShieldedWaiter<number>(executor)
      const { fd } = descriptor
      const refusal = begin(fd, (result) => waiter.fulfil(result))
      if (refusal < 0) waiter.fulfil(refusal)
      const result = await waiter.promise
      if (result >= 0) return result
      // A thread of the pool takes no signals, but those of a profiler.
      if (result !== -EINTR) throw kernelError(result, { syscall, path, fd })
    }
  } finally {
    executor.liveness.letGo()
    descriptor.leave()
  }
}
