import type { SqeWords } from '../sqe.ts'

/**
 * Does nothing, by way of the kernel. Linux 5.1.
 *
 * Writes only the words that the kernel reads of a no-op; the rest may be an old request's.
 *
 * CQE result: 0.
 *
 * @see io_uring_prep_nop(3)
 */
export function encodeNop(sqe: SqeWords, base: number): void {
  sqe[base] = 0 // IORING_OP_NOP, no flags
  sqe[base + 1] = -1 // no descriptor
  sqe[base + 6] = 0 // no result to inject
  sqe[base + 7] = 0 // no flags
  sqe[base + 10] = 0 // no buffer, no personality
}
