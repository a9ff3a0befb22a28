import { refuseDifferences } from '../values/listen.ts'
import { checkUdpOptions, type UdpBindOptions } from './udp-options.ts'

/** The options of one UDP socket, and whose it is: `shard 1`. */
export interface NamedUdpOptions {
  readonly name: string
  readonly options: UdpBindOptions
}

/** Options that have a value also where they are not given. */
const DEFAULTS: Partial<UdpBindOptions> = {
  host: 'localhost',
  reuseAddress: false,
  reusePort: false,
  broadcast: false,
  multicastTtl: 1,
  multicastLoop: true,
  datagramBytesMax: 8192,
  receiveOffload: false,
}

/**
 * Refuses UDP sockets of one port that are not alike, which would treat a peer by the chance that it comes to one or the other:
 * `assertSameListeners()` for those. Pure, and cheap: on any thread.
 *
 * @throws {RuntimeError} `ERR_LISTENERS_DIFFER`, naming every option that differs, and both values of it.
 * @throws {TypeError | RangeError} for options of the wrong kind.
 *
 * @example
 * ```ts run
 * import { assertSameUdpSockets } from 'percore/net'
 *
 * const first = { name: 'shard 0', options: { port: 9000 } }
 * const second = { name: 'shard 1', options: { port: 9000, ttl: 3 } }
 * try {
 *   assertSameUdpSockets(first, second)
 * } catch (error) {
 *   console.log((error as Error).message) // … ttl is not given on shard 0, and 3 on shard 1
 * }
 * ```
 */
export function assertSameUdpSockets(first: NamedUdpOptions, other: NamedUdpOptions): void {
  const action = 'bind a socket'
  for (const { options } of [first, other]) checkUdpOptions(action, options, false)
  refuseDifferences(
    action,
    { name: first.name, options: withDefaults(first.options) },
    { name: other.name, options: withDefaults(other.options) },
  )
}

/** Signals and time limits do not count. */
function withDefaults(options: UdpBindOptions): Readonly<Record<string, unknown>> {
  const { signal: _signal, timeoutMs: _timeoutMs, ...own } = options
  return { ...DEFAULTS, ...own }
}
