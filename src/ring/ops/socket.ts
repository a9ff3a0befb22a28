import { IORING_OP_SOCKET } from '../../kernel/index.ts'
import { encodeEntry, type SqeWords } from '../sqe.ts'

/** Arguments of {@link encodeSocket}. */
export interface SocketArgs {
  /** `AF_…` */
  readonly domain: number
  /** `SOCK_STREAM | SOCK_CLOEXEC …` */
  readonly type: number
  readonly protocol: number
}

/**
 * Opens a socket, like `socket(2)`. Linux 5.19.
 *
 * CQE result: the descriptor, or `-errno`.
 *
 * @see io_uring_prep_socket(3)
 */
export function encodeSocket(sqe: SqeWords, base: number, args: SocketArgs): void {
  const { domain, type, protocol } = args
  encodeEntry(sqe, base, IORING_OP_SOCKET, domain, type, 0, protocol, 0)
}
