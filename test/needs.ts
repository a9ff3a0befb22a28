/** What tests need of the kernel: they are passed over, with the reason, where it lacks that. */
import { release } from 'node:os'
import { type Capabilities, type Kernel, probeKernel, UringKernel } from '../src/kernel/index.ts'

const known = new WeakMap<Kernel, Capabilities>()

/** Which of these operations, `BIND` say, a kernel at hand lacks, as `contract()` asks: null where it has them all. */
export function lacksOperations(...opcodes: string[]): (kernel: Kernel) => string | null {
  return (kernel) => {
    const { opcodes: present } = capabilitiesOf(kernel)
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
  return capabilitiesOf(kernel).letsFilesGo
    ? null
    : `${describe(kernel)} keeps registered files open`
}

/** How a reason names a kernel. */
export function describe(kernel: Kernel): string {
  return kernel.name === 'uring' ? `Linux ${release()}` : 'the simulated kernel'
}

function capabilitiesOf(kernel: Kernel): Capabilities {
  const capabilities = known.get(kernel) ?? probeKernel(kernel)
  known.set(kernel, capabilities)
  return capabilities
}
