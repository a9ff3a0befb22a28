/**
 * Checks of what users pass in: `TypeError` for a wrong type, `RangeError` for a wrong range,
 * both naming the action, the requirement and the value.
 */

/** Bounds of a whole number, both inclusive. */
export interface IntegerBounds {
  readonly min: number
  readonly max: number
}

/** @throws {TypeError} unless `value` is a number; {@link RangeError} unless whole and in bounds. */
export function validateInteger(
  action: string,
  name: string,
  value: unknown,
  { min, max }: IntegerBounds,
): asserts value is number {
  if (typeof value !== 'number') throw wrongType(action, name, 'a number', value)
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(
      `Cannot ${action} as ${name} must be a whole number from ${min} to ${max}: current value is ${value}`,
    )
  }
}

/** @throws {TypeError} unless a number; {@link RangeError} unless finite, positive or zero. */
export function validateDurationMs(
  action: string,
  name: string,
  value: unknown,
): asserts value is number {
  if (typeof value !== 'number') throw wrongType(action, name, 'a number', value)
  if (!(value >= 0 && value <= 2 ** 43)) {
    throw new RangeError(
      `Cannot ${action} as ${name} must be from 0 to ${2 ** 43} ms: current value is ${value}`,
    )
  }
}

/** @throws {TypeError} unless `value` is true or false. */
export function validateBoolean(
  action: string,
  name: string,
  value: unknown,
): asserts value is boolean {
  if (typeof value !== 'boolean') throw wrongType(action, name, 'a boolean', value)
}

/** @throws {TypeError} unless `value` is a function. */
export function validateFunction(action: string, name: string, value: unknown): void {
  if (typeof value !== 'function') throw wrongType(action, name, 'a function', value)
}

/** @throws {TypeError} unless `value` is a string without NUL characters. */
export function validateString(
  action: string,
  name: string,
  value: unknown,
): asserts value is string {
  if (typeof value !== 'string') throw wrongType(action, name, 'a string', value)
  if (value.includes('\0')) {
    throw new TypeError(
      `Cannot ${action} as ${name} must not contain NUL: current value is ${JSON.stringify(value)}`,
    )
  }
}

/** The `TypeError` of a value of the wrong kind. */
export function wrongType(
  action: string,
  name: string,
  expected: string,
  value: unknown,
): TypeError {
  return new TypeError(
    `Cannot ${action} as ${name} must be ${expected}: current value is ${describe(value)}`,
  )
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'object') return `an instance of ${value.constructor?.name ?? 'Object'}`
  return `${String(value)} (a ${typeof value})`
}
