import { RuntimeError } from '../base/index.ts'
import { abortHub, createDeferred } from '../executor/index.ts'
import { type Address, formatAddress } from '../net/index.ts'
import type { Driver } from './driver.ts'
import type { PoolTimer } from './long-timer.ts'
import type { PortEvents } from './port-board.ts'
import type { OpenedPort, PortProgram } from './port-messages.ts'
import {
  assertSamePort,
  type CheckedPortOptions,
  type PortOutage,
  type PortWait,
} from './port-options.ts'
import { namePort, type PortShare, placeOf } from './port-transport.ts'

/** Told of one driver's connections of a port: what was thrown for some, and for how many more. */
export type OnConnectionsFailed = (
  driver: Driver,
  errors: readonly unknown[],
  skippedCount: number,
) => void

/** What a port asks of its runtime. */
export interface PortGroupHost {
  /** Resolves once the sockets are gone that others had on that port number. */
  readonly whenFree: Promise<unknown>
  setTimer(delayMs: number, callback: () => void): PoolTimer
  /** @throws {RuntimeError} `ERR_LISTENERS_DIFFER` if another group has the address already. */
  assertOwnAddress(group: PortGroup): void
}

/** Drivers that are about to serve a port. */
interface Joining {
  readonly drivers: readonly Driver[]
  /** Whether nobody waits for them any more: they have left. */
  isGivenUp: boolean
}

/**
 * All drivers of a runtime that serve one port, by one configuration. Belongs to the runtime's thread.
 *
 * What opens sockets goes one after the other: a driver that comes again, or another one, gets at the socket of those that have
 * it, or opens it as nobody has.
 */
export class PortGroup {
  /** The number by which drivers know the port. */
  readonly id: number
  readonly options: CheckedPortOptions
  readonly #host: PortGroupHost
  readonly #members = new Map<Driver, PortEvents>()
  #address: Address | null = null
  #share: PortShare | null = null
  #opening: Promise<unknown>
  #shut: Promise<unknown> = Promise.resolve()
  /** Whether drivers serve it; `down` once all of them have ended, until one is back or none will be. */
  #standing: 'closed' | 'open' | 'down' = 'closed'

  constructor(id: number, options: CheckedPortOptions, host: PortGroupHost) {
    this.id = id
    this.options = options
    this.#host = host
    this.#opening = host.whenFree
  }

  /** Null until it is open for the first time. */
  get address(): Address | null {
    return this.#address
  }

  get isEmpty(): boolean {
    return this.#members.size === 0
  }

  /** Resolves once those who have left have no socket of it any more. */
  get whenShut(): Promise<unknown> {
    return this.#shut
  }

  /** Whether these options need the same socket, whatever they call it. */
  mayClash({ transport, listen }: CheckedPortOptions): boolean {
    const own = this.#withPort()
    return transport === own.transport && placeOf(transport).mayClash(own.listen, listen)
  }

  /** Whether these options name what this one listens on: by the same words, or by its address. */
  isNamedBy({ transport, listen }: CheckedPortOptions): boolean {
    const own = this.#withPort()
    if (transport !== own.transport) return false
    return placeOf(transport).isSame(own.listen, listen, this.#address)
  }

  /** @throws {RuntimeError} `ERR_LISTENERS_DIFFER`; {@link RangeError} for a driver that serves it already. */
  assertJoinable(drivers: readonly Driver[], options: CheckedPortOptions): void {
    const [member] = this.#members.keys()
    if (member === undefined) return
    const first = { driver: member.name, options: this.#withPort() }
    // Named by its address, or by its name: both are the same.
    const place = placeOf(this.options.transport)
    const other = { ...options, listen: place.sayAs(this.options.listen, options.listen) }
    assertSamePort(first, { driver: drivers[0]!.name, options: other })
    const twice = drivers.find((driver) => this.#members.has(driver))
    if (twice === undefined) return
    throw new RangeError(
      `Cannot serve a port as a driver must serve it once: '${twice.name}' does so already`,
    )
  }

  /** Has all of `drivers` serve it, or none; rejects as `options` say, then none. */
  async join(
    drivers: readonly Driver[],
    { signal, timeoutMs }: PortWait,
    onFailed: OnConnectionsFailed,
  ): Promise<void> {
    for (const driver of drivers) {
      this.#members.set(driver, {
        onConnectionsFailed: (errors, count) => onFailed(driver, errors, count),
        onThreadEnded: () => this.#noteThreadEnd(driver),
        onStartedAgain: () => this.#openAgain(driver),
      })
    }
    const joining: Joining = { drivers, isGivenUp: false }
    const given = createDeferred<never>()
    const giveUp = (reason: unknown): void => {
      joining.isGivenUp = true
      given.reject(reason)
      // It may be a driver that never answers: nobody waits for that.
      void this.leave(drivers, 0)
    }
    const timer = this.#host.setTimer(timeoutMs, () => giveUp(this.#lateError(drivers, timeoutMs)))
    const target = { cancel: giveUp }
    const hub = signal === undefined ? null : abortHub(signal)
    hub?.add(target)
    try {
      await Promise.race([given.promise, this.#inOrder(() => this.#openAll(joining))])
    } finally {
      timer.cancel()
      hub?.remove(target)
    }
  }

  /** Resolves once none of `drivers` has a socket or a connection of it. */
  async leave(drivers: readonly Driver[], cutAfterMs: number): Promise<void> {
    for (const driver of drivers) this.#members.delete(driver)
    const closings = drivers.map(({ shard }) => shard.ports.close(this.id, cutAfterMs))
    this.#shut = Promise.all([this.#shut, ...closings.map(({ shut }) => shut)])
    await Promise.all(closings.map(({ closed }) => closed))
  }

  async #openAll(joining: Joining): Promise<void> {
    const { drivers } = joining
    try {
      assertWanted(joining)
      // The first one says which port it is, and has the socket.
      await this.#open(drivers[0]!)
      assertWanted(joining)
      const others = drivers.slice(1).map((driver) => this.#open(driver))
      const failed = (await Promise.allSettled(others)).find(({ status }) => status === 'rejected')
      if (failed !== undefined) throw (failed as PromiseRejectedResult).reason
      const lost = drivers.find(({ shard }) => !shard.ports.isOpen(this.id))
      if (lost !== undefined) throw endedMeanwhile(lost)
    } catch (error) {
      // Some may have joined again since it was given up.
      if (!joining.isGivenUp) await this.leave(drivers, 0)
      throw error
    }
    for (const { shard } of drivers) shard.ports.serve(this.id)
    this.#standing = 'open'
  }

  async #open(driver: Driver): Promise<void> {
    driver.shard.assertRunning('serve a port')
    let opened: OpenedPort
    try {
      opened = await this.#ask(driver, this.#share)
    } catch (error) {
      const { code } = error as { code?: unknown }
      // One that was closed meanwhile says so by the same code.
      const isWanted = this.#members.has(driver)
      if (code !== 'ERR_HANDLE_CLOSED' || this.#share === null || !isWanted) throw error
      // All who had the socket have ended since.
      this.#share = null
      opened = await this.#ask(driver, null)
    }
    this.#address ??= opened.address
    this.#share = opened.share
    assertSameAddress(this.#address, opened.address, driver)
    this.#host.assertOwnAddress(this)
  }

  #ask(driver: Driver, share: PortShare | null): Promise<OpenedPort> {
    const { transport, module, name, argument, accept, onError } = this.options
    const { listen } = this.#withPort()
    const program: PortProgram = {
      module,
      name,
      argument,
      transport,
      listen,
      share,
      isShared: accept === 'shared',
      tellsPeerErrors: onError !== undefined,
    }
    const events = this.#members.get(driver)
    // It was closed while it stood in line.
    if (events === undefined) return Promise.reject(noLongerWanted())
    return driver.shard.ports.open(this.id, program, events)
  }

  #noteThreadEnd({ shard }: Driver): void {
    // The runtime is being stopped, and whoever does that knows.
    if (shard.state === 'stopping') this.#standing = 'closed'
    // By then it is decided whether another thread takes its place.
    queueMicrotask(() => this.#checkOutage())
  }

  /** Tells where nobody listens any more: once when all have ended, and once more when none will be back. */
  #checkOutage(): void {
    const drivers = [...this.#members.keys()].map(({ shard }) => shard)
    if (drivers.length === 0 || drivers.some(({ ports }) => ports.isOpen(this.id))) return
    const isFinal = drivers.every(({ state }) => state === 'ended')
    if (this.#standing === 'closed' || (this.#standing === 'down' && !isFinal)) return
    this.#standing = isFinal ? 'closed' : 'down'
    this.#tell({ address: this.#address!, isFinal })
  }

  #tell(outage: PortOutage<Address>): void {
    const { onOutage } = this.options
    if (onOutage !== undefined) {
      onOutage(outage as PortOutage<never>)
      return
    }
    const { address, isFinal } = outage
    const until = isFinal ? 'none will be back' : 'until one is back'
    process.emitWarning(
      `${namePort(address)[0]!.toUpperCase()}${namePort(address).slice(1)} refuses connections as all its drivers have ended: ${until}`,
      { type: 'PortOutage' },
    )
  }

  /** Another thread is the driver now. */
  #openAgain(driver: Driver): void {
    void this.#inOrder(() => this.#reopen(driver))
  }

  /** Never rejects. Each has as long as all had at first, from its turn on: those before it take no time of it. */
  async #reopen(driver: Driver): Promise<void> {
    // Of two that have taken its place one after the other the last one opens it, for both.
    const isWanted = this.#members.has(driver) && !driver.shard.ports.isOpen(this.id)
    if (!isWanted || !driver.isRunning) return
    const { timeoutMs } = this.options
    const timer = this.#host.setTimer(timeoutMs, () => {
      this.#giveUp(driver, this.#lateError([driver], timeoutMs))
    })
    try {
      await this.#open(driver)
      driver.shard.ports.serve(this.id)
      this.#standing = 'open'
    } catch (error) {
      this.#giveUp(driver, error)
    } finally {
      timer.cancel()
    }
  }

  /** A driver that cannot serve its port has failed: whether there is another is for the policy of restarts. */
  #giveUp(driver: Driver, error: unknown): void {
    if (!this.#members.has(driver) || !driver.isRunning) return
    const why = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    process.emitWarning(
      `Driver '${driver.name}' could not listen again on ${namePort(this.#address!)}, and is terminated: ${why}`,
      { type: 'ShardFailure' },
    )
    void driver.shard.terminate()
  }

  #lateError(drivers: readonly Driver[], timeoutMs: number): RuntimeError {
    const late = drivers.filter(({ shard }) => !shard.ports.isOpen(this.id))
    const names = late.map(({ name }) => `'${name}'`).join(', ')
    const { transport, listen, module } = this.options
    const place =
      this.#address === null ? placeOf(transport).nameOptions(listen) : namePort(this.#address)
    return new RuntimeError(
      'ERR_TASK_TIMEOUT',
      `Cannot serve a port as all its drivers must have loaded ${module} and opened ${place} within ${timeoutMs} ms: ${names} had not`,
    )
  }

  #withPort(): CheckedPortOptions {
    const { options } = this
    if (this.#address === null) return options
    return { ...options, listen: placeOf(options.transport).locate(options.listen, this.#address) }
  }

  #inOrder<T>(open: () => Promise<T>): Promise<T> {
    const opened = this.#opening.then(open)
    this.#opening = opened.catch(() => {})
    return opened
  }
}

/** @throws {RuntimeError} `ERR_LISTENERS_DIFFER`: a name of a host, say, is another address there. */
function assertSameAddress(first: Address, other: Address, driver: Driver): void {
  const [own, its] = [formatAddress(first), formatAddress(other)]
  if (own === its) return
  throw new RuntimeError(
    'ERR_LISTENERS_DIFFER',
    `Cannot serve a port as all its drivers must be alike: it is ${own}, and ${its} on driver '${driver.name}'`,
  )
}

function endedMeanwhile({ name }: Driver): RuntimeError {
  return new RuntimeError(
    'ERR_SHARD_FAILED',
    `Cannot serve a port as its drivers must go on until all have opened it: '${name}' has ended`,
  )
}

function assertWanted({ isGivenUp }: Joining): void {
  if (isGivenUp) throw noLongerWanted()
}

function noLongerWanted(): RuntimeError {
  return new RuntimeError(
    'ERR_HANDLE_CLOSED',
    'Cannot open a port as it must be wanted: it was closed',
  )
}
