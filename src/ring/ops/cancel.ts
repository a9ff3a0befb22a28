import { assert } from '../../base/index.ts'
import {
  IORING_ASYNC_CANCEL_ALL,
  IORING_ASYNC_CANCEL_FD,
  IORING_OP_ASYNC_CANCEL,
} from '../../kernel/index.ts'
import { encodeEntry, type OperationName, SQE_ADDRESS, type SqeWords } from '../sqe.ts'

/**
 * Tries to cancel one operation of the same ring. Linux 5.5.
 *
 * CQE result: 0 cancelled, -ENOENT it had ended, -EALREADY it runs and will end by itself. Whichever it
 * is, the operation's own terminal completion is still to be awaited.
 *
 * @see io_uring_prep_cancel64(3)
 */
export function encodeCancel(sqe: SqeWords, base: number, name: OperationName): void {
  assert(name.slot >= 0, 'what is cancelled by name has a slot')
  assert(name.generation >= 0, 'what is cancelled by name was in flight')
  encodeEntry(sqe, base, IORING_OP_ASYNC_CANCEL, -1, 0, 0, 0, 0)
  sqe[base + SQE_ADDRESS] = name.slot
  sqe[base + SQE_ADDRESS + 1] = name.generation
}

/**
 * Tries to cancel every operation of this ring on a descriptor. Linux 5.19.
 *
 * CQE result: how many were found.
 *
 * @see io_uring_prep_cancel_fd(3)
 */
export function encodeCancelFd(sqe: SqeWords, base: number, fd: number): void {
  assert(fd >= 0, 'what is cancelled by descriptor is on an open one')
  const flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL
  encodeEntry(sqe, base, IORING_OP_ASYNC_CANCEL, fd, 0, 0, 0, flags)
}
