import { assert } from '../../base/index.ts'
import { IORING_OP_SHUTDOWN } from '../../kernel/index.ts'
import { encodeEntry, opcodeFor, type SqeWords, type Target } from '../sqe.ts'

/** Arguments of {@link encodeShutdown}. */
export interface ShutdownArgs {
  readonly target: Target
  /** `SHUT_RD`, `SHUT_WR` or `SHUT_RDWR` */
  readonly how: number
}

/**
 * Ends one direction of a connection or both, like `shutdown(2)`. Linux 5.11.
 *
 * The kernel hands it to a worker thread, always. CQE result: 0, or `-errno`.
 *
 * @see io_uring_prep_shutdown(3)
 */
export function encodeShutdown(sqe: SqeWords, base: number, args: ShutdownArgs): void {
  const { target, how } = args
  assert(how >= 0 && how <= 2, 'a connection is shut down one way, the other, or both') // SHUT_RDWR
  encodeEntry(sqe, base, opcodeFor(IORING_OP_SHUTDOWN, target), target.fd, 0, 0, how, 0)
}
