/** What tests need of the kernel: they are passed over, with the reason, where it lacks that. */
import { release } from 'node:os'
import { type Kernel, UringKernel } from '../src/kernel/index.ts'

/** Which of these operations, `BIND` say, a kernel at hand lacks, as `contract()` asks: null where it has them all. */
export function lacksOperations(...opcodes: string[]): (kernel: Kernel) => string | null {
  return (kernel) => {
    const { opcodes: present } = kernel.capabilities()
    const missing = opcodes.filter((name) => !present.includes(name))
    return missing.length === 0 ? null : `${describe(kernel)} has no ${missing.join(', ')}`
  }
}

/** The options of a test of what only a file table that lets files go at once has: registered files. */
export function needsRegisteredFiles(): { skip: string | false } {
  const kernel = new UringKernel()
  return { skip: lacksRegisteredFiles(kernel) ?? false }
}

/** The same, as `contract()` asks. */
export function lacksRegisteredFiles(kernel: Kernel): string | null {
  return kernel.capabilities().letsFilesGo
    ? null
    : `${describe(kernel)} keeps registered files open`
}

/** How a reason names a kernel. */
export function describe(kernel: Kernel): string {
  return kernel.name === 'uring' ? `Linux ${release()}` : 'the simulated kernel'
}
