import { assert } from '../../base/index.ts'
import { IORING_OP_CONNECT } from '../../kernel/index.ts'
import { encodeEntry, opcodeFor, type SqeWords, type Target } from '../sqe.ts'

/** Arguments of {@link encodeConnect}. */
export interface ConnectArgs {
  readonly target: Target
  /** Where the raw `sockaddr` is; it must stay until the entry is submitted. */
  readonly address: number
  readonly addressBytes: number
}

/**
 * Connects a socket, like `connect(2)`. Linux 5.5.
 *
 * CQE result: 0, or `-errno`; -ECANCELED leaves a socket of which nothing more is known: close it.
 *
 * @see io_uring_prep_connect(3)
 */
export function encodeConnect(sqe: SqeWords, base: number, args: ConnectArgs): void {
  const { target, address, addressBytes } = args
  assert(address > 0, 'an address to connect to is in memory')
  assert(addressBytes > 0, 'an address to connect to has a length')
  const opcode = opcodeFor(IORING_OP_CONNECT, target)
  encodeEntry(sqe, base, opcode, target.fd, addressBytes, address, 0, 0)
}
