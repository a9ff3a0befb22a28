import { assert } from '../../base/index.ts'
import { IORING_OP_CLOSE } from '../../kernel/index.ts'
import { encodeEntry, SQE_FILE_INDEX, type SqeWords, type Target } from '../sqe.ts'

/**
 * Closes a descriptor, or empties a slot of the registered files (Linux 5.15). Linux 5.6.
 *
 * CQE result: 0 or `-errno`; the descriptor is gone in either case. It cancels nothing: end what is
 * in flight first.
 *
 * @see io_uring_prep_close(3)
 */
export function encodeClose(sqe: SqeWords, base: number, target: Target): void {
  assert(target.fd >= 0, 'what is closed is open')
  encodeEntry(sqe, base, IORING_OP_CLOSE, target.registered ? 0 : target.fd, 0, 0, 0, 0)
  // ABI: 0 stands for "a descriptor", hence slots from 1.
  if (target.registered) sqe[base + SQE_FILE_INDEX] = target.fd + 1
}
