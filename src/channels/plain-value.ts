/**
 * What MessagePack carries exactly, what structured clone does, and what neither: so that no value arrives as something else.
 */
import { types } from 'node:util'

/** How deep a value is looked into before it is left to structured clone, which finds its cycles. */
const DEPTH_MAX = 64
const INT64_MIN = -(2n ** 63n)
const UINT64_MAX = 2n ** 64n - 1n

/** After so many objects those that follow are remembered, and none is looked into again. */
const UNREMEMBERED_MAX = 4096

/** How many objects of the value were looked into, and those that are remembered. */
let lookedCount = 0
let remembered: Set<object> | null = null

/**
 * Whether MessagePack gives back the same: null, booleans, numbers, strings, arrays, plain objects, Uint8Array. O(size).
 *
 * Of large values not where an object is there twice: MessagePack would have it twice as well, and what is in it four
 * times where that is there twice again, and so on. Structured clone has each once.
 */
export function isPlain(value: unknown): boolean {
  lookedCount = 0
  remembered = null
  const is = isPlainPart(value, 0)
  remembered = null
  return is
}

function isPlainPart(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
      return isPlainString(value)
    case 'number':
      // 0 stands for both zeros there.
      return value !== 0 || 1 / value > 0
    case 'boolean':
    case 'undefined':
      return true
    case 'bigint':
      return value >= INT64_MIN && value <= UINT64_MAX
    case 'object':
      return (
        value === null || (depth < DEPTH_MAX && isNew(value) && isPlainObject(value, depth + 1))
      )
    default:
      return false
  }
}

function isNew(value: object): boolean {
  if (++lookedCount <= UNREMEMBERED_MAX) return true
  remembered ??= new Set()
  const { size } = remembered
  return remembered.add(value).size > size
}

function isPlainObject(value: object, depth: number): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Array.prototype) return isPlainArray(value as unknown[], depth)
  if (prototype === Uint8Array.prototype) return !isShared(value as Uint8Array)
  if (prototype !== Object.prototype) return false
  const record = value as Record<string, unknown>
  for (const key of Object.keys(record)) {
    // These mean something to those who read objects.
    if (key === '__proto__' || key === 'constructor' || !isPlainString(key)) return false
    if (!isPlainPart(record[key], depth)) return false
  }
  return true
}

function isPlainArray(values: readonly unknown[], depth: number): boolean {
  for (let index = 0; index < values.length; index++) {
    const value = values[index]
    if (value === undefined && !(index in values)) return false
    if (!isPlainPart(value, depth)) return false
  }
  return true
}

/** Whether it is the same again as UTF-8: no half of a pair, and no mark that readers take off. */
function isPlainString(value: string): boolean {
  return value.charCodeAt(0) !== 0xfeff && (value as unknown as Wellformed).isWellFormed()
}

interface Wellformed {
  isWellFormed(): boolean
}

/** Prototypes of what structured clone gives back as it was, beside plain objects and arrays. */
const CLONED: ReadonlySet<object> = new Set<object>([
  Date.prototype,
  RegExp.prototype,
  Boolean.prototype,
  Number.prototype,
  String.prototype,
  BigInt.prototype,
  ArrayBuffer.prototype,
  DataView.prototype,
  Buffer.prototype,
  Error.prototype,
  EvalError.prototype,
  RangeError.prototype,
  ReferenceError.prototype,
  SyntaxError.prototype,
  TypeError.prototype,
  URIError.prototype,
])

/**
 * Refuses what structured clone would leave out, or make something else of: functions, symbols, and instances of classes,
 * wherever they are. O(size).
 *
 * @throws {TypeError} that names the place.
 */
export function assertCloneable(value: unknown): void {
  const seen = new Set<object>()
  const pending: Found[] = [{ value, path: 'value' }]
  for (let found = pending.pop(); found !== undefined; found = pending.pop()) {
    const { value: one, path } = found
    if (typeof one === 'function' || typeof one === 'symbol') throw refused(path, `a ${typeof one}`)
    if (typeof one !== 'object' || one === null || seen.has(one)) continue
    seen.add(one)
    collect(one, path, pending)
  }
}

/** A value, and where it was. */
interface Found {
  readonly value: unknown
  readonly path: string
}

/** Adds what is in an object to what is to be looked at. */
function collect(value: object, path: string, pending: Found[]): void {
  const prototype: object | null = Object.getPrototypeOf(value)
  if (ArrayBuffer.isView(value) && isShared(value)) throw refused(path, 'a view of shared memory')
  if (prototype === Map.prototype) {
    let index = 0
    for (const [key, one] of value as Map<unknown, unknown>) {
      pending.push({ value: key, path: `${path}.keys[${index}]` })
      pending.push({ value: one, path: `${path}.values[${index++}]` })
    }
  } else if (prototype === Set.prototype) {
    let index = 0
    for (const one of value as Set<unknown>)
      pending.push({ value: one, path: `${path}.values[${index++}]` })
  } else if (prototype !== null && CLONED.has(prototype)) {
    if (value instanceof Error && 'cause' in value)
      pending.push({ value: value.cause, path: `${path}.cause` })
  } else if (!isCloned(value, prototype)) {
    throw refused(path, `an instance of ${nameOf(value)}`)
  } else if (!ArrayBuffer.isView(value)) {
    for (const [key, one] of Object.entries(value))
      pending.push({ value: one, path: `${path}.${key}` })
  }
}

/** Whether it is an object without a class, an array, or a view of numbers. */
function isCloned(value: object, prototype: object | null): boolean {
  if (prototype === null || isObjectPrototype(prototype)) return true
  const parent: object | null = Object.getPrototypeOf(prototype)
  // Of whatever realm: a class of users' would stand in between.
  if (Array.isArray(value)) return parent !== null && isObjectPrototype(parent)
  return types.isTypedArray(value) && parent === Object.getPrototypeOf(Uint8Array.prototype)
}

/** Whether it is `Object.prototype`, of this realm or another (a `vm` context, a test runner's). */
function isObjectPrototype(prototype: object): boolean {
  if (prototype === Object.prototype) return true
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf')
}

/** Whether what arrives would be a copy, in which nobody sees what is written here. */
function isShared({ buffer }: ArrayBufferView): boolean {
  return buffer instanceof SharedArrayBuffer
}

function nameOf(value: object): string {
  const found = (value as { readonly constructor?: unknown }).constructor
  return typeof found === 'function' && found.name !== '' ? found.name : 'a class'
}

function refused(path: string, what: string): TypeError {
  return new TypeError(
    `Cannot send to a channel of msgpack as every part of a value must arrive as it is: ${path} is ${what}`,
  )
}
