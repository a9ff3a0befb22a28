import { assert } from '../../base/index.ts'
import { IORING_OP_OPENAT, IOSQE_ASYNC } from '../../kernel/index.ts'
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
  /** Whether it may wait for somebody, as for the other end of a pipe: it then gets a kernel thread. */
  readonly mayWait: boolean
}

/**
 * Opens a file, like `openat(2)`. Linux 5.6.
 *
 * CQE result: the descriptor, or `-errno`.
 *
 * @see io_uring_prep_openat(3)
 */
export function encodeOpen(sqe: SqeWords, base: number, args: OpenArgs): void {
  const { directoryFd, pathAddress, openFlags, mode, mayWait } = args
  assert(pathAddress > 0, 'a name that is opened is in memory')
  // Tried on this thread first, the kernel would add O_NONBLOCK, and a pipe open without its other end.
  const opcode = mayWait ? IORING_OP_OPENAT | (IOSQE_ASYNC << 8) : IORING_OP_OPENAT
  encodeEntry(sqe, base, opcode, directoryFd, 0, pathAddress, mode, openFlags)
}
