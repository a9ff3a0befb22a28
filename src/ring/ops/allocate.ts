import { assert } from '../../base/index.ts'
import { IORING_OP_FADVISE, IORING_OP_FALLOCATE, IORING_OP_FTRUNCATE } from '../../kernel/index.ts'
import { encodeEntry, opcodeFor, type SqeWords, type Target } from '../sqe.ts'

/** Arguments of {@link encodeAllocate}. */
export interface AllocateArgs {
  readonly file: Target
  readonly offsetBytes: number
  readonly lengthBytes: number
  /** `FALLOC_FL_…`; 0 allocates. */
  readonly mode: number
}

/**
 * Allocates or releases space in a file, like `fallocate(2)`. Linux 5.6.
 *
 * CQE result: 0 or `-errno`.
 *
 * @see io_uring_prep_fallocate(3)
 */
export function encodeAllocate(sqe: SqeWords, base: number, args: AllocateArgs): void {
  const { file, offsetBytes, lengthBytes, mode } = args
  assert(offsetBytes >= 0, 'a part of a file begins in it')
  assert(lengthBytes > 0, 'a part of a file has a length')
  // ABI: the length is where others have an address, as it needs 64 bits.
  const opcode = opcodeFor(IORING_OP_FALLOCATE, file)
  encodeEntry(sqe, base, opcode, file.fd, offsetBytes, lengthBytes, mode, 0)
}

/** Arguments of {@link encodeTruncate}. */
export interface TruncateArgs {
  readonly file: Target
  readonly sizeBytes: number
}

/**
 * Sets the size of a file, like `ftruncate(2)`. Linux 6.9; -EINVAL before.
 *
 * CQE result: 0 or `-errno`.
 *
 * @see io_uring_prep_ftruncate(3)
 */
export function encodeTruncate(sqe: SqeWords, base: number, args: TruncateArgs): void {
  const { file, sizeBytes } = args
  assert(sizeBytes >= 0, 'a file has a size')
  encodeEntry(sqe, base, opcodeFor(IORING_OP_FTRUNCATE, file), file.fd, sizeBytes, 0, 0, 0)
}

/** Arguments of {@link encodeAdvise}. */
export interface AdviseArgs {
  readonly file: Target
  readonly offsetBytes: number
  /** At most 2^32 - 1; 0 is up to the end of the file. */
  readonly lengthBytes: number
  /** `POSIX_FADV_…` */
  readonly advice: number
}

/**
 * Says how a file is going to be used, like `posix_fadvise(2)`. Linux 5.6.
 *
 * CQE result: 0 or `-errno`.
 *
 * @see io_uring_prep_fadvise(3)
 */
export function encodeAdvise(sqe: SqeWords, base: number, args: AdviseArgs): void {
  const { file, offsetBytes, lengthBytes, advice } = args
  assert(offsetBytes >= 0, 'a part of a file begins in it')
  assert(lengthBytes <= 0xffffffff, 'a length fits its word')
  const opcode = opcodeFor(IORING_OP_FADVISE, file)
  encodeEntry(sqe, base, opcode, file.fd, offsetBytes, 0, lengthBytes, advice)
}
