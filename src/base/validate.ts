import { classNameOf } from './inspect.ts'
/**
 * Checks of what users pass in: `TypeError` for a wrong type, `RangeError` for a wrong range,
 * both naming the action, the requirement and the value.
 */

/** Bounds of a whole number, both inclusive. */
export interface IntegerBounds {
  readonly min: number
  readonly max: number
}

/** The names that options of one kind may have. */
export type OptionNames = ReadonlySet<string>

/** All names of the options `T`, for {@link validateOptions}: the compiler asks for each of them. */
export function optionNames<T>(names: { readonly [Name in keyof T]-?: true }): OptionNames {
  return new Set(Object.keys(names))
}

/**
 * Refuses what is no options object, and every option that is not known: a misspelt one would be
 * ignored, and nobody would notice. O(options), no allocation.
 *
 * @throws {TypeError} naming the unknown option, the known one that is nearest to it, and all of them.
 */
export function validateOptions(
  action: string,
  options: unknown,
  names: OptionNames,
  what = 'options',
): asserts options is object {
  if (typeof options !== 'object' || options === null) {
    throw wrongType(action, what, 'an object', options)
  }
  // Inherited ones as well, or an AbortSignal in the place of options would be taken for empty options.
  for (const name in options) {
    // What some library has added to every object is nobody's option.
    if (names.has(name) || name in Object.prototype) continue
    const known = [...names]
    const nearest = findNearest(name, known)
    const guess = nearest === null ? '' : `; did you mean '${nearest}'?`
    throw new TypeError(
      `Cannot ${action} as ${what} may have ${known.join(', ')} only: current value has '${name}'${guess}`,
    )
  }
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
    `Cannot ${action} as ${name} must be ${expected}: current value is ${describe(value, expected)}`,
  )
}

/** The word that `name` is most likely a slip of, or null. */
function findNearest(name: string, words: readonly string[]): string | null {
  const costs = words.map((word) => editCount(name.toLowerCase(), word.toLowerCase()))
  const least = Math.min(...costs)
  return least <= Math.max(2, name.length / 3) ? words[costs.indexOf(least)]! : null
}

/** Characters to insert, remove or replace to make `from` into `to`: Levenshtein's distance. */
function editCount(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 0; i < from.length; i++) {
    const next = [i + 1]
    for (let j = 0; j < to.length; j++) {
      const replaced = row[j]! + (from[i] === to[j] ? 0 : 1)
      next.push(Math.min(replaced, row[j + 1]! + 1, next[j]! + 1))
    }
    row = next
  }
  return row[to.length]!
}

function describe(value: unknown, expected: string): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'object') {
    const name = classNameOf(value)
    // It is refused though it is one: without a word on that the message contradicts itself.
    const isTwin = name !== null && expected.split(/\W+/).includes(name)
    if (isTwin) return `an instance of another ${name}, that of a second copy of percore`
    return `an instance of ${value.constructor?.name ?? 'Object'}`
  }
  return `${String(value)} (a ${typeof value})`
}
