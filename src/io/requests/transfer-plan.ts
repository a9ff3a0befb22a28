import { alignDown } from '../../base/index.ts'
import { EAGAIN, EINTR } from '../../kernel/index.ts'
import type { Lease } from '../../memory/index.ts'
import { READ_OPCODES, type TransferOpcodes, WRITE_OPCODES } from '../../ring/index.ts'

/** How often in a row the kernel may move nothing before that is the result. */
export const RETRIES_MAX = 64
/** Pipes and terminals have no positions; appending needs none, since the kernel looks for the end itself. */
export const NO_POSITION = -1
/** Another request follows. */
export const MORE: number = Number.NEGATIVE_INFINITY

/** What a decoder sees of a transfer that has come to a good end. */
export interface Transferred {
  readonly buffer: Lease
  /** Where in the buffer what was asked for begins. */
  readonly skipBytes: number
}

/** What the bytes that were moved are to the caller. One object for all transfers of a kind. */
export interface Decoder<T> {
  /** Whether the buffer was made for the transfer: then it ends with it, unless {@link decode} hands it on. */
  readonly ownsBuffer: boolean
  /** The value; called once, for what is delivered. A buffer that it owns is its to release. */
  decode(transfer: Transferred, movedBytes: number): T
}

/** Which way a transfer goes, and what its value is. One object for all transfers of a kind. */
export interface TransferPlan<T> {
  readonly isWrite: boolean
  readonly opcodes: TransferOpcodes
  readonly decoder: Decoder<T>
}

const COUNT: Decoder<number> = {
  ownsBuffer: false,
  decode: (_transfer, movedBytes) => movedBytes,
}

const COPY: Decoder<Uint8Array> = {
  ownsBuffer: true,
  decode({ buffer }, movedBytes) {
    try {
      return buffer.bytes.slice(0, movedBytes)
    } finally {
      buffer.release()
    }
  },
}

const RANGE: Decoder<Lease> = {
  ownsBuffer: true,
  // What was read may end before the stretch does, or even before it begins.
  decode({ buffer, skipBytes }, movedBytes) {
    const rangeBytes = buffer.lengthBytes - skipBytes
    const validBytes = Math.min(Math.max(movedBytes - skipBytes, 0), rangeBytes)
    buffer.narrow(validBytes === 0 ? 0 : skipBytes, validBytes)
    return buffer
  },
}

/** Reads into a buffer of the user's; the value is how many bytes of it are valid. */
export const READ_INTO: TransferPlan<number> = {
  isWrite: false,
  opcodes: READ_OPCODES,
  decoder: COUNT,
}
/** Reads by way of a buffer of its own, into a new array. */
export const READ_COPY: TransferPlan<Uint8Array> = {
  isWrite: false,
  opcodes: READ_OPCODES,
  decoder: COPY,
}
/** Reads whole blocks; the value is a lease on what there is of the stretch that the buffer is trimmed to. */
export const READ_RANGE: TransferPlan<Lease> = {
  isWrite: false,
  opcodes: READ_OPCODES,
  decoder: RANGE,
}
/** Writes all of the memory; the value is its length. */
export const WRITE_FROM: TransferPlan<number> = {
  isWrite: true,
  opcodes: WRITE_OPCODES,
  decoder: COUNT,
}

/** One request of a transfer that did not move all that it was to. */
export interface ShortRequest {
  readonly isWrite: boolean
  /** Whether it has a position, as in a pipe it has not. */
  readonly isSeekable: boolean
  /** What a request that follows must begin at a multiple of. */
  readonly alignmentBytes: number
  /** Bytes that were moved, or `-errno`. */
  readonly result: number
}

/**
 * What follows a short request: {@link MORE}, or the outcome. Pure.
 *
 * | request | result | |
 * | --- | --- | --- |
 * | any | EAGAIN, EINTR | again |
 * | any | another error | it fails |
 * | write | fewer bytes | goes on; what follows a partial block is the whole block again |
 * | read without a position | whatever came | that is all: waiting for more may be for ever |
 * | read | no bytes, or part of a block | the file ends there |
 * | read | whole blocks | goes on |
 */
export function judgeShort(request: ShortRequest): number {
  const { isWrite, isSeekable, alignmentBytes, result } = request
  if (result < 0) return result === -EAGAIN || result === -EINTR ? MORE : result
  if (isWrite) return MORE
  if (!isSeekable) return result
  return result === 0 || alignDown(result, alignmentBytes) !== result ? result : MORE
}
