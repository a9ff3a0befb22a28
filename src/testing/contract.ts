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
 * A driver that this machine does not have is skipped, and so is a kernel that `lack` has a reason against.
 */
export function contract(
  name: string,
  body: (kernel: Kernel) => void | Promise<void>,
  lack: (kernel: Kernel) => string | null = () => null,
): void {
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
      const reason = lack(kernel)
      if (reason !== null) {
        t.skip(reason)
        return
      }
      await body(kernel)
    })
  }
}
