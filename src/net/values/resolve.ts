import { lookup } from 'node:dns/promises'
import { NS_PER_MS, RuntimeError } from '../../base/index.ts'
import {
  type Executor,
  timeoutError,
  Waiter,
  type WaitOptions,
  WaitStep,
} from '../../executor/index.ts'
import { parseAddress, type SocketAddress } from './address.ts'

/** Where to, as it was given. */
export interface Endpoint {
  readonly host: string
  readonly port: number
  /** Restricts the look-up of a name. */
  readonly family: SocketAddress['family'] | undefined
}

/** Whom names are looked up with; an object, so that tests can put another look-up in its place. */
export const resolver: { lookup: typeof lookup } = { lookup }

/**
 * The addresses of a host, best first; a literal one or `localhost` needs no look-up.
 *
 * Names are looked up as `node:dns` does, which asks the operating system on a thread of libuv's.
 *
 * @throws what `dns.lookup` does, such as `ENOTFOUND`; as {@link WaitOptions} say.
 * @throws {RuntimeError} `ERR_UNSUPPORTED` if none of its addresses is one of ours, and of the family; for a name on a
 * simulated kernel, whose runs must not depend on the machine's network.
 */
export async function resolveHost(
  executor: Executor,
  { host, port, family }: Endpoint,
  options: WaitOptions,
): Promise<readonly SocketAddress[]> {
  const literal = parseAddress(host, port)
  if (literal !== null) return [literal]
  if (host === 'localhost') {
    const both: readonly SocketAddress[] = [
      { host: '127.0.0.1', port, family: 'ipv4' },
      { host: '::1', port, family: 'ipv6' },
    ]
    return both.filter((address) => family === undefined || address.family === family)
  }
  if (executor.kernel.name === 'sim') throw outsideOfSimulation(host)
  // Neither call can be cancelled: what ends early is the wait.
  const waiter = new Waiter<readonly SocketAddress[]>(executor)
  waiter.bind(executor, options, 'resolve a host', nothing)
  const version = family === undefined ? 0 : family === 'ipv4' ? 4 : 6
  resolver.lookup(host, { all: true, family: version }).then(
    (found) => {
      const addresses = found
        .flatMap(({ address }) => parseAddress(address, port) ?? [])
        .filter((address) => family === undefined || address.family === family)
      if (addresses.length > 0) waiter.fulfil(addresses)
      else waiter.fail(unusable(host))
    },
    (error: unknown) => waiter.fail(error),
  )
  return await waiter.promise
}

/** What is left of a time limit that began at `startNs`. */
export function remainingOptions(
  executor: Executor,
  options: WaitOptions,
  startNs: number,
  action: string,
): WaitOptions {
  const { timeoutMs } = options
  if (timeoutMs === undefined) return options
  const leftMs = timeoutMs - (executor.nowNs() - startNs) / NS_PER_MS
  if (leftMs < 0) throw timeoutError(action, timeoutMs)
  return new WaitStep({ signal: options.signal, timeoutMs }, action, leftMs)
}

function unusable(host: string): RuntimeError {
  return new RuntimeError(
    'ERR_UNSUPPORTED',
    `Cannot resolve a host as it must have an IPv4 or IPv6 address, of the family given, without a named interface: current value is ${host}`,
  )
}

function outsideOfSimulation(host: string): RuntimeError {
  return new RuntimeError(
    'ERR_UNSUPPORTED',
    `Cannot resolve a host as a simulated machine must be given an address, or localhost: current value is ${host}`,
  )
}

function nothing(): void {}
