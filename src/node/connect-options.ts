import {
  type BlockList,
  getDefaultAutoSelectFamily,
  getDefaultAutoSelectFamilyAttemptTimeout,
  isIP,
  type LookupFunction,
} from 'node:net'
import { nodeError, validatePort, wrongArgument } from './errors.ts'

/** Where to connect to, and how: the options of `net.connect()` that TCP has. */
export interface ConnectOptions {
  /** Needed unless there is a `path`. */
  readonly port?: number | string | undefined
  /** A Unix socket, in place of host and port; an abstract name after a NUL. */
  readonly path?: string | undefined
  /** `localhost` if not given. */
  readonly host?: string | undefined
  /** 4 or 6 restricts the look-up; 0 for any. */
  readonly family?: number | string | undefined
  /** Flags of `dns.lookup()`. */
  readonly hints?: number | undefined
  /** In place of `dns.lookup()`. */
  readonly lookup?: LookupFunction | undefined
  readonly noDelay?: boolean | undefined
  readonly keepAlive?: boolean | undefined
  readonly keepAliveInitialDelay?: number | undefined
  /** Whether to try all addresses of a name; Node's default if not given. */
  readonly autoSelectFamily?: boolean | undefined
  /** How long to try each address but the last, in milliseconds. */
  readonly autoSelectFamilyAttemptTimeout?: number | undefined
  /** The address and port of this machine to connect from; whichever the kernel takes if not given. */
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
  /** As {@link Socket.setTimeout}; also while it connects. */
  readonly timeout?: number | undefined
}

/** Where to connect to, with defaults filled in. */
export interface Destination {
  /** Null for TCP. */
  readonly path: string | null
  readonly host: string
  readonly port: number
  readonly family: number
  readonly hints: number
  readonly lookup: LookupFunction | null
  readonly triesAll: boolean
  readonly attemptTimeoutMs: number
  readonly noDelay: boolean
  readonly localAddress: string | undefined
  readonly localPort: number | undefined
  readonly blockList?: BlockList | undefined
}

const ATTEMPT_TIMEOUT_MS_MIN = 10

/**
 * @throws {TypeError} `ERR_MISSING_ARGS`, `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_IP_ADDRESS`; {RangeError} `ERR_SOCKET_BAD_PORT`.
 */
export function readDestination(given: Readonly<Record<string, unknown>>): Destination {
  const options = given as Partial<ConnectOptions>
  const { path, host, lookup, autoSelectFamily, autoSelectFamilyAttemptTimeout } = options
  const { localAddress, localPort } = options
  // Node looks at no port where there is a path.
  const port = path ? 0 : options.port
  if (port === undefined) {
    const message = 'The "options" or "port" or "path" argument must be specified'
    throw nodeError(TypeError, 'ERR_MISSING_ARGS', message)
  }
  if (typeof port !== 'number' && typeof port !== 'string') {
    throw wrongArgument('"options.port" property', 'one of type number or string', port)
  }
  if (host !== undefined && host !== null && typeof host !== 'string') {
    throw wrongArgument('"host" argument', 'of type string', host)
  }
  if (lookup !== undefined && lookup !== null && typeof lookup !== 'function') {
    throw wrongArgument('"options.lookup" property', 'of type function', lookup)
  }
  if (path && typeof path !== 'string') {
    throw wrongArgument('"options.path" property', 'of type string', path)
  }
  if (localAddress && isIP(localAddress) === 0) {
    throw nodeError(TypeError, 'ERR_INVALID_IP_ADDRESS', `Invalid IP address: ${localAddress}`)
  }
  if (localPort && typeof localPort !== 'number') {
    throw wrongArgument('"options.localPort" property', 'of type number', localPort)
  }
  const family =
    options.family === 'IPv4' ? 4 : options.family === 'IPv6' ? 6 : Number(options.family ?? 0)
  const timeoutMs = autoSelectFamilyAttemptTimeout ?? getDefaultAutoSelectFamilyAttemptTimeout()
  const isAnyFamily = family !== 4 && family !== 6 && !localAddress
  return {
    path: path || null,
    host: host || 'localhost',
    port: validatePort(port),
    family,
    hints: options.hints ?? 0,
    lookup: lookup ?? null,
    triesAll: (autoSelectFamily ?? getDefaultAutoSelectFamily()) && isAnyFamily,
    attemptTimeoutMs: Math.max(ATTEMPT_TIMEOUT_MS_MIN, timeoutMs),
    noDelay: options.noDelay === true,
    localAddress: localAddress || undefined,
    localPort: localPort || undefined,
  }
}

/** Whether a host is looked up. */
export function isName(host: string): boolean {
  return isIP(host) === 0
}
