import {
  IORING_FSYNC_DATASYNC,
  IORING_OP_FSYNC,
  IORING_OP_SYNC_FILE_RANGE,
} from '../../kernel/index.ts'
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

/** Arguments of {@link encodeSyncFileRange}. */
export interface SyncFileRangeArgs {
  readonly file: Target
  readonly offsetBytes: number
  /** At most 2^32 - 1; 0 is up to the end of the file. */
  readonly lengthBytes: number
  /** `SYNC_FILE_RANGE_…` */
  readonly flags: number
}

/**
 * Starts, or waits for, the writing of cached pages, like `sync_file_range(2)`. Linux 5.2.
 *
 * CQE result: 0 or `-errno`. It makes nothing survive a loss of power by itself.
 *
 * @see io_uring_prep_sync_file_range(3)
 */
export function encodeSyncFileRange(sqe: SqeWords, base: number, args: SyncFileRangeArgs): void {
  const { file, offsetBytes, lengthBytes, flags } = args
  const opcode = opcodeFor(IORING_OP_SYNC_FILE_RANGE, file)
  encodeEntry(sqe, base, opcode, file.fd, offsetBytes, 0, lengthBytes, flags)
}
