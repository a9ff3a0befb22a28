import type { Kernel } from './kernel.ts'
import { UringKernel } from './uring-kernel.ts'

let find: () => Kernel | null = () => null
let own: UringKernel | null = null

/** Has {@link currentKernel} ask for the kernel of the ambient executor, which is known above. */
export function provideKernel(findKernel: () => Kernel | null): void {
  find = findKernel
}

/**
 * The kernel of the running code: that of its executor if it has one, else the real one. Attaches nothing.
 *
 * @throws {RuntimeError} `ERR_ADDON_MISSING`
 */
export function currentKernel(): Kernel {
  const found = find()
  if (found !== null) return found
  own ??= new UringKernel()
  return own
}
