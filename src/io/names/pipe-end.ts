import { KernelError } from '../../base/index.ts'
import type { Deadline } from '../../executor/index.ts'
import { O_CLOEXEC, O_RDONLY, POLLIN } from '../../kernel/index.ts'
import { encodePoll, type Ring } from '../../ring/index.ts'
import { Descriptor } from '../requests/descriptor.ts'
import { FileOperation } from '../requests/file-operation.ts'
import { withWorker } from '../requests/open-workers.ts'
import { Name } from './name.ts'
import { Open } from './name-operations.ts'

/**
 * Waits until somebody has opened the writing end of a pipe whose reading end is open.
 *
 * The ring opens a pipe for reading without its writer, where open(2) waits. Nothing reports a writer's
 * coming but another open of the reading end: that one does wait. Should the writer come and go before, then there
 * is something to read, or the end of it, which polling reports.
 */
export async function waitForWriter(descriptor: Descriptor, steps: Deadline): Promise<void> {
  const { executor } = descriptor
  const poll = new Readable(descriptor)
  const request = { flags: O_RDONLY | O_CLOEXEC, mode: 0, mayWait: true, keepsLate: false }
  const open = new Open(executor, Name.absolute(`/proc/self/fd/${descriptor.fd}`), request)
  const polled = poll.start(steps.next(), open.action)
  const opened = withWorker(executor, true, () => open.start(steps.next())).then(
    (fd) => new Descriptor(executor, fd, descriptor.path).close(),
    (error) => {
      // Without /proc, or a descriptor to spare, it is as the ring has it.
      if (!(error instanceof KernelError)) throw error
    },
  )
  try {
    await Promise.race([polled, opened])
  } finally {
    const reason = new Error('The writer has come')
    poll.cancel(reason)
    open.cancel(reason)
    await Promise.allSettled([polled, opened])
  }
}

/** `poll(2)` for something to read. */
export class Readable extends FileOperation<void> {
  get action(): string {
    return 'open a file'
  }

  get syscall(): string {
    return 'poll'
  }

  protected override encode(ring: Ring, base: number): void {
    const target = this.descriptor.targetOn(ring)
    encodePoll(ring.sqes, base, { target, events: POLLIN, multishot: false })
  }

  protected override interpret(): void {}
}
