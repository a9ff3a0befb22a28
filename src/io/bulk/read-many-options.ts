import {
  GIB,
  isAbortSignal,
  KIB,
  MIB,
  optionNames,
  validateDurationMs,
  validateInteger,
  validateOptions,
  wrongType,
} from '../../base/index.ts'
import type { WaitOptions } from '../../executor/index.ts'
import type { ByteRange } from './merge-ranges.ts'

/** How {@link DirectFile.readMany} and {@link BufferedFile.readMany} read. */
export interface ReadManyOptions extends WaitOptions {
  /** How long one read of several ranges may be, in whole blocks; 128 KiB if not given. 0 merges nothing: each range is a read. */
  readonly mergedBytesMax?: number | undefined
  /**
   * How many bytes between two neighbours may be read and thrown away, so that one read brings both; 0 if not given. Blocks that they
   * share are read once in any case.
   */
  readonly holeBytesMax?: number | undefined
  /** How many reads may be under way; 32 if not given. */
  readonly concurrency?: number | undefined
  /**
   * How much memory reads may hold that are under way or not yet asked for; 8 MiB if not given. The read that is next in line
   * goes ahead in any case. What was handed out counts no more, once all that was read with it has been.
   */
  readonly memoryBytesMax?: number | undefined
}

/** The options, checked and complete. */
export interface ReadManyLimits {
  readonly mergedBytesMax: number
  readonly holeBytesMax: number
  readonly concurrency: number
  readonly memoryBytesMax: number
  readonly signal: AbortSignal | undefined
  readonly timeoutMs: number | undefined
}

const ACTION = 'read many ranges'
const NAMES = optionNames<ReadManyOptions>({
  mergedBytesMax: true,
  holeBytesMax: true,
  concurrency: true,
  memoryBytesMax: true,
  signal: true,
  timeoutMs: true,
})
/** A read of one range must fit an arena, with the blocks that it begins and ends in. */
export const RANGE_BYTES_MAX: number = GIB / 2
const CONCURRENCY_MAX = 4096

/** @throws {TypeError | RangeError} */
export function checkReadManyOptions(options: ReadManyOptions): ReadManyLimits {
  validateOptions(ACTION, options, NAMES)
  const { mergedBytesMax = 128 * KIB, holeBytesMax = 0, concurrency = 32 } = options
  const { memoryBytesMax = 8 * MIB, signal, timeoutMs } = options
  validateInteger(ACTION, 'mergedBytesMax', mergedBytesMax, { min: 0, max: RANGE_BYTES_MAX })
  validateInteger(ACTION, 'holeBytesMax', holeBytesMax, { min: 0, max: RANGE_BYTES_MAX })
  validateInteger(ACTION, 'concurrency', concurrency, { min: 1, max: CONCURRENCY_MAX })
  const bounds = { min: 0, max: Number.MAX_SAFE_INTEGER }
  validateInteger(ACTION, 'memoryBytesMax', memoryBytesMax, bounds)
  if (signal !== undefined && !isAbortSignal(signal)) {
    throw wrongType(ACTION, 'signal', 'an AbortSignal', signal)
  }
  if (timeoutMs !== undefined) validateDurationMs(ACTION, 'timeoutMs', timeoutMs)
  return { mergedBytesMax, holeBytesMax, concurrency, memoryBytesMax, signal, timeoutMs }
}

/** @throws {TypeError | RangeError} for what is no range. */
export function checkRange(range: unknown): asserts range is ByteRange {
  if (typeof range !== 'object' || range === null) {
    throw wrongType(ACTION, 'a range', 'an object with offsetBytes and lengthBytes', range)
  }
  const { offsetBytes, lengthBytes } = range as Partial<ByteRange>
  validateInteger(ACTION, 'lengthBytes of a range', lengthBytes, { min: 0, max: RANGE_BYTES_MAX })
  const max = Number.MAX_SAFE_INTEGER - lengthBytes
  validateInteger(ACTION, 'offsetBytes of a range', offsetBytes, { min: 0, max })
}

/** How the iterator of some ranges is got, whichever kind they are. @throws {TypeError} */
export function openRanges<R>(ranges: Iterable<R> | AsyncIterable<R>): RangeSource<R> {
  const candidate = ranges as Partial<Iterable<R> & AsyncIterable<R>> | null | undefined
  const openAsync = candidate?.[Symbol.asyncIterator]
  if (typeof openAsync === 'function') {
    return { isAsync: true, iterator: openAsync.call(ranges) }
  }
  const open = candidate?.[Symbol.iterator]
  if (typeof open === 'function' && typeof ranges !== 'string') {
    return { isAsync: false, iterator: open.call(ranges) }
  }
  throw wrongType(ACTION, 'ranges', 'an iterable or an async iterable', ranges)
}

/** Where the ranges come from. */
export type RangeSource<R> =
  | { readonly isAsync: true; readonly iterator: AsyncIterator<R> }
  | { readonly isAsync: false; readonly iterator: Iterator<R> }
