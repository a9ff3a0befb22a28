import { assert } from '../../base/index.ts'
import { IORING_OP_POLL_ADD, IORING_POLL_ADD_MULTI } from '../../kernel/index.ts'
import { encodeEntry, opcodeFor, type SqeWords, type Target } from '../sqe.ts'

/** Arguments of {@link encodePoll}. */
export interface PollArgs {
  readonly target: Target
  /** `POLLIN | …` */
  readonly events: number
  /** Whether it reports again and again until cancelled. Linux 5.13. */
  readonly multishot: boolean
}

/**
 * Waits for readiness, like `poll(2)`. Linux 5.1.
 *
 * CQE result: the events that are ready.
 *
 * @see io_uring_prep_poll_add(3)
 */
export function encodePoll(sqe: SqeWords, base: number, args: PollArgs): void {
  const { target, events, multishot } = args
  assert(events !== 0, 'a poll waits for something')
  const length = multishot ? IORING_POLL_ADD_MULTI : 0
  encodeEntry(sqe, base, opcodeFor(IORING_OP_POLL_ADD, target), target.fd, 0, 0, length, events)
}
