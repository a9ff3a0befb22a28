import { assert } from '../../base/index.ts'
import {
  IORING_OP_RECVMSG,
  IORING_OP_SENDMSG,
  IORING_RECV_MULTISHOT,
  IOSQE_BUFFER_SELECT,
} from '../../kernel/index.ts'
import { encodeEntry, opcodeFor, SQE_BUFFER, type SqeWords, type Target } from '../sqe.ts'

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

/** Arguments of {@link encodeReceiveMessages}. */
export interface ReceiveMessagesArgs extends MessageArgs {
  /** The group of the {@link BufferRing} to take buffers from. */
  readonly bufferGroup: number
}

/**
 * Receives message after message, each into a buffer that the kernel picks, until it is cancelled or ended by the kernel. Linux 6.0.
 *
 * Of the header the kernel reads two lengths: how much room each buffer has for a name, and for control data. A buffer begins
 * with `struct io_uring_recvmsg_out`, then come those rooms, then the data.
 *
 * CQE result: how far the buffer is filled, or `-errno`; with IORING_CQE_F_BUFFER the upper half of the flags names the buffer.
 * -ENOBUFS says that the group was empty. A message without data ends it, as the end of a stream does: as ever, it has
 * ended when a completion lacks IORING_CQE_F_MORE. With MSG_TRUNC among the flags a message tells its whole length.
 *
 * @see io_uring_prep_recvmsg_multishot(3)
 */
export function encodeReceiveMessages(
  sqe: SqeWords,
  base: number,
  args: ReceiveMessagesArgs,
): void {
  const { target, header, messageFlags, bufferGroup } = args
  assert(header > 0, 'a message has a header')
  assert(bufferGroup >= 0 && bufferGroup <= 0xffff, 'a group of buffers fits its half word')
  const flags = (IOSQE_BUFFER_SELECT << 8) | (IORING_RECV_MULTISHOT << 16)
  const opcode = opcodeFor(IORING_OP_RECVMSG, target) | flags
  encodeEntry(sqe, base, opcode, target.fd, 0, header, 1, messageFlags)
  sqe[base + SQE_BUFFER] = bufferGroup
}
