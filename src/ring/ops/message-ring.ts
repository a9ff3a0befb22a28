import { assert } from '../../base/index.ts'
import { IORING_MSG_DATA, IORING_OP_MSG_RING } from '../../kernel/index.ts'
import { encodeEntry, SQE_OFFSET, type SqeWords } from '../sqe.ts'

/** Arguments of {@link encodeMessageRing}. */
export interface MessageRingArgs {
  /** The descriptor of the other ring. */
  readonly ringFd: number
  /** The result of the completion that appears there. */
  readonly result: number
  /** Its user data, as two halves. */
  readonly userDataLow: number
  readonly userDataHigh: number
}

/**
 * Makes a completion appear in another ring, which wakes the thread that waits on it. Linux 5.18.
 *
 * CQE result: 0; -EOVERFLOW when the other's queue is full; -EBADFD when it is not enabled.
 *
 * @see io_uring_prep_msg_ring(3)
 */
export function encodeMessageRing(sqe: SqeWords, base: number, args: MessageRingArgs): void {
  const { ringFd, result, userDataLow, userDataHigh } = args
  assert(ringFd >= 0, 'a message goes to a ring that is there')
  assert(result >= 0, 'a message is no error')
  encodeEntry(sqe, base, IORING_OP_MSG_RING, ringFd, 0, IORING_MSG_DATA, result, 0)
  sqe[base + SQE_OFFSET] = userDataLow
  sqe[base + SQE_OFFSET + 1] = userDataHigh
}
