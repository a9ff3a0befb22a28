/** Errors in the shape that `node:net` gives them: codes, fields and messages that programs match. */

import { KernelError } from '../base/index.ts'

/** Where an attempt to connect or listen went. */
export interface Place {
  /** Of an IP, or a path. */
  readonly address: string
  /** Of a path 0, which no error has; or -1, as Node has it where a server was to listen. */
  readonly port: number
}

type ErrorClass = new (message?: string, options?: ErrorOptions) => Error

/** An error of Node's own kind: `TypeError [ERR_…]`. */
export function nodeError(kind: ErrorClass, code: string, message: string): Error {
  return Object.assign(new kind(message), { code })
}

/** What a failed read, write or shutdown is to Node; what is no error of the kernel stays as it is. */
export function systemError(error: unknown, syscall: string): Error {
  if (!(error instanceof KernelError)) return asError(error)
  const { code, errno } = error
  const message = `${syscall} ${code}`
  return Object.assign(new Error(message, { cause: error }), { errno, code, syscall })
}

/** The same for what has an address: `connect ECONNREFUSED 127.0.0.1:80`. */
export function placeError(error: unknown, syscall: string, place: Place): Error {
  if (!(error instanceof KernelError)) return asError(error)
  const { code, errno } = error
  return describePlace({ code, errno, syscall, text: '' }, error, place)
}

/** The same for listening, whose messages say in words what is wrong. */
export function listenError(error: unknown, place: Place): Error {
  if (!(error instanceof KernelError)) return asError(error)
  const { code, errno } = error
  const text = /^\w+: (.*), \w+(?: '.*')?$/.exec(error.message)?.[1] ?? ''
  const named = text === '' ? '' : `: ${text}`
  return describePlace({ code, errno, syscall: 'listen', text: named }, error, place)
}

function describePlace(
  what: { code: string; errno: number; syscall: string; text: string },
  cause: unknown,
  { address, port }: Place,
): Error {
  const { code, errno, syscall, text } = what
  const where = port > 0 ? `${address}:${port}` : address
  const error = new Error(`${syscall} ${code}${text} ${where}`, { cause })
  Object.assign(error, { errno, code, syscall, address })
  return port === 0 ? error : Object.assign(error, { port })
}

/** What a failed connection to several addresses is to Node. */
export function severalErrors(errors: readonly Error[]): Error {
  const [first] = errors as readonly (Error & { code?: string })[]
  return Object.assign(new AggregateError(errors), { code: first?.code })
}

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('Cannot go on', { cause: error })
}

export function abortError(signal: AbortSignal): Error {
  const error = new Error('The operation was aborted', { cause: signal.reason })
  error.name = 'AbortError'
  return Object.assign(error, { code: 'ABORT_ERR' })
}

export function wrongArgument(name: string, expected: string, value: unknown): Error {
  const found = value === null || value === undefined ? String(value) : `type ${typeof value}`
  const message = `The ${name} must be ${expected}. Received ${found}`
  return nodeError(TypeError, 'ERR_INVALID_ARG_TYPE', message)
}

/** The port as a number. @throws {RangeError} `ERR_SOCKET_BAD_PORT` */
export function validatePort(port: unknown): number {
  const isGiven = typeof port === 'number' || (typeof port === 'string' && port.trim() !== '')
  const number = isGiven ? Number(port) : Number.NaN
  if (Number.isInteger(number) && number >= 0 && number <= 65_535) return number
  const message = `options.port should be >= 0 and < 65536. Received ${typeof port} (${String(port)}).`
  throw nodeError(RangeError, 'ERR_SOCKET_BAD_PORT', message)
}

/** Throws where nobody can catch it, as what a listener throws in a callback of Node is. */
export function throwUncaught(error: unknown): void {
  process.nextTick(rethrow, error)
}

function rethrow(error: unknown): never {
  throw error
}
