import { IORING_OP_FILES_UPDATE } from '../../kernel/index.ts'
import { encodeEntry, type SqeWords } from '../sqe.ts'

/** Arguments of {@link encodeFilesUpdate}. */
export interface FilesUpdateArgs {
  /** Address of descriptors, 32 bits each; -1 empties a slot. */
  readonly fdsAddress: number
  readonly count: number
  /** The first slot. */
  readonly index: number
}

/**
 * Changes slots of the ring's registered files. Linux 5.6.
 *
 * CQE result: how many were changed, or `-errno`.
 *
 * @see io_uring_prep_files_update(3)
 */
export function encodeFilesUpdate(sqe: SqeWords, base: number, args: FilesUpdateArgs): void {
  const { fdsAddress, count, index } = args
  encodeEntry(sqe, base, IORING_OP_FILES_UPDATE, -1, index, fdsAddress, count, 0)
}
