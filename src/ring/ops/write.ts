import { IORING_OP_WRITE, IORING_OP_WRITE_FIXED, IORING_OP_WRITEV } from '../../kernel/index.ts'
import type { SqeWords } from '../sqe.ts'
import {
  encodeTransfer,
  encodeVectored,
  type TransferArgs,
  type TransferOpcodes,
  type VectoredArgs,
} from './transfer.ts'

export const WRITE_OPCODES: TransferOpcodes = {
  plain: IORING_OP_WRITE,
  fixed: IORING_OP_WRITE_FIXED,
}

/**
 * Writes from memory, like `pwrite(2)`; registered memory is written from as such. Linux 5.6.
 *
 * CQE result: bytes written, or `-errno`. A short write is not an error: write the rest.
 *
 * @see io_uring_prep_write(3), io_uring_prep_write_fixed(3)
 */
export function encodeWrite(sqe: SqeWords, base: number, args: TransferArgs): void {
  encodeTransfer(sqe, base, WRITE_OPCODES, args)
}

/**
 * Writes from several stretches of memory in order, like `pwritev(2)`. Linux 5.1.
 *
 * CQE result: bytes written, or `-errno`. A short write is not an error: write the rest.
 *
 * @see io_uring_prep_writev(3)
 */
export function encodeWriteVectored(sqe: SqeWords, base: number, args: VectoredArgs): void {
  encodeVectored(sqe, base, IORING_OP_WRITEV, args)
}
