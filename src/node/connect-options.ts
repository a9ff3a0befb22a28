import {
  getDefaultAutoSelectFamily,
  getDefaultAutoSelectFamilyAttemptTimeout,
  isIP,
  type LookupFunction,
} from 'node:net'
import { refuseOptions } from './arguments.ts'
import { nodeError, validatePort, wrongArgument } from './errors.ts'

/** Where to connect to, and how: the options of `net.connect()` that TCP has. */
export interface ConnectOptions {
  readonly port: number | string
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
  /** As {@link Socket.setTimeout}; also while it connects. */
  readonly timeout?: number | undefined
}

/** Where to connect to, with defaults filled in. */
export interface Destination {
  readonly host: string
  readonly port: number
  readonly family: number
  readonly hints: number
  readonly lookup: LookupFunction | null
  readonly triesAll: boolean
  readonly attemptTimeoutMs: number
  readonly noDelay: boolean
}

const UNSUPPORTED = ['path', 'localAddress', 'localPort']
const ATTEMPT_TIMEOUT_MS_MIN = 10

/**
 * @throws {TypeError} `ERR_MISSING_ARGS`, `ERR_INVALID_ARG_TYPE`; {RangeError} `ERR_SOCKET_BAD_PORT`;
 * {RuntimeError} `ERR_UNSUPPORTED`.
 */
export function readDestination(given: Readonly<Record<string, unknown>>): Destination {
  const options = given as Partial<ConnectOptions>
  refuseOptions('connect', given, UNSUPPORTED)
  const { port, host, lookup, autoSelectFamily, autoSelectFamilyAttemptTimeout } = options
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
  const family =
    options.family === 'IPv4' ? 4 : options.family === 'IPv6' ? 6 : Number(options.family ?? 0)
  const timeoutMs = autoSelectFamilyAttemptTimeout ?? getDefaultAutoSelectFamilyAttemptTimeout()
  return {
    host: host || 'localhost',
    port: validatePort(port),
    family,
    hints: options.hints ?? 0,
    lookup: lookup ?? null,
    triesAll: (autoSelectFamily ?? getDefaultAutoSelectFamily()) && family !== 4 && family !== 6,
    attemptTimeoutMs: Math.max(ATTEMPT_TIMEOUT_MS_MIN, timeoutMs),
    noDelay: options.noDelay === true,
  }
}

/** Whether a host is looked up. */
export function isName(host: string): boolean {
  return isIP(host) === 0
}
