import {
  optionNames,
  RuntimeError,
  validateBoolean,
  validateInteger,
  validateOptions,
} from '../../base/index.ts'
import type { WaitOptions } from '../../executor/index.ts'
import { type SocketAddress, validateEndpoint, validateFamily } from './address.ts'
import { readUnixListenOptions, type UnixListenOptions } from './unix-listen.ts'

/** Where to listen, and how; a signal or time limit ends the look-up of a name. */
export interface ListenOptions extends WaitOptions {
  /** An address or a name; `localhost`, which is 127.0.0.1, if not given. `0.0.0.0` or `::` for all. */
  readonly host?: string
  /** 0 lets the kernel choose. */
  readonly port: number
  /** Restricts the look-up of a name, so that the address of a listener or stream can be given as it is; any if not given. */
  readonly family?: SocketAddress['family']
  /** How many connections the kernel keeps until they are accepted; 1024 if not given. */
  readonly backlog?: number
  /**
   * Whether other listeners, of other threads, may share the port; false if not given. The kernel then gives each
   * connection to one of them by its addresses. One that is closed loses those it had not accepted: they are reset,
   * unless the system's `net.ipv4.tcp_migrate_req` is 1. {@link TcpListener.share} loses none.
   */
  readonly reusePort?: boolean
  /** Whether to listen although connections of an earlier listener linger; true if not given. */
  readonly reuseAddress?: boolean
  /** Whether a listener on `::` leaves IPv4 to others; false if not given, and then it accepts from both. */
  readonly ipv6Only?: boolean
  /** Whether accepted streams send small writes at once; true if not given. */
  readonly noDelay?: boolean
}

const NAMES = optionNames<ListenOptions>({
  host: true,
  port: true,
  family: true,
  backlog: true,
  reusePort: true,
  reuseAddress: true,
  ipv6Only: true,
  noDelay: true,
  signal: true,
  timeoutMs: true,
})

/** What a listener is like, with defaults filled in. */
export interface ListenerConfiguration {
  readonly host: string
  readonly port: number
  readonly family: SocketAddress['family'] | undefined
  readonly backlog: number
  readonly reusePort: boolean
  readonly reuseAddress: boolean
  readonly ipv6Only: boolean
  readonly noDelay: boolean
}

/** The options of one listener, and whose it is: `shard 1`. */
export interface NamedListenOptions {
  readonly name: string
  readonly options: ListenOptions | UnixListenOptions
}

/** @throws {TypeError | RangeError} for options of the wrong kind. */
export function readListenOptions(action: string, options: ListenOptions): ListenerConfiguration {
  validateOptions(action, options, NAMES)
  const { host = 'localhost', port, family, backlog = 1024 } = options
  validateEndpoint(action, host, port, 0)
  validateFamily(action, family, host)
  validateInteger(action, 'backlog', backlog, { min: 1, max: 2 ** 31 - 1 })
  for (const name of ['reusePort', 'reuseAddress', 'ipv6Only', 'noDelay'] as const) {
    if (options[name] !== undefined) validateBoolean(action, name, options[name])
  }
  const { reusePort = false, reuseAddress = true, ipv6Only = false, noDelay = true } = options
  return { host, port, family, backlog, reusePort, reuseAddress, ipv6Only, noDelay }
}

/**
 * Refuses listeners of one port that are not alike, which would treat a client by the chance that it comes to one or
 * the other. An option that is not given counts as its default; signals and time limits do not count. Pure, and
 * cheap: on any thread.
 *
 * @throws {RuntimeError} `ERR_LISTENERS_DIFFER`, naming every option that differs, and both values of it.
 * @throws {TypeError | RangeError} for options of the wrong kind.
 *
 * @example
 * ```ts run
 * import { assertSameListeners } from 'percore/net'
 *
 * const first = { name: 'shard 0', options: { port: 9000 } }
 * const second = { name: 'shard 1', options: { port: 9000, backlog: 128 } }
 * try {
 *   assertSameListeners(first, second)
 * } catch (error) {
 *   console.log((error as Error).message) // … backlog is 1024 on shard 0, and 128 on shard 1
 * }
 * ```
 */
export function assertSameListeners(first: NamedListenOptions, other: NamedListenOptions): void {
  const action = 'listen'
  const one = readEither(action, first.options)
  const two = readEither(action, other.options)
  refuseDifferences(action, { name: first.name, options: one }, { name: other.name, options: two })
}

/** The options of a socket with defaults filled in, and whose it is. */
interface NamedConfiguration {
  readonly name: string
  readonly options: Readonly<Record<string, unknown>>
}

/** @throws {RuntimeError} `ERR_LISTENERS_DIFFER`, naming every option that differs. */
export function refuseDifferences(
  action: string,
  first: NamedConfiguration,
  other: NamedConfiguration,
): void {
  const names = new Set([...Object.keys(first.options), ...Object.keys(other.options)])
  const differences = [...names]
    .filter((name) => first.options[name] !== other.options[name])
    .map((name) => {
      const values = [first.options[name] ?? 'not given', other.options[name] ?? 'not given']
      return `${name} is ${values[0]} on ${first.name}, and ${values[1]} on ${other.name}`
    })
  if (differences.length === 0) return
  throw new RuntimeError(
    'ERR_LISTENERS_DIFFER',
    `Cannot ${action} as all listeners of a port must be alike: ${differences.join('; ')}`,
  )
}

/** Those of either kind of listener, by their names; a Unix one has a path or an abstract name. */
function readEither(
  action: string,
  options: ListenOptions | UnixListenOptions,
): Readonly<Record<string, unknown>> {
  const isObject = typeof options === 'object' && options !== null
  const isUnix = isObject && ('path' in options || 'abstractName' in options)
  const read = isUnix ? readUnixListenOptions(action, options) : null
  return { ...(read ?? readListenOptions(action, options as ListenOptions)) }
}
