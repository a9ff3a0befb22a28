import { assert, RuntimeError } from '../base/index.ts'
import type { SocketAddress, TcpListenerShare } from '../net/index.ts'
import type { Driver } from './driver.ts'
import type { PortEvents } from './port-board.ts'
import type { OpenedPort, PortProgram } from './port-messages.ts'
import { assertSamePort, type CheckedPortOptions } from './port-options.ts'

/** Told of one driver's connections of a port. */
export type OnConnectionFailed = (driver: Driver, error: unknown) => void

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
  readonly #members = new Map<Driver, PortEvents>()
  #address: SocketAddress | null = null
  #share: TcpListenerShare | null = null
  #opening: Promise<unknown> = Promise.resolve()

  constructor(id: number, options: CheckedPortOptions) {
    this.id = id
    this.options = options
  }

  /** Null until it is open for the first time. */
  get address(): SocketAddress | null {
    return this.#address
  }

  get isEmpty(): boolean {
    return this.#members.size === 0
  }

  /** @throws {RuntimeError} `ERR_LISTENERS_DIFFER`; {@link RangeError} for a driver that serves it already. */
  assertJoinable(drivers: readonly Driver[], options: CheckedPortOptions): void {
    const [member] = this.#members.keys()
    if (member === undefined) return
    const first = { driver: member.name, options: this.#withPort() }
    assertSamePort(first, { driver: drivers[0]!.name, options })
    const twice = drivers.find((driver) => this.#members.has(driver))
    if (twice === undefined) return
    throw new RangeError(
      `Cannot serve a port as a driver must serve it once: '${twice.name}' does so already`,
    )
  }

  /** Has all of `drivers` serve it, or none. */
  join(drivers: readonly Driver[], onFailed: OnConnectionFailed): Promise<void> {
    for (const driver of drivers) {
      this.#members.set(driver, {
        onConnectionFailed: (error) => onFailed(driver, error),
        onStartedAgain: () => this.#openAgain(driver),
      })
    }
    return this.#inOrder(() => this.#openAll(drivers))
  }

  /** Resolves once none of `drivers` has a socket or a connection of it. */
  async leave(drivers: readonly Driver[], cutAfterMs: number): Promise<void> {
    for (const driver of drivers) this.#members.delete(driver)
    await Promise.all(drivers.map(({ shard }) => shard.ports.close(this.id, cutAfterMs)))
  }

  async #openAll(drivers: readonly Driver[]): Promise<void> {
    try {
      // The first one says which port it is, and has the socket.
      await this.#open(drivers[0]!)
      const others = drivers.slice(1).map((driver) => this.#open(driver))
      const failed = (await Promise.allSettled(others)).find(({ status }) => status === 'rejected')
      if (failed !== undefined) throw (failed as PromiseRejectedResult).reason
      const lost = drivers.find(({ shard }) => !shard.ports.isOpen(this.id))
      if (lost !== undefined) throw endedMeanwhile(lost)
    } catch (error) {
      await this.leave(drivers, 0)
      throw error
    }
    for (const { shard } of drivers) shard.ports.serve(this.id)
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
  }

  #ask(driver: Driver, share: TcpListenerShare | null): Promise<OpenedPort> {
    const { module, name, argument, accept, onError } = this.options
    const { listen } = this.#withPort()
    const program: PortProgram = {
      module,
      name,
      argument,
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

  /** Another thread is the driver now. */
  #openAgain(driver: Driver): void {
    void this.#inOrder(async () => {
      // Of two that have taken its place one after the other the last one opens it, for both.
      const isWanted = this.#members.has(driver) && !driver.shard.ports.isOpen(this.id)
      if (!isWanted || !driver.isRunning) return
      try {
        await this.#open(driver)
        driver.shard.ports.serve(this.id)
      } catch (error) {
        this.#giveUp(driver, error)
      }
    })
  }

  /** A driver that cannot serve its port has failed: whether there is another is for the policy of restarts. */
  #giveUp(driver: Driver, error: unknown): void {
    if (!this.#members.has(driver) || !driver.isRunning) return
    const why = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    process.emitWarning(
      `Driver '${driver.name}' could not listen again on port ${this.#address?.port}, and is terminated: ${why}`,
      { type: 'ShardFailure' },
    )
    void driver.shard.terminate()
  }

  #withPort(): CheckedPortOptions {
    const { options } = this
    const port = this.#address?.port ?? options.listen.port
    return { ...options, listen: { ...options.listen, port } }
  }

  #inOrder<T>(open: () => Promise<T>): Promise<T> {
    const opened = this.#opening.then(open)
    this.#opening = opened.catch(() => {})
    return opened
  }
}

/** @throws {RuntimeError} `ERR_LISTENERS_DIFFER`: a name of a host, say, is another address there. */
function assertSameAddress(first: SocketAddress, other: SocketAddress, driver: Driver): void {
  assert(first.port > 0 && other.port > 0, 'what listens has a port')
  if (first.port === other.port && first.host === other.host) return
  throw new RuntimeError(
    'ERR_LISTENERS_DIFFER',
    `Cannot serve a port as all its drivers must be alike: it is ${first.host}, port ${first.port}, and ${other.host}, port ${other.port}, on driver '${driver.name}'`,
  )
}

function endedMeanwhile({ name }: Driver): RuntimeError {
  return new RuntimeError(
    'ERR_SHARD_FAILED',
    `Cannot serve a port as its drivers must go on until all have opened it: '${name}' has ended`,
  )
}

function noLongerWanted(): RuntimeError {
  return new RuntimeError(
    'ERR_HANDLE_CLOSED',
    'Cannot open a port as it must be wanted: it was closed',
  )
}
