import { assert, NS_PER_MS, type RuntimeError } from '../../base/index.ts'
import {
  bindCancellation,
  type Cancellable,
  type Executor,
  type LooseWait,
  traceHere,
  Waiter,
  type WaitOptions,
} from '../../executor/index.ts'
import { Timer } from '../../reactor/index.ts'
import type { NetRing } from '../memory/net-ring.ts'
import type { SocketAddress } from '../values/address.ts'
import { ConnectAttempt, type ConnectSettings } from './connect.ts'
import type { Socket } from './socket.ts'

/** What all attempts of one connect have in common. */
export interface ConnectPlan {
  readonly net: NetRing
  /** Best first; at least one. */
  readonly addresses: readonly SocketAddress[]
  readonly settings: ConnectSettings
  readonly options: WaitOptions
  /** What is attempted, for messages: `connect to host, port 80`. */
  readonly action: string
}

/** How long an attempt has for itself before the next address is tried beside it; RFC 8305, section 5. */
export const ATTEMPT_DELAY_NS: number = 250 * NS_PER_MS

/**
 * Connects to the address that answers first.
 *
 * Addresses are tried in turn, their families taking turns as well: the next one as soon as one has failed,
 * or after 250 ms beside those under way, so that an address which does not answer costs no more than that.
 * The others are cancelled when one has answered, and closed. If all fail, their descriptors are closed
 * before it rejects.
 *
 * @throws the failure of the best address, with an `AggregateError` of all as its cause if there are several.
 *
 * Source: RFC 8305, "Happy Eyeballs".
 */
export function connectFirst(plan: ConnectPlan): Promise<Socket> {
  const { addresses, net, options, settings } = plan
  assert(addresses.length > 0, 'there is an address to connect to')
  if (addresses.length === 1) {
    return new ConnectAttempt(net, addresses[0]!, settings).start(options)
  }
  return new ConnectRace(plan).run()
}

/** The same addresses, families by turns; within a family, and for the first one, in the order given. */
export function interleaveFamilies(addresses: readonly SocketAddress[]): SocketAddress[] {
  const family = addresses[0]?.family
  const same = addresses.filter((address) => address.family === family)
  const other = addresses.filter((address) => address.family !== family)
  const result: SocketAddress[] = []
  for (let index = 0; index < Math.max(same.length, other.length); index++) {
    if (index < same.length) result.push(same[index]!)
    if (index < other.length) result.push(other[index]!)
  }
  return result
}

class ConnectRace implements Cancellable, LooseWait {
  readonly #plan: ConnectPlan
  readonly #executor: Executor
  readonly #addresses: readonly SocketAddress[]
  readonly #attempts: ConnectAttempt[] = []
  /** Why each attempt failed, in the order of the addresses. */
  readonly #failures: Error[] = []
  #failedCount = 0
  #winner: Socket | null = null
  #isCancelled = false
  #cancelReason: unknown = null
  /** Woken by what may change what is to be done next. */
  #change: Waiter<void> | null = null

  constructor(plan: ConnectPlan) {
    this.#plan = plan
    this.#executor = plan.net.executor
    this.#addresses = interleaveFamilies(plan.addresses)
  }

  async run(): Promise<Socket> {
    const binding = bindCancellation(this.#executor, this, this.#plan.options, this.#plan.action)
    const { loose } = this.#executor.waits
    loose.add(this)
    try {
      while (this.#winner === null && !this.#isCancelled) {
        if (this.#attempts.length < this.#addresses.length) this.#begin()
        else if (this.#failedCount === this.#addresses.length) break
        await this.#waitForChange()
      }
    } finally {
      loose.delete(this)
      binding?.end()
    }
    const winner = this.#winner
    if (winner === null) {
      await this.#endAttempts()
      throw this.#isCancelled ? traceHere(this.#cancelReason) : this.#failure()
    }
    void this.#endAttempts()
    return winner
  }

  /** Called by timers too, hence from a turn that may run no user code. */
  cancel(reason: unknown): void {
    if (this.#isCancelled) return
    this.#isCancelled = true
    this.#cancelReason = reason
    this.#change?.fulfil()
  }

  executorCloses(reason: RuntimeError): void {
    this.cancel(reason)
  }

  #begin(): void {
    const index = this.#attempts.length
    const { net, settings } = this.#plan
    const attempt = new ConnectAttempt(net, this.#addresses[index]!, settings)
    this.#attempts.push(attempt)
    attempt.start(undefined).then(
      (socket) => {
        // The loser of two that have answered at once is closed like the others.
        if (this.#winner === null && !this.#isCancelled) this.#winner = socket
        this.#change?.fulfil()
      },
      (error: Error) => {
        this.#failures[index] = error
        this.#failedCount++
        this.#change?.fulfil()
      },
    )
  }

  /** Until an attempt has ended, the next one is due, or it is cancelled. */
  async #waitForChange(): Promise<void> {
    const change = new Waiter<void>(this.#executor)
    this.#change = change
    const { timers } = this.#executor
    const timer = new AttemptTimer(change)
    if (this.#attempts.length < this.#addresses.length) {
      timers.arm(timer, this.#executor.nowNs() + ATTEMPT_DELAY_NS)
    }
    await change.promise
    timers.disarm(timer)
  }

  /** Cancels what is under way and closes all but the winner; resolves when they are closed. */
  async #endAttempts(): Promise<void> {
    const winner = this.#winner
    await Promise.all(this.#attempts.map((attempt) => attempt.socket !== winner && attempt.end()))
  }

  #failure(): Error {
    const first = this.#failures[0]!
    const each = this.#failures.map((failure) => failure.message).join('; ')
    // Nobody but this race awaited the attempt: its own stack ends there.
    Error.captureStackTrace(first)
    first.cause = new AggregateError(this.#failures, `Cannot ${this.#plan.action}: ${each}`)
    return first
  }
}

/** The next address is due. */
class AttemptTimer extends Timer {
  readonly #change: Waiter<void>

  constructor(change: Waiter<void>) {
    super(change.home)
    this.#change = change
  }

  override expire(): void {
    this.#change.fulfil()
  }

  override run(): void {}
}
