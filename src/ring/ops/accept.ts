import { IORING_ACCEPT_MULTISHOT, IORING_OP_ACCEPT, SOCK_CLOEXEC } from '../../kernel/index.ts'
import { encodeEntry, opcodeFor, type SqeWords, type Target } from '../sqe.ts'

/** Arguments of {@link encodeAccept}. */
export interface AcceptArgs {
  readonly target: Target
  /** Whether it goes on accepting until cancelled, or ended by the kernel. Linux 5.19. */
  readonly multishot: boolean
}

/**
 * Accepts a connection, like `accept4(2)` with SOCK_CLOEXEC. Linux 5.5.
 *
 * CQE result: the descriptor, or `-errno`. A multishot one has ended when a completion lacks
 * IORING_CQE_F_MORE, be its result an error or a descriptor.
 *
 * @see io_uring_prep_accept(3), io_uring_prep_multishot_accept(3)
 */
export function encodeAccept(sqe: SqeWords, base: number, args: AcceptArgs): void {
  const { target, multishot } = args
  const flags = multishot ? IORING_ACCEPT_MULTISHOT << 16 : 0
  const opcode = opcodeFor(IORING_OP_ACCEPT, target) | flags
  encodeEntry(sqe, base, opcode, target.fd, 0, 0, 0, SOCK_CLOEXEC)
}
