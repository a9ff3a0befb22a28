import { IORING_FSYNC_DATASYNC, IORING_OP_FSYNC } from '../../kernel/index.ts'
import { encodeEntry, opcodeFor, type SqeWords, type Target } from '../sqe.ts'

/** Arguments of {@link encodeFsync}. */
export interface FsyncArgs {
  readonly file: Target
  /** Whether only data, and what is needed to find it again, must be safe: `fdatasync(2)`. */
  readonly dataOnly: boolean
}

/**
 * Makes what was written survive a loss of power, like `fsync(2)`. Linux 5.1.
 *
 * CQE result: 0 or `-errno`. Entries submitted before it that have not completed are not covered.
 *
 * @see io_uring_prep_fsync(3)
 */
export function encodeFsync(sqe: SqeWords, base: number, args: FsyncArgs): void {
  const flags = args.dataOnly ? IORING_FSYNC_DATASYNC : 0
  encodeEntry(sqe, base, opcodeFor(IORING_OP_FSYNC, args.file), args.file.fd, 0, 0, 0, flags)
}
