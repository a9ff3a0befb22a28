import {
  GIB,
  isBytes,
  MIB,
  optionNames,
  RuntimeError,
  validateInteger,
  validateOptions,
  wrongType,
} from '../base/index.ts'
import type { WaitOptions } from '../executor/index.ts'

/** The longest line, and what is read up to a delimiter, unless an option says otherwise. */
export const BYTES_MAX_DEFAULT: number = MIB
/** What is read to the end at most, unless an option says otherwise. */
export const REST_BYTES_MAX_DEFAULT: number = 64 * MIB
/** No option may ask for more. */
const BYTES_MAX: number = GIB

/** How a {@link ByteReader} reads lines. */
export interface ByteReaderOptions {
  /** The longest line, with its end, in bytes; 1 MiB if not given, at most 1 GiB. */
  readonly lineBytesMax?: number
  /** What bytes of lines mean as characters; UTF-8 if not given, whose errors become U+FFFD. */
  readonly encoding?: 'utf8' | 'latin1'
}

/** How far {@link ByteReader.readUntil} and {@link ByteReader.readToEnd} read. */
export interface ReadLimitOptions extends WaitOptions {
  /** The most that is read, in bytes, the delimiter included; at most 1 GiB. */
  readonly maxBytes?: number
}

const READER_NAMES = optionNames<ByteReaderOptions>({ lineBytesMax: true, encoding: true })
const LIMIT_NAMES = optionNames<ReadLimitOptions>({ maxBytes: true, signal: true, timeoutMs: true })

/** @throws {TypeError | RangeError} */
export function readReaderOptions(options: ByteReaderOptions): Required<ByteReaderOptions> {
  const action = 'make a reader'
  validateOptions(action, options, READER_NAMES)
  const { lineBytesMax = BYTES_MAX_DEFAULT, encoding = 'utf8' } = options
  validateInteger(action, 'lineBytesMax', lineBytesMax, { min: 1, max: BYTES_MAX })
  if (encoding !== 'utf8' && encoding !== 'latin1') {
    throw wrongType(action, 'encoding', "'utf8' or 'latin1'", encoding)
  }
  return { lineBytesMax, encoding }
}

/** What a limited read is told: the limit, and the wait. @throws {TypeError | RangeError} */
export function readLimitOptions(
  action: string,
  options: ReadLimitOptions | undefined,
  bytesMaxDefault: number,
): { readonly maxBytes: number; readonly wait: WaitOptions | undefined } {
  if (options === undefined) return { maxBytes: bytesMaxDefault, wait: undefined }
  validateOptions(action, options, LIMIT_NAMES)
  const { maxBytes = bytesMaxDefault, signal, timeoutMs } = options
  validateInteger(action, 'maxBytes', maxBytes, { min: 1, max: BYTES_MAX })
  const waits = signal !== undefined || timeoutMs !== undefined
  return { maxBytes, wait: waits ? { signal, timeoutMs } : undefined }
}

/** @throws {TypeError | RangeError} */
export function validateCount(
  action: string,
  count: unknown,
  min: number,
): asserts count is number {
  validateInteger(action, 'count', count, { min, max: BYTES_MAX })
}

/** A delimiter as bytes. @throws {TypeError | RangeError} */
export function readDelimiter(action: string, delimiter: unknown): Buffer {
  if (typeof delimiter === 'number') {
    validateInteger(action, 'delimiter', delimiter, { min: 0, max: 255 })
    return Buffer.of(delimiter)
  }
  if (typeof delimiter !== 'string' && !isBytes(delimiter)) {
    throw wrongType(action, 'delimiter', 'a string, a Uint8Array or a byte', delimiter)
  }
  if (delimiter.length === 0) {
    throw new RangeError(`Cannot ${action} as delimiter must not be empty: it has 0 bytes`)
  }
  // A copy, since the caller may change it while the reader waits.
  return Buffer.from(delimiter)
}

export function tooLong(action: string, name: string, bytesMax: number): RuntimeError {
  return new RuntimeError(
    'ERR_LIMIT_EXCEEDED',
    `Cannot ${action} as it must end within ${bytesMax} bytes (${name}): it does not`,
  )
}

export function endedEarly(action: string, count: number, lengthBytes: number): RuntimeError {
  return new RuntimeError(
    'ERR_END_OF_FILE',
    `Cannot ${action} as there must be ${count} bytes before the end: there are ${lengthBytes}`,
  )
}

export function stillReading(action: string): RuntimeError {
  return new RuntimeError(
    'ERR_STILL_HELD',
    `Cannot ${action} as a reader does one thing at a time: another call is pending`,
  )
}

export function readerClosed(action: string): RuntimeError {
  return new RuntimeError(
    'ERR_HANDLE_CLOSED',
    `Cannot ${action} as the reader must be open: it was closed`,
  )
}
