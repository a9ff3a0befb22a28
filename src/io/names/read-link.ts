import type { Deadline, Executor } from '../../executor/index.ts'
import { EINVAL, ENOENT, kernelError, O_CLOEXEC, O_NOFOLLOW, O_PATH } from '../../kernel/index.ts'
import { type AsideCall, callAside } from '../requests/aside.ts'
import { Descriptor } from '../requests/descriptor.ts'
import type { Name } from './name.ts'
import { Open } from './name-operations.ts'

/** PATH_MAX: no link is longer. */
const LINK_BYTES_MAX = 4096
const ACTION = 'read a symbolic link'

/** Where a symbolic link leads, as it says: there is no opcode for it. */
export async function readLink(executor: Executor, name: Name, steps: Deadline): Promise<string> {
  const request = {
    flags: O_PATH | O_NOFOLLOW | O_CLOEXEC,
    mode: 0,
    mayWait: false,
    keepsLate: false,
  }
  const fd = await new Open(executor, name, request, ACTION).start(steps.next())
  const descriptor = new Descriptor(executor, fd, name.fullPath)
  try {
    const target = Buffer.alloc(LINK_BYTES_MAX)
    const { aside } = executor.kernel
    const call: AsideCall = {
      action: ACTION,
      syscall: 'readlink',
      begin: (fd, done) => aside.readLink(fd, target, done),
    }
    const lengthBytes = await callAside(descriptor, call, steps.next())
    return target.toString('utf8', 0, lengthBytes)
  } catch (error) {
    // By a descriptor the kernel says ENOENT of what is no link.
    const { errno } = error as { errno?: number }
    if (errno !== -ENOENT) throw error
    throw kernelError(-EINVAL, { syscall: 'readlink', path: name.fullPath })
  } finally {
    await descriptor.close()
  }
}
