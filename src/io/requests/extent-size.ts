import { validateInteger } from '../../base/index.ts'
import type { WaitOptions } from '../../executor/index.ts'
import { type AsideCall, callAside } from './aside.ts'
import type { Descriptor } from './descriptor.ts'

const SIZE_BYTES_MAX: number = 2 ** 32 - 1

/** Tells XFS in multiples of what to take up space. */
export async function hintExtentSize(
  descriptor: Descriptor,
  sizeBytes: number,
  options: WaitOptions | undefined,
): Promise<void> {
  const action = 'hint at the size of extents'
  validateInteger(action, 'sizeBytes', sizeBytes, { min: 0, max: SIZE_BYTES_MAX })
  const refusal = descriptor.refusal(action)
  if (refusal !== null) return refusal
  const { aside } = descriptor.executor.kernel
  const call: AsideCall = {
    action,
    syscall: 'ioctl',
    begin: (fd, done) => aside.hintExtent(fd, sizeBytes, done),
  }
  await callAside(descriptor, call, options)
}
