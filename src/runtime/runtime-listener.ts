import { count, RuntimeError, showAs } from '../base/index.ts'
import { type Address, formatAddress, type SocketAddress } from '../net/index.ts'
import type { Driver } from './driver.ts'
import { checkStop, type StopOptions } from './executor-pool.ts'
import type { PortGroup } from './port-group.ts'
import { namePort, type Transport } from './port-transport.ts'
import { describeError } from './shard-exit.ts'
import type { ThreadStarter } from './shard-thread.ts'

/** A port that drivers of a runtime serve: made by {@link Runtime.listen}. */
export class RuntimeListener<Where extends Address = SocketAddress> implements AsyncDisposable {
  static {
    showAs(
      RuntimeListener,
      ({ transport, address, drivers, isClosed }) =>
        `RuntimeListener ${transport} ${formatAddress(address)} on ${count(drivers.length, 'driver')}${isClosed ? ', closed' : ''}`,
    )
  }

  readonly transport: Transport
  readonly drivers: readonly Driver[]
  readonly #group: PortGroup
  readonly #starter: ThreadStarter
  readonly #onLeft: () => void
  #failureCount = 0
  #closed: Promise<void> | null = null

  /** @internal */
  constructor(
    group: PortGroup,
    drivers: readonly Driver[],
    parts: { readonly starter: ThreadStarter; readonly onLeft: () => void },
  ) {
    this.transport = group.options.transport
    this.drivers = Object.freeze([...drivers])
    this.#group = group
    this.#starter = parts.starter
    this.#onLeft = parts.onLeft
  }

  /** What all drivers listen on, with the port that the kernel chose if it had to. */
  get address(): Where {
    return this.#group.address as Where
  }

  /** How many connections have failed: what their functions threw. */
  get failureCount(): number {
    return this.#failureCount
  }

  /** Whether {@link close} was called, or all drivers have ended. */
  get isClosed(): boolean {
    return this.#closed !== null || this.drivers.every(({ shard }) => shard.state === 'ended')
  }

  /** Whether any of its drivers listens now: not while all have ended and none is back. O(drivers). */
  get isListening(): boolean {
    const { id } = this.#group
    return this.drivers.some(({ shard }) => shard.ports.isOpen(id))
  }

  /**
   * Stops listening on all its drivers, and resolves when no connection is left: the signals of their ports are aborted, at half
   * of the deadline the tasks of those that go on are cancelled and their streams closed. The drivers go on.
   *
   * Again is nothing.
   *
   * @throws {RuntimeError} `ERR_TASK_TIMEOUT` at the deadline, naming the drivers that have not answered, since they do not come
   * to it; the port is closed there as soon as they do.
   * @throws {TypeError | RangeError} for options of the wrong kind.
   */
  async close(options: StopOptions = {}): Promise<void> {
    const deadlineMs = checkStop('close a port', options)
    this.#closed ??= this.#close(deadlineMs)
    await this.#closed
  }

  /** {@link close}, with the deadline that is given where none is. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @internal */
  noteFailures(driver: Driver, errors: readonly unknown[], skippedCount: number): void {
    const isFirst = this.#failureCount === 0
    this.#failureCount += errors.length + skippedCount
    const { onError } = this.#group.options
    if (onError === undefined) {
      if (isFirst) this.#warn(driver, errors[0])
      return
    }
    const last = errors.length - 1
    for (const [index, error] of errors.entries()) {
      const failure = { error, driver, skippedCount: index === last ? skippedCount : 0 }
      // Apart from what goes on here: a listener that throws is its own failure.
      queueMicrotask(() => onError(failure))
    }
  }

  #warn({ name }: Driver, error: unknown): void {
    const stack = error instanceof Error && error.stack !== undefined ? `\n${error.stack}` : ''
    const port = namePort(this.address)
    const threw = `on driver '${name}' threw ${describeError(error)}`
    const told =
      this.transport === 'udp'
        ? `The function of UDP ${port} ${threw}, and is called again; further failures are counted`
        : `A connection of ${port} ${threw}, and nobody has asked; further ones are counted`
    process.emitWarning(`${told}${stack}`, { type: 'ConnectionFailure' })
  }

  async #close(deadlineMs: number): Promise<void> {
    const silent = new Set(this.drivers)
    const all = this.drivers.map(async (driver) => {
      await this.#group.leave([driver], deadlineMs / 2)
      silent.delete(driver)
    })
    await new Promise<void>((resolve) => {
      const deadline = this.#starter.setTimer(deadlineMs, resolve)
      void Promise.all(all).then(() => {
        deadline.cancel()
        resolve()
      })
    })
    this.#onLeft()
    if (silent.size === 0) return
    const names = [...silent].map(({ name }) => `'${name}'`).join(', ')
    throw new RuntimeError(
      'ERR_TASK_TIMEOUT',
      `Cannot close ${namePort(this.address)} as its drivers must answer within ${deadlineMs} ms: ${names} did not`,
    )
  }
}
