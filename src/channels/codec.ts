import { deserialize, serialize } from 'node:v8'
import {
  isBytes,
  optionNames,
  validateFunction,
  validateOptions,
  wrongBytes,
  wrongType,
} from '../base/index.ts'
import { decodeMsgpack, encodeMsgpack, loadMsgpackr } from './msgpack-codec.ts'

/**
 * How values become bytes, and bytes values again.
 *
 * Both are called in any turn of the thread, of whichever task queue, and are to be pure.
 */
export interface ChannelCodec<T> {
  /** The bytes of a value, in memory that no other value gets before the send returns, which has copied them then. */
  readonly encode: (value: T) => Uint8Array
  /** The value of bytes, which are its own. */
  readonly decode: (bytes: Uint8Array) => T
}

/**
 * What crosses a shared channel, and how:
 *
 * - `numbers`, as they are;
 * - `bytes`, copied in and out;
 * - `clone`: all that structured clone takes (plain objects, Map, Set, Date, typed arrays, errors), as it takes it: of an
 *   instance of a class only its fields arrive, and of an error of a class an `Error`;
 * - `msgpack`: the same values, plain objects faster by MessagePack (the package msgpackr, installed beside percore). What would
 *   arrive as something else is refused with a `TypeError` that names its place: functions, symbols, instances of classes. Of
 *   an array its elements arrive, and an object that is there twice may arrive as two;
 * - `custom`: what a {@link ChannelCodec} makes of it, which both ends are given.
 */
export type CodecName = 'numbers' | 'bytes' | 'clone' | 'msgpack' | 'custom'

export const CODEC_NAMES: readonly CodecName[] = ['numbers', 'bytes', 'clone', 'msgpack', 'custom']

const NAMES = optionNames<ChannelCodec<unknown>>({ encode: true, decode: true })

const BYTES: ChannelCodec<Uint8Array> = {
  encode(value) {
    if (!isBytes(value)) throw wrongBytes('send to a channel', 'value', value)
    return value
  },
  decode: (bytes) => bytes,
}

const CLONE: ChannelCodec<unknown> = { encode: serialize, decode: deserialize }
const MSGPACK: ChannelCodec<unknown> = { encode: encodeMsgpack, decode: decodeMsgpack }

/**
 * The codec of a channel of frames.
 *
 * @throws {TypeError} where `custom` comes without a codec, or another with one.
 * @throws {RuntimeError} `ERR_PACKAGE_MISSING` where the package of a codec is not installed.
 */
export function frameCodec(
  action: string,
  name: Exclude<CodecName, 'numbers'>,
  custom: ChannelCodec<unknown> | undefined,
): ChannelCodec<unknown> {
  if (name !== 'custom') {
    refuseCodec(action, name, custom)
    if (name === 'msgpack') {
      loadMsgpackr(action)
      return MSGPACK
    }
    return name === 'bytes' ? (BYTES as ChannelCodec<unknown>) : CLONE
  }
  if (custom === undefined) {
    throw wrongType(action, 'codec', "a ChannelCodec, as the channel's is 'custom'", custom)
  }
  // Of a class, maybe, with more than these.
  if (typeof custom !== 'object' || custom === null) {
    throw wrongType(action, 'codec', 'an object', custom)
  }
  if (Object.getPrototypeOf(custom) === Object.prototype) {
    validateOptions(action, custom, NAMES, 'codec')
  }
  validateFunction(action, 'codec.encode', custom.encode)
  validateFunction(action, 'codec.decode', custom.decode)
  return custom
}

/** @throws {TypeError} unless the name of a codec. */
export function checkCodecName(action: string, name: unknown): asserts name is CodecName {
  if (CODEC_NAMES.includes(name as CodecName)) return
  throw wrongType(action, 'codec', `one of ${CODEC_NAMES.join(', ')}`, name)
}

/** @throws {TypeError} for a codec that nobody would use. */
export function refuseCodec(action: string, name: CodecName, custom: unknown): void {
  if (custom === undefined) return
  throw new TypeError(
    `Cannot ${action} with a codec as the channel's must be 'custom' for that: it is '${name}'`,
  )
}

const NUMBERS: ChannelCodec<number> = {
  encode(value) {
    if (typeof value !== 'number') {
      throw wrongType('send to a channel of numbers', 'value', 'a number', value)
    }
    return new Uint8Array(Float64Array.of(value).buffer)
  },
  decode: (bytes) => new Float64Array(bytes.buffer, bytes.byteOffset, 1)[0] as number,
}

/** Whether the bytes that a codec gives are nobody else's, who might change them. */
export function givesOwnBytes(codec: ChannelCodec<unknown>): boolean {
  return codec === CLONE || codec === MSGPACK
}

/** The bytes of a value. @throws what the codec does; {TypeError} where it gives something else. */
export function encodeValue<T>(action: string, codec: ChannelCodec<T>, value: T): Uint8Array {
  const bytes = codec.encode(value)
  if (!isBytes(bytes)) throw wrongType(action, 'encode()', 'a Uint8Array', bytes)
  return bytes
}

/** The codec of single values. @throws as {@link frameCodec}. */
export function valueCodec(
  action: string,
  name: CodecName,
  custom: ChannelCodec<unknown> | undefined,
): ChannelCodec<unknown> {
  if (name !== 'numbers') return frameCodec(action, name, custom)
  refuseCodec(action, name, custom)
  return NUMBERS as ChannelCodec<unknown>
}
