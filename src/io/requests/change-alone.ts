import { Deadline, type WaitOptions } from '../../executor/index.ts'
import type { RangeHold, RangeLock } from '../ranges/range-lock.ts'
import type { Descriptor } from './descriptor.ts'

/** A file, and the lock of its ranges. */
export interface LockedFile {
  readonly descriptor: Descriptor
  readonly ranges: RangeLock
}

/** Runs an operation once it has its range, which others of this executor do not change meanwhile. */
export async function changeAlone<T>(
  { descriptor, ranges }: LockedFile,
  range: RangeHold,
  action: string,
  options: WaitOptions | undefined,
  run: (options: WaitOptions | undefined) => Promise<T>,
): Promise<T> {
  const steps = new Deadline(descriptor.executor, action, options)
  descriptor.enter()
  try {
    const hold = await ranges.acquire(range, action, steps.next())
    try {
      return await run(steps.next())
    } finally {
      ranges.release(hold)
    }
  } finally {
    descriptor.leave()
  }
}
