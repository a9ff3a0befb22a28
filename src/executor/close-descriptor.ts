import { NO_QUEUE } from '../base/index.ts'
import { encodeClose, Operation, type Ring, type Target } from '../ring/index.ts'
import type { Executor } from './executor.ts'
import type { ClosingWaiter } from './wait-list.ts'

/** Closes a descriptor by way of the ring; `closed` is granted when it is gone. */
export function submitClose(
  { executor, ring }: { readonly executor: Executor; readonly ring: Ring },
  target: Target,
  closed: ClosingWaiter,
): void {
  const { descriptors } = executor
  const base = ring.isClosed ? -1 : ring.tryBegin()
  if (base < 0) {
    // The ring takes no more, and nobody comes back to close it later: by a call, which may block.
    descriptors.closeFd(target.fd)
    closed.fulfil()
    return
  }
  encodeClose(ring.sqes, base, target)
  ring.commitClosing(new CloseOperation(closed))
  // Not before, lest nobody knew of it; nor upon completion: then the number may be another file's.
  descriptors.trackFd(target.fd, false)
}

/** Its result is of no use: the descriptor is gone in any case. */
class CloseOperation extends Operation {
  readonly #closed: ClosingWaiter

  constructor(closed: ClosingWaiter) {
    super(NO_QUEUE)
    this.#closed = closed
  }

  override complete(): void {
    this.#closed.fulfil()
  }

  override run(): void {}
}
