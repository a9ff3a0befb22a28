import { IORING_OP_READ, IORING_OP_READ_FIXED, IORING_OP_READV } from '../../kernel/index.ts'
import type { SqeWords } from '../sqe.ts'
import {
  encodeTransfer,
  encodeVectored,
  type TransferArgs,
  type TransferOpcodes,
  type VectoredArgs,
} from './transfer.ts'

export const READ_OPCODES: TransferOpcodes = {
  plain: IORING_OP_READ,
  fixed: IORING_OP_READ_FIXED,
}

/**
 * Reads into memory, like `pread(2)`; registered memory is read into as such. Linux 5.6.
 *
 * CQE result: bytes read, 0 at end of file, or `-errno`. A short read is not an error.
 *
 * @see io_uring_prep_read(3), io_uring_prep_read_fixed(3)
 */
export function encodeRead(sqe: SqeWords, base: number, args: TransferArgs): void {
  encodeTransfer(sqe, base, READ_OPCODES, args)
}

/**
 * Reads into several stretches of memory in order, like `preadv(2)`. Linux 5.1.
 *
 * CQE result: bytes read, 0 at end of file, or `-errno`. A short read is not an error.
 *
 * @see io_uring_prep_readv(3)
 */
export function encodeReadVectored(sqe: SqeWords, base: number, args: VectoredArgs): void {
  encodeVectored(sqe, base, IORING_OP_READV, args)
}
