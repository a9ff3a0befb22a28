import { IORING_OP_BIND, IORING_OP_LISTEN, IORING_OP_SOCKET } from '../../kernel/index.ts'
import { encodeEntry, opcodeFor, type SqeWords, type Target } from '../sqe.ts'

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

/** Arguments of {@link encodeBind}. */
export interface BindArgs {
  readonly target: Target
  /** Where the raw `sockaddr` is; it must stay until the entry is submitted. */
  readonly address: number
  readonly addressBytes: number
}

/**
 * Gives a socket its local address, like `bind(2)`. Linux 6.11.
 *
 * CQE result: 0, or `-errno`.
 *
 * @see io_uring_prep_bind(3)
 */
export function encodeBind(sqe: SqeWords, base: number, args: BindArgs): void {
  const { target, address, addressBytes } = args
  const opcode = opcodeFor(IORING_OP_BIND, target)
  encodeEntry(sqe, base, opcode, target.fd, addressBytes, address, 0, 0)
}

/** Arguments of {@link encodeListen}. */
export interface ListenArgs {
  readonly target: Target
  readonly backlog: number
}

/**
 * Makes a socket accept connections, like `listen(2)`. Linux 6.11.
 *
 * CQE result: 0, or `-errno`.
 *
 * @see io_uring_prep_listen(3)
 */
export function encodeListen(sqe: SqeWords, base: number, args: ListenArgs): void {
  const { target, backlog } = args
  encodeEntry(sqe, base, opcodeFor(IORING_OP_LISTEN, target), target.fd, 0, 0, backlog, 0)
}
