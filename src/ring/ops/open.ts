import { IORING_OP_OPENAT } from '../../kernel/index.ts'
import { encodeEntry, type SqeWords } from '../sqe.ts'

/** Arguments of {@link encodeOpen}. */
export interface OpenArgs {
  /** What a relative path starts from; `AT_FDCWD` for the working directory. */
  readonly directoryFd: number
  /** Address of the path, ended by NUL; it must stay until the operation ends. */
  readonly pathAddress: number
  /** `O_RDONLY | …` */
  readonly openFlags: number
  /** Permissions of a file that is created, before the process's mask. */
  readonly mode: number
}

/**
 * Opens a file, like `openat(2)`. Linux 5.6.
 *
 * CQE result: the descriptor, or `-errno`.
 *
 * @see io_uring_prep_openat(3)
 */
export function encodeOpen(sqe: SqeWords, base: number, args: OpenArgs): void {
  const { directoryFd, pathAddress, openFlags, mode } = args
  encodeEntry(sqe, base, IORING_OP_OPENAT, directoryFd, 0, pathAddress, mode, openFlags)
}
