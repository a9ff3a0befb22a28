import { KernelError, RuntimeError, type RuntimeErrorCode } from './errors.ts'

/** Causes of causes that cross to another thread. */
const DEPTH_MAX = 8
/** Errors within an AggregateError that cross. */
const ERROR_COUNT_MAX = 64
/** What errors of Node, of the kernel and of percore say beside their message. */
const DETAILS = ['code', 'errno', 'syscall', 'path', 'fd', 'address', 'port', 'dest'] as const

/** What was thrown, as plain data: structured clone alone drops `code`, and refuses what it cannot clone. */
export type ErrorRecord =
  | {
      readonly kind: 'error'
      readonly name: string
      readonly message: string
      readonly stack: string
      /** Which class to make it from at the other side. */
      readonly origin: 'runtime' | 'kernel' | 'other'
      readonly details: Readonly<Record<string, string | number>>
      readonly cause: ErrorRecord | null
      readonly errors: readonly ErrorRecord[] | null
    }
  /** No Error; a value that was cloned, or the text of one that cannot be. */
  | { readonly kind: 'value'; readonly value: unknown }

/** Writes down what was thrown. Never throws, whatever that is. */
export function recordError(thrown: unknown, depth = 0): ErrorRecord {
  if (!(thrown instanceof Error)) return { kind: 'value', value: cloneOrShow(thrown) }
  const details: Record<string, string | number> = {}
  for (const name of DETAILS) {
    const value = (thrown as unknown as Record<string, unknown>)[name]
    if (typeof value === 'string' || typeof value === 'number') details[name] = value
  }
  const { cause, errors } = thrown as { cause?: unknown; errors?: unknown }
  const isDeep = depth >= DEPTH_MAX
  return {
    kind: 'error',
    name: String(thrown.name),
    message: String(thrown.message),
    stack: String(thrown.stack ?? ''),
    origin: originOf(thrown),
    details,
    cause: cause === undefined || isDeep ? null : recordError(cause, depth + 1),
    errors:
      Array.isArray(errors) && !isDeep
        ? errors.slice(0, ERROR_COUNT_MAX).map((error) => recordError(error, depth + 1))
        : null,
  }
}

/** What was thrown, as this thread has it: of the same class where that is percore's, or JavaScript's own. */
export function reviveError(record: ErrorRecord): unknown {
  if (record.kind === 'value') return record.value
  const { details } = record
  const error = createError(record)
  const hidden = { configurable: true, writable: true, enumerable: false }
  if (error.name !== record.name) {
    Object.defineProperty(error, 'name', { ...hidden, value: record.name })
  }
  Object.defineProperty(error, 'stack', { ...hidden, value: record.stack })
  Object.assign(error, details)
  if (record.cause !== null) {
    Object.defineProperty(error, 'cause', { ...hidden, value: reviveError(record.cause) })
  }
  return error
}

function originOf(error: Error): 'runtime' | 'kernel' | 'other' {
  if (error instanceof RuntimeError) return 'runtime'
  return error instanceof KernelError ? 'kernel' : 'other'
}

function createError(record: ErrorRecord & { readonly kind: 'error' }): Error {
  const { name, message, origin, details, errors } = record
  if (origin === 'runtime') return new RuntimeError(details.code as RuntimeErrorCode, message)
  if (errors !== null) return new AggregateError(errors.map(reviveError), message)
  const error = createBuiltIn(name, message)
  if (origin === 'kernel') Object.setPrototypeOf(error, KernelError.prototype)
  return error
}

function createBuiltIn(name: string, message: string): Error {
  switch (name) {
    case 'TypeError':
      return new TypeError(message)
    case 'RangeError':
      return new RangeError(message)
    case 'SyntaxError':
      return new SyntaxError(message)
    case 'ReferenceError':
      return new ReferenceError(message)
    default:
      return new Error(message)
  }
}

function cloneOrShow(value: unknown): unknown {
  try {
    return structuredClone(value)
  } catch {
    return show(value)
  }
}

function show(value: unknown): string {
  try {
    return String(value)
  } catch {
    return Object.prototype.toString.call(value)
  }
}
