import { test } from 'node:test'
import { type Kernel, type KernelName, UringKernel } from '../kernel/index.ts'
import { SimKernel } from '../sim/index.ts'

const DRIVERS: Readonly<Record<KernelName, () => Kernel>> = {
  sim: () => new SimKernel({ seed: 1 }),
  uring: () => new UringKernel(),
}

/**
 * Declares a test of what every kernel driver must do, and runs it on each: `name [sim]`, `name [uring]`.
 *
 * A driver that this machine does not have is skipped.
 */
export function contract(name: string, body: (kernel: Kernel) => void | Promise<void>): void {
  for (const driver of ['sim', 'uring'] as const) {
    test(`${name} [${driver}]`, async (t) => {
      let kernel: Kernel
      try {
        kernel = DRIVERS[driver]()
      } catch (error) {
        t.skip(String(error))
        return
      }
      const ring = kernel.setupRing({ entryCount: 8, completionCount: 16, flags: 0 })
      if (typeof ring === 'number') {
        t.skip(`io_uring_setup answers ${ring}`)
        return
      }
      kernel.closeRing(ring)
      await body(kernel)
    })
  }
}
