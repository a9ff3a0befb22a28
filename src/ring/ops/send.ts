import { assert } from '../../base/index.ts'
import { IORING_OP_SEND, IORING_OP_SEND_ZC } from '../../kernel/index.ts'
import { encodeEntry, opcodeFor, SQE_FILE_INDEX, type SqeWords, type Target } from '../sqe.ts'

/** Arguments of {@link encodeSend} and {@link encodeSendZeroCopy}. */
export interface SendArgs {
  readonly target: Target
  /** Where the bytes are; they stay the operation's until its terminal completion. */
  readonly address: number
  readonly lengthBytes: number
  /** `MSG_…`; with MSG_WAITALL the kernel goes on after a short send. */
  readonly messageFlags: number
}

/**
 * Sends from memory, like `send(2)`. Linux 5.6.
 *
 * CQE result: bytes sent, or `-errno`. Even with MSG_WAITALL (Linux 5.19) it is short when the
 * operation was cancelled, or failed after it had sent something.
 *
 * @see io_uring_prep_send(3)
 */
export function encodeSend(sqe: SqeWords, base: number, args: SendArgs): void {
  const { target, address, lengthBytes, messageFlags } = args
  assert(lengthBytes <= 0xffffffff, 'a length fits its word')
  const opcode = opcodeFor(IORING_OP_SEND, target)
  encodeEntry(sqe, base, opcode, target.fd, 0, address, lengthBytes, messageFlags)
}

/** Arguments of {@link encodeSendTo}. */
export interface SendToArgs extends SendArgs {
  /** Where the `struct sockaddr` is; it stays until the terminal completion. */
  readonly name: { readonly address: number; readonly lengthBytes: number }
}

/**
 * Sends from memory to an address, like `sendto(2)`. Linux 6.1: those before refuse it with -EINVAL.
 *
 * CQE result: bytes sent, or `-errno`.
 *
 * @see io_uring_prep_sendto(3)
 */
export function encodeSendTo(sqe: SqeWords, base: number, args: SendToArgs): void {
  const { target, address, lengthBytes, messageFlags, name } = args
  assert(lengthBytes <= 0xffffffff, 'a length fits its word')
  assert(name.address > 0, 'a name lies somewhere')
  const opcode = opcodeFor(IORING_OP_SEND, target)
  encodeEntry(sqe, base, opcode, target.fd, name.address, address, lengthBytes, messageFlags)
  // ABI: the length of the name is the lower half of this word.
  sqe[base + SQE_FILE_INDEX] = name.lengthBytes
}

/**
 * Sends from memory without a copy where the device allows it. Linux 6.0.
 *
 * Two completions: the result with IORING_CQE_F_MORE, as of {@link encodeSend}, then a notification
 * with IORING_CQE_F_NOTIF, once the peer has acknowledged. The memory is the kernel's until the
 * second. A send that failed may lack F_MORE, and then has no second: as ever, the completion without
 * F_MORE is the terminal one. On loopback it copies; below about 16 KiB a copy is cheaper.
 *
 * @see io_uring_prep_send_zc(3)
 */
export function encodeSendZeroCopy(sqe: SqeWords, base: number, args: SendArgs): void {
  const { target, address, lengthBytes, messageFlags } = args
  assert(lengthBytes <= 0xffffffff, 'a length fits its word')
  const opcode = opcodeFor(IORING_OP_SEND_ZC, target)
  encodeEntry(sqe, base, opcode, target.fd, 0, address, lengthBytes, messageFlags)
}
