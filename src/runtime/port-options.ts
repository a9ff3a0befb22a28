import { resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import {
  isAbortSignal,
  optionNames,
  RuntimeError,
  validateDurationMs,
  validateFunction,
  validateOptions,
  validateString,
  wrongType,
} from '../base/index.ts'
import type {
  Address,
  ListenOptions,
  SocketAddress,
  UdpBindOptions,
  UnixAddress,
  UnixListenOptions,
} from '../net/index.ts'
import type { Driver } from './driver.ts'
import { checkModule } from './module-url.ts'
import { checkArgument } from './pool-options.ts'
import { type PortListen, placeOf, type Transport } from './port-transport.ts'

/** What a function threw that served a connection. */
export interface ConnectionFailure {
  readonly error: unknown
  readonly driver: Driver
  /** Connections of that driver that failed at the same time, and of which only the number is told, as they were too many; mostly 0. */
  readonly skippedCount: number
}

/** All drivers of a port have ended, and with them its sockets: clients are refused, and what waited to be accepted is reset. */
export interface PortOutage<Where extends Address = SocketAddress> {
  readonly address: Where
  /** Whether it is over: none of them is restarted. Else the port is served again as soon as one is back. */
  readonly isFinal: boolean
}

/** Who serves a port, of whatever transport, and what is told of it. */
interface CommonPortOptions<Argument, Where extends Address> {
  /**
   * How long all drivers may take to load the module and open the port, in milliseconds; 60,000 if not given. A driver that is
   * restarted is given as long, and is terminated then.
   */
  readonly timeoutMs?: number
  /** Whose export serves each connection: a URL, as `new URL('./serve.js', import.meta.url)` makes it, or an absolute path. */
  readonly module: URL | string
  /** The name of that export; `default` if not given. It is called as a {@link ConnectionMain}. */
  readonly name?: string
  /** What each driver gets a copy of, by structured clone; shared memory is shared. */
  readonly argument?: Argument
  /** Who serves the port; all drivers of the kinds `io` and `hybrid` if not given. */
  readonly drivers?: readonly Driver[]
  /**
   * Called on this thread with what functions threw for connections; where very many fail at once, for some of them. If it is not given the first failure is a warning of the
   * process, and further ones are counted only; a connection that its peer has broken counts as none then.
   */
  readonly onError?: (failure: ConnectionFailure) => void
  /**
   * Called on this thread when all drivers of the port have ended by themselves, and once more if none of those that were to be restarted will be back. A
   * warning of the process tells it if this is not given. Of several calls of {@link Runtime.listen} for one port the first one's counts.
   */
  readonly onOutage?: (outage: PortOutage<Where>) => void
}

/** Which port of TCP is served, by whom, and how. */
export interface PortOptions<Argument = unknown>
  extends CommonPortOptions<Argument, SocketAddress>,
    Omit<ListenOptions, 'reusePort' | 'timeoutMs'> {
  /** The transport; `tcp` if not given. */
  readonly transport?: 'tcp'
  /**
   * `shared`, the default: one socket, from which the driver takes a connection that waits for one, in turns; one that is busy
   * takes none, and one that ends loses none. `reusePort`: a socket for each driver, among which the kernel spreads connections
   * by a hash of addresses, for nothing; those that a driver had not accepted are reset as it ends.
   */
  readonly accept?: 'shared' | 'reusePort'
}

/**
 * Which Unix socket is served, by whom, and how: one socket, from which the driver takes a connection that waits for one, in
 * turns. Its file is removed by the last driver that closes it.
 */
export interface UnixPortOptions<Argument = unknown>
  extends CommonPortOptions<Argument, UnixAddress>,
    Omit<UnixListenOptions, 'timeoutMs'> {
  readonly transport: 'unix'
}

/**
 * Which port of UDP is served, by whom, and how: a socket for each driver, among which the kernel spreads senders by a hash of
 * addresses.
 */
export interface UdpPortOptions<Argument = unknown>
  extends CommonPortOptions<Argument, SocketAddress>,
    Omit<UdpBindOptions, 'reusePort' | 'timeoutMs'> {
  readonly transport: 'udp'
}

/** Which port is served, of any transport. */
export type AnyPortOptions<Argument = unknown> =
  | PortOptions<Argument>
  | UdpPortOptions<Argument>
  | UnixPortOptions<Argument>

const COMMON_NAMES = {
  transport: true,
  module: true,
  name: true,
  argument: true,
  drivers: true,
  onError: true,
  onOutage: true,
  family: true,
  signal: true,
  timeoutMs: true,
} as const
const UNIX_NAMES = optionNames<UnixPortOptions>({
  ...COMMON_NAMES,
  backlog: true,
  path: true,
  abstractName: true,
})
const UDP_NAMES = optionNames<UdpPortOptions>({
  ...COMMON_NAMES,
  host: true,
  port: true,
  reuseAddress: true,
  ipv6Only: true,
  broadcast: true,
  ttl: true,
  multicastTtl: true,
  multicastLoop: true,
  multicastInterface: true,
  receiveBufferBytes: true,
  sendBufferBytes: true,
  datagramBytesMax: true,
  receiveOffload: true,
})
const TCP_NAMES = optionNames<PortOptions>({
  ...COMMON_NAMES,
  backlog: true,
  accept: true,
  host: true,
  port: true,
  reuseAddress: true,
  ipv6Only: true,
  noDelay: true,
})
const ACTION = 'serve a port'
const TIMEOUT_MS = 60_000
/** What fits the address of a socket, without the NUL behind it. */
const PATH_BYTES_MAX = 107

/** How long somebody waits for a port to be open. */
export interface PortWait {
  readonly signal: AbortSignal | undefined
  readonly timeoutMs: number
}

/** {@link PortOptions}, checked. */
export interface CheckedPortOptions extends PortWait {
  readonly transport: Transport
  readonly module: string
  readonly name: string
  readonly argument: unknown
  readonly accept: 'shared' | 'reusePort'
  readonly listen: PortListen
  readonly onError: ((failure: ConnectionFailure) => void) | undefined
  readonly onOutage: ((outage: PortOutage<never>) => void) | undefined
}

/** @throws {TypeError | RangeError} for options of the wrong kind. */
export function checkPortOptions(options: AnyPortOptions): CheckedPortOptions {
  const given = (options as Partial<AnyPortOptions> | undefined)?.transport
  const isUnix = given === 'unix'
  const isUdp = given === 'udp'
  validateOptions(ACTION, options, isUnix ? UNIX_NAMES : isUdp ? UDP_NAMES : TCP_NAMES)
  const { transport = 'tcp', module, name = 'default', argument, drivers, ...rest } = options
  const { accept = isUdp ? 'reusePort' : 'shared', ...withoutAccept } = rest as Omit<
    PortOptions,
    'transport'
  >
  const { onError, onOutage, signal, ...timed } = withoutAccept
  const { timeoutMs = TIMEOUT_MS, ...listen } = timed
  validateDurationMs(ACTION, 'timeoutMs', timeoutMs)
  if (signal !== undefined && !isAbortSignal(signal)) {
    throw wrongType(ACTION, 'signal', 'an AbortSignal', signal)
  }
  if (transport !== 'tcp' && transport !== 'udp' && transport !== 'unix') {
    throw wrongType(ACTION, 'transport', "'tcp', 'udp' or 'unix'", transport)
  }
  validateString(ACTION, 'name', name)
  if (accept !== 'shared' && accept !== 'reusePort') {
    throw wrongType(ACTION, 'accept', "'shared' or 'reusePort'", accept)
  }
  if (onError !== undefined) validateFunction(ACTION, 'onError', onError)
  if (onOutage !== undefined) validateFunction(ACTION, 'onOutage', onOutage)
  if (drivers !== undefined && !Array.isArray(drivers)) {
    throw wrongType(ACTION, 'drivers', 'an array of drivers', drivers)
  }
  if (isUnix) checkHasName(listen as unknown as UnixListenOptions)
  const checked = {
    transport,
    module: checkModule(ACTION, module),
    name,
    argument: checkArgument(ACTION, argument),
    accept,
    listen: isUnix
      ? fromHere(listen as unknown as UnixListenOptions)
      : { ...listen, reusePort: accept === 'reusePort' },
    onError,
    onOutage: onOutage as CheckedPortOptions['onOutage'],
    signal,
    timeoutMs,
  }
  // What a driver would refuse is found here, before any of them has opened anything.
  const own = { name, options: checked.listen }
  placeOf(transport).assertSame(own, own)
  return checked
}

/** Without either it would be taken for a port of IP. */
function checkHasName({ path = null, abstractName = null }: UnixListenOptions): void {
  if (path !== null || abstractName !== null) return
  throw new TypeError(
    `Cannot ${ACTION} as a Unix socket must have a path or an abstractName: none is given`,
  )
}

/** The same place from wherever the program goes later, where an address has room for that. */
function fromHere(listen: UnixListenOptions): UnixListenOptions {
  const { path } = listen
  if (typeof path !== 'string' || path === '') return listen
  const absolute = resolve(path)
  return Buffer.byteLength(absolute) > PATH_BYTES_MAX ? listen : { ...listen, path: absolute }
}

/** The options of a port, and a driver that serves it by them. */
export interface PortOfDriver {
  readonly driver: string
  readonly options: CheckedPortOptions
}

/**
 * Refuses drivers of one port that would not treat all clients alike: a client comes to one or the other by chance.
 *
 * @throws {RuntimeError} `ERR_LISTENERS_DIFFER`, naming what differs, and both values of it.
 */
export function assertSamePort(first: PortOfDriver, other: PortOfDriver): void {
  const nameOf = ({ driver }: PortOfDriver): string => `driver '${driver}'`
  placeOf(first.options.transport).assertSame(
    { name: nameOf(first), options: first.options.listen },
    { name: nameOf(other), options: other.options.listen },
  )
  const differences = (['module', 'name', 'argument'] as const)
    .filter((name) => !isDeepStrictEqual(first.options[name], other.options[name]))
    .map((name) => {
      const show = ({ options }: PortOfDriver): string =>
        JSON.stringify(options[name]) ?? 'not given'
      return name === 'argument'
        ? `argument of ${nameOf(first)} is not equal to that of ${nameOf(other)}`
        : `${name} is ${show(first)} on ${nameOf(first)}, and ${show(other)} on ${nameOf(other)}`
    })
  if (differences.length === 0) return
  throw new RuntimeError(
    'ERR_LISTENERS_DIFFER',
    `Cannot ${ACTION} as all its drivers must be alike: ${differences.join('; ')}`,
  )
}
