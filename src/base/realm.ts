/**
 * What comes from another realm (a `vm` context, a test runner's environment) is of no class of this one:
 * `instanceof` is asked first, since it is nearly always right and costs next to nothing.
 */
import { isUint8Array } from 'node:util/types'
import { wrongType } from './validate.ts'

/** Whether `value` is a `Uint8Array`, a `Buffer` among them, of whatever realm. */
export function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array || isUint8Array(value)
}

/**
 * The `TypeError` of what is no `Uint8Array`. Views of other elements are refused rather than taken for
 * their bytes: the count of elements and that of bytes would be mixed up.
 */
export function wrongBytes(
  action: string,
  name: string,
  value: unknown,
  expected = 'a Uint8Array',
): TypeError {
  const error = wrongType(action, name, expected, value)
  if (ArrayBuffer.isView(value)) {
    error.message += `; its bytes are new Uint8Array(${name}.buffer, ${name}.byteOffset, ${name}.byteLength)`
  }
  return error
}

/** Whether `value` is an `AbortSignal`, of whatever realm or library. */
export function isAbortSignal(value: unknown): value is AbortSignal {
  if (value instanceof AbortSignal) return true
  if (typeof value !== 'object' || value === null || !('aborted' in value)) return false
  return typeof (value as AbortSignal).addEventListener === 'function'
}

/** Whether `value` is a `URL`, of whatever realm. */
export function isUrl(value: unknown): value is URL {
  if (value instanceof URL) return true
  if (typeof value !== 'object' || value === null) return false
  const { href, protocol } = value as URL
  return typeof href === 'string' && typeof protocol === 'string'
}
