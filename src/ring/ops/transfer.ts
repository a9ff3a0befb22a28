import { assert } from '../../base/index.ts'
import {
  encodeEntry,
  type MemoryRef,
  opcodeFor,
  SQE_BUFFER,
  type SqeWords,
  type Target,
} from '../sqe.ts'

/** Arguments of the encoders that move bytes between one stretch of memory and a file. */
export interface TransferArgs {
  readonly file: Target
  readonly memory: MemoryRef
  /** Position in the file, in bytes; `-1` uses, and advances, the file cursor. */
  readonly offsetBytes: number
}

/** Arguments of the encoders that move bytes between several stretches of memory and a file. */
export interface VectoredArgs {
  readonly file: Target
  /** Address of the `struct iovec`s; they must stay until the entry is submitted. */
  readonly vectorAddress: number
  readonly vectorCount: number
  /** Position in the file, in bytes; `-1` uses, and advances, the file cursor. */
  readonly offsetBytes: number
}

/** Writes a `struct iovec` as four words. */
export function writeVector(words: Uint32Array, index: number, memory: MemoryRef): void {
  const { address, lengthBytes } = memory
  assert(index + 4 <= words.length, 'a vector has a place for each part')
  words[index] = address
  words[index + 1] = address / 2 ** 32
  words[index + 2] = lengthBytes
  words[index + 3] = lengthBytes / 2 ** 32
}

/** The opcode for memory as it is, and the one for registered memory, which spares the kernel the pinning of pages. */
export interface TransferOpcodes {
  readonly plain: number
  readonly fixed: number
}

export function encodeTransfer(
  sqe: SqeWords,
  base: number,
  opcodes: TransferOpcodes,
  args: TransferArgs,
): void {
  const { file, memory, offsetBytes } = args
  const { bufferIndex, address, lengthBytes } = memory
  encodeMove(sqe, base, opcodes, file, bufferIndex, address, lengthBytes, offsetBytes)
}

/** The same from values, so that what transfers often makes no object for it; `bufferIndex` may be -1. */
export function encodeMove(
  sqe: SqeWords,
  base: number,
  opcodes: TransferOpcodes,
  file: Target,
  bufferIndex: number,
  address: number,
  lengthBytes: number,
  offsetBytes: number,
): void {
  assert(offsetBytes >= -1, 'a position is in the file, or -1 for its cursor')
  assert(lengthBytes <= 0xffffffff, 'a length fits its word')
  const opcode = opcodeFor(bufferIndex >= 0 ? opcodes.fixed : opcodes.plain, file)
  encodeEntry(sqe, base, opcode, file.fd, offsetBytes, address, lengthBytes, 0)
  if (bufferIndex >= 0) sqe[base + SQE_BUFFER] = bufferIndex
}

export function encodeVectored(
  sqe: SqeWords,
  base: number,
  opcode: number,
  args: VectoredArgs,
): void {
  const { file, vectorAddress, vectorCount, offsetBytes } = args
  assert(offsetBytes >= -1, 'a position is in the file, or -1 for its cursor')
  assert(vectorCount > 0, 'a vector has parts')
  const word = opcodeFor(opcode, file)
  encodeEntry(sqe, base, word, file.fd, offsetBytes, vectorAddress, vectorCount, 0)
}
