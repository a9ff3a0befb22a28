import { assert } from '../base/index.ts'
import { IOSQE_FIXED_FILE } from '../kernel/index.ts'

/** The words of a ring's submission entries; an entry begins at a multiple of 16. */
export type SqeWords = Uint32Array

/** What an operation works on: a descriptor, or an index into the ring's registered files. */
export interface Target {
  readonly fd: number
  readonly registered: boolean
}

/** What an operation in flight is called in its ring: both halves of its `user_data`. */
export interface OperationName {
  readonly slot: number
  readonly generation: number
}

/** Memory that an operation reads or writes. It stays the operation's until its last completion. */
export interface MemoryRef {
  readonly address: number
  readonly lengthBytes: number
  /** Index among the ring's registered buffers, or -1. */
  readonly bufferIndex: number
}

// ABI: struct io_uring_sqe, in words.
export const SQE_OFFSET = 2
export const SQE_ADDRESS = 4
export const SQE_USER_DATA = 8
export const SQE_BUFFER = 10
export const SQE_FILE_INDEX = 11

/**
 * Writes every word of an entry but its user data, which {@link Ring.commit} adds.
 *
 * Plain stores, since the entry may hold an old request; `fill(0)` costs four times as much. Offsets
 * and addresses are numbers below 2^53, or -1; no BigInt. Word indexes are literals, since V8 loads
 * and checks a module's constant at every use: here that took half of the time.
 */
export function encodeEntry(
  sqe: SqeWords,
  base: number,
  opcodeAndFlags: number,
  fd: number,
  offset: number,
  address: number,
  length: number,
  opFlags: number,
): void {
  assert((base & 15) === 0, 'an entry begins at its first word') // SQE_WORDS
  sqe[base] = opcodeAndFlags
  sqe[base + 1] = fd
  sqe[base + 2] = offset
  // The high word of -1 is all ones, as it should be: the file's own cursor.
  sqe[base + 3] = Math.floor(offset / 4294967296)
  sqe[base + 4] = address
  sqe[base + 5] = address / 4294967296
  sqe[base + 6] = length
  sqe[base + 7] = opFlags
  sqe[base + 10] = 0 // buffer index or group, personality
  sqe[base + 11] = 0 // file index
  sqe[base + 12] = 0
  sqe[base + 13] = 0
  sqe[base + 14] = 0
  sqe[base + 15] = 0
}

/** Opcode, and the flag that tells a registered file from a descriptor, as an entry's first word. */
export function opcodeFor(opcode: number, target: Target): number {
  return target.registered ? opcode | (IOSQE_FIXED_FILE << 8) : opcode
}
