import { optionNames, validateInteger, validateOptions } from '../../base/index.ts'
import type { WaitOptions } from '../../executor/index.ts'
import { readUnixEndpoint, type UnixEndpoint } from './unix-endpoint.ts'

/** Where to listen, and how; a signal or time limit ends the wait for who repairs the same name. */
export interface UnixListenOptions extends UnixEndpoint, WaitOptions {
  /** How many connections the kernel keeps until they are accepted; 1024 if not given. */
  readonly backlog?: number
}

const NAMES = optionNames<UnixListenOptions>({
  path: true,
  abstractName: true,
  family: true,
  backlog: true,
  signal: true,
  timeoutMs: true,
})

/** What a Unix listener is like, with defaults filled in. */
export interface UnixListenerConfiguration {
  readonly path: string | null
  readonly abstractName: string | null
  readonly backlog: number
}

/** @throws {TypeError | RangeError} for options of the wrong kind. */
export function readUnixListenOptions(
  action: string,
  options: UnixListenOptions,
): UnixListenerConfiguration {
  validateOptions(action, options, NAMES)
  const { path, abstractName } = readUnixEndpoint(action, options)
  const { backlog = 1024 } = options
  validateInteger(action, 'backlog', backlog, { min: 1, max: 2 ** 31 - 1 })
  return { path, abstractName, backlog }
}
