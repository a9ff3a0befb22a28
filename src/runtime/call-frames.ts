/** Calls and answers as bytes: a header of four words, then arguments or a result by structured clone. */
import { deserialize, serialize } from 'node:v8'
import { assert } from '../base/index.ts'

export const FRAME_CALL = 1
export const FRAME_CANCEL = 2
/** The method's result. */
export const FRAME_RESULT = 3
/** What the method threw: a record. */
export const FRAME_ERROR = 4
/** The method has come to no answer: a {@link Refusal}. */
export const FRAME_REFUSAL = 5

const HEADER_BYTES = 16
const LITTLE = true
const NOTHING = new Uint8Array(0)

/** Why a method has come to no answer. */
export interface Refusal {
  readonly code: 'ERR_SERVICE_NOT_RUNNING' | 'ERR_SHARD_FAILED'
  readonly message: string
  /** Whether it was not called. */
  readonly hasNotRun: boolean
}

/** What a frame begins with. */
export interface FrameHeader {
  readonly kind: number
  /** The caller's number of the call, unique among those that it has not got an answer to. */
  readonly call: number
  /** Of a call alone; 0 else. */
  readonly service: number
  readonly method: number
  readonly depth: number
}

/** Several values, or one, as bytes. @throws what structured clone throws. */
export function packValue(value: unknown): Uint8Array {
  return value === undefined ? NOTHING : serialize(value)
}

/** The value of a frame; undefined where it has none. */
export function unpackValue(frame: Uint8Array): unknown {
  if (frame.length === HEADER_BYTES) return undefined
  return deserialize(frame.subarray(HEADER_BYTES))
}

export function encodeCall(
  { call, service, method, depth }: Omit<FrameHeader, 'kind'>,
  packed: Uint8Array,
): Uint8Array {
  return encode({ kind: FRAME_CALL, call, service, method, depth }, packed)
}

export function encodeAnswer(kind: number, call: number, packed: Uint8Array): Uint8Array {
  return encode({ kind, call, service: 0, method: 0, depth: 0 }, packed)
}

export function encodeCancel(call: number): Uint8Array {
  return encodeAnswer(FRAME_CANCEL, call, NOTHING)
}

export function decodeHeader(frame: Uint8Array): FrameHeader {
  assert(frame.length >= HEADER_BYTES, 'a frame begins with a header')
  const view = new DataView(frame.buffer, frame.byteOffset, HEADER_BYTES)
  return {
    kind: view.getUint16(0, LITTLE),
    depth: view.getUint16(2, LITTLE),
    call: view.getUint32(4, LITTLE),
    service: view.getUint32(8, LITTLE),
    method: view.getUint32(12, LITTLE),
  }
}

function encode(
  { kind, depth, call, service, method }: FrameHeader,
  packed: Uint8Array,
): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + packed.length)
  const view = new DataView(frame.buffer)
  view.setUint16(0, kind, LITTLE)
  view.setUint16(2, depth, LITTLE)
  view.setUint32(4, call, LITTLE)
  view.setUint32(8, service, LITTLE)
  view.setUint32(12, method, LITTLE)
  frame.set(packed, HEADER_BYTES)
  return frame
}
