import { assert } from '../../base/index.ts'
import { IORING_OP_RECVMSG, IORING_OP_SENDMSG } from '../../kernel/index.ts'
import { encodeEntry, opcodeFor, type SqeWords, type Target } from '../sqe.ts'

/** Arguments of {@link encodeSendMessage} and {@link encodeReceiveMessage}. */
export interface MessageArgs {
  readonly target: Target
  /** Where the `struct msghdr` is; it and what it names stay until the terminal completion. */
  readonly header: number
  /** `MSG_…` */
  readonly messageFlags: number
}

/**
 * Sends a message with an address and control data, like `sendmsg(2)`. Linux 5.3.
 *
 * CQE result: bytes sent, or `-errno`.
 *
 * @see io_uring_prep_sendmsg(3)
 */
export function encodeSendMessage(sqe: SqeWords, base: number, args: MessageArgs): void {
  const { target, header, messageFlags } = args
  assert(header > 0, 'a message has a header')
  const opcode = opcodeFor(IORING_OP_SENDMSG, target)
  encodeEntry(sqe, base, opcode, target.fd, 0, header, 1, messageFlags)
}

/**
 * Receives a message with its address and control data, like `recvmsg(2)`. Linux 5.3.
 *
 * CQE result: bytes received, or `-errno`.
 *
 * @see io_uring_prep_recvmsg(3)
 */
export function encodeReceiveMessage(sqe: SqeWords, base: number, args: MessageArgs): void {
  const { target, header, messageFlags } = args
  assert(header > 0, 'a message has a header')
  const opcode = opcodeFor(IORING_OP_RECVMSG, target)
  encodeEntry(sqe, base, opcode, target.fd, 0, header, 1, messageFlags)
}
