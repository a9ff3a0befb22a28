import { assert } from '../../base/index.ts'
import { IORING_OP_SPLICE, SPLICE_F_FD_IN_FIXED } from '../../kernel/index.ts'
import {
  encodeEntry,
  opcodeFor,
  SQE_ADDRESS,
  SQE_FILE_INDEX,
  type SqeWords,
  type Target,
} from '../sqe.ts'

/** Arguments of {@link encodeSplice}: one of the two ends is a pipe. */
export interface SpliceArgs {
  readonly from: Target
  /** Position to read at, or -1 for a pipe. */
  readonly fromOffsetBytes: number
  readonly to: Target
  /** Position to write at, or -1 for a pipe. */
  readonly toOffsetBytes: number
  readonly lengthBytes: number
  /** `SPLICE_F_…` */
  readonly flags: number
}

/**
 * Moves bytes between a pipe and a file without a copy, like `splice(2)`. Linux 5.7.
 *
 * CQE result: bytes moved, 0 at the end, or `-errno`. Moving fewer is not an error.
 *
 * @see io_uring_prep_splice(3)
 */
export function encodeSplice(sqe: SqeWords, base: number, args: SpliceArgs): void {
  const { from, fromOffsetBytes, to, toOffsetBytes, lengthBytes } = args
  assert(
    fromOffsetBytes >= -1 && toOffsetBytes >= -1,
    'a position is in the file, or -1 for a pipe',
  )
  assert(lengthBytes <= 0xffffffff, 'a length fits its word')
  const flags = from.registered ? args.flags | SPLICE_F_FD_IN_FIXED : args.flags
  const opcode = opcodeFor(IORING_OP_SPLICE, to)
  encodeEntry(sqe, base, opcode, to.fd, toOffsetBytes, 0, lengthBytes, flags)
  sqe[base + SQE_ADDRESS] = fromOffsetBytes
  // The high word of -1 is all ones.
  sqe[base + SQE_ADDRESS + 1] = Math.floor(fromOffsetBytes / 2 ** 32)
  sqe[base + SQE_FILE_INDEX] = from.fd
}
