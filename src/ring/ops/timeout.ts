import { assert } from '../../base/index.ts'
import { IORING_OP_TIMEOUT, IORING_TIMEOUT_ABS } from '../../kernel/index.ts'
import { encodeEntry, type SqeWords } from '../sqe.ts'

/** Arguments of {@link encodeTimeout}. */
export interface TimeoutArgs {
  /** Address of a `struct __kernel_timespec`; it must stay until the entry is submitted. */
  readonly timespecAddress: number
  /** Whether it is a moment of the monotonic clock rather than a duration. */
  readonly absolute: boolean
}

/** Writes a `struct __kernel_timespec` of 16 bytes as four words. */
export function writeTimespec(words: Uint32Array, index: number, ns: number): void {
  assert(ns >= 0, 'a time is not before its beginning')
  const seconds = Math.floor(ns / 1e9)
  words[index] = seconds
  words[index + 1] = seconds / 2 ** 32
  words[index + 2] = ns - seconds * 1e9
  words[index + 3] = 0
}

/**
 * Expires after, or at, a time. Linux 5.4.
 *
 * CQE result: -ETIME when it expired, -ECANCELED when it was removed.
 *
 * @see io_uring_prep_timeout(3)
 */
export function encodeTimeout(sqe: SqeWords, base: number, args: TimeoutArgs): void {
  assert(args.timespecAddress > 0, 'a time is in memory')
  const flags = args.absolute ? IORING_TIMEOUT_ABS : 0
  encodeEntry(sqe, base, IORING_OP_TIMEOUT, -1, 0, args.timespecAddress, 1, flags)
}
