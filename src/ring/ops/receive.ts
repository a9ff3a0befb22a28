import { assert } from '../../base/index.ts'
import {
  IORING_OP_RECV,
  IORING_RECV_MULTISHOT,
  IORING_RECVSEND_BUNDLE,
  IOSQE_BUFFER_SELECT,
} from '../../kernel/index.ts'
import { encodeEntry, opcodeFor, SQE_BUFFER, type SqeWords, type Target } from '../sqe.ts'

/** Arguments of {@link encodeReceive}. */
export interface ReceiveArgs {
  readonly target: Target
  /** Where the bytes go; the memory stays the operation's until its terminal completion. */
  readonly address: number
  readonly lengthBytes: number
  /** `MSG_…` */
  readonly messageFlags: number
}

/**
 * Receives into memory, like `recv(2)`. Linux 5.6.
 *
 * CQE result: bytes received, 0 at the end, or `-errno`.
 *
 * @see io_uring_prep_recv(3)
 */
export function encodeReceive(sqe: SqeWords, base: number, args: ReceiveArgs): void {
  const { target, address, lengthBytes, messageFlags } = args
  assert(address > 0, 'there is memory to receive into')
  assert(lengthBytes <= 0xffffffff, 'a length fits its word')
  const opcode = opcodeFor(IORING_OP_RECV, target)
  encodeEntry(sqe, base, opcode, target.fd, 0, address, lengthBytes, messageFlags)
}

/** Arguments of {@link encodeReceiveSelect}. */
export interface ReceiveSelectArgs {
  readonly target: Target
  /** The group of the {@link BufferRing} to take buffers from. */
  readonly bufferGroup: number
  /** Whether it goes on receiving until cancelled, or ended by the kernel. Linux 6.0. */
  readonly multishot: boolean
  /** Whether one completion may fill several buffers, one behind the other in the ring. Linux 6.10. */
  readonly bundle?: boolean
}

/**
 * Receives into buffers that the kernel picks when there is something to receive. Linux 5.19.
 *
 * CQE result: bytes received, 0 at the end, or `-errno`; with IORING_CQE_F_BUFFER the upper half of
 * the flags names the buffer. -ENOBUFS says that the group was empty: nothing is lost, and it is to be
 * submitted again when there are buffers. A multishot one has ended when a completion lacks
 * IORING_CQE_F_MORE, whatever its result.
 *
 * @see io_uring_prep_recv_multishot(3)
 */
export function encodeReceiveSelect(sqe: SqeWords, base: number, args: ReceiveSelectArgs): void {
  const { target, bufferGroup, multishot, bundle } = args
  const priority = (multishot ? IORING_RECV_MULTISHOT : 0) | (bundle ? IORING_RECVSEND_BUNDLE : 0)
  const flags = (IOSQE_BUFFER_SELECT << 8) | (priority << 16)
  assert(bufferGroup >= 0 && bufferGroup <= 0xffff, 'a group of buffers fits its half word')
  encodeEntry(sqe, base, opcodeFor(IORING_OP_RECV, target) | flags, target.fd, 0, 0, 0, 0)
  sqe[base + SQE_BUFFER] = bufferGroup
}
