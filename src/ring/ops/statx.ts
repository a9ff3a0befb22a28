import { assert } from '../../base/index.ts'
import { IORING_OP_STATX } from '../../kernel/index.ts'
import { encodeEntry, type SqeWords } from '../sqe.ts'

/** Arguments of {@link encodeStatx}. */
export interface StatxArgs {
  /** What a relative path starts from, or the file itself if the path is empty. */
  readonly directoryFd: number
  /** Address of the path, ended by NUL; it must stay until the operation ends. */
  readonly pathAddress: number
  /** `AT_EMPTY_PATH | …` */
  readonly flags: number
  /** `STATX_…`: what is asked for. */
  readonly mask: number
  /** Address of {@link STATX_BYTES} bytes for the answer. */
  readonly resultAddress: number
}

/**
 * Asks about a file, like `statx(2)`. Linux 5.6.
 *
 * CQE result: 0 or `-errno`.
 *
 * @see io_uring_prep_statx(3)
 */
export function encodeStatx(sqe: SqeWords, base: number, args: StatxArgs): void {
  const { directoryFd, pathAddress, flags, mask, resultAddress } = args
  assert(pathAddress > 0, 'a name that is asked about is in memory')
  assert(resultAddress > 0, 'there is memory for the answer')
  encodeEntry(sqe, base, IORING_OP_STATX, directoryFd, resultAddress, pathAddress, mask, flags)
}
