import { assert, type RuntimeError } from '../base/index.ts'
import {
  answerReady,
  checkCancellation,
  type Executor,
  executor,
  ListedWaiter,
  refuse,
  WaitList,
  type WaitListOwner,
  type WaitOptions,
} from '../executor/index.ts'

/** How a pool makes what it hands out; one per kind of guard, not per request. */
export interface GrantKind<G> {
  /** For messages: `acquire a permit`. */
  readonly action: string
  /** Wraps units that now belong to whoever asked. */
  grant(unitCount: number): G
}

/**
 * Units that go to whoever asks first: what semaphore, mutex and lock of readers and writers share.
 *
 * Strictly first come, first served: a fresh request never overtakes waiters, and a big one
 * is not starved by small ones behind it. Granting hands the units over in the same step, so that
 * nobody can take them in between, and a cancelled waiter cannot lose them.
 *
 * O(1) for each request, amortised; allocates nothing but the guard while units are free.
 */
export class PermitPool implements WaitListOwner {
  #available: number
  readonly #waiters = new WaitList<PoolWaiter<unknown>>(this)
  readonly #closedError: () => RuntimeError
  #isClosed = false

  constructor(unitCount: number, closedError: () => RuntimeError) {
    this.#available = unitCount
    this.#closedError = closedError
  }

  get available(): number {
    return this.#available
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  get waiterCount(): number {
    return this.#waiters.length
  }

  /** Takes units for `kind`, when it is their turn. */
  take<G>(kind: GrantKind<G>, unitCount: number, options: WaitOptions | undefined): Promise<G> {
    try {
      const current = executor()
      if (this.#isClosed) throw this.#closedError()
      if (this.#isFree(unitCount)) {
        checkCancellation(current, options, kind.action)
        this.#available -= unitCount
        return answerReady(current, kind.grant(unitCount))
      }
      const waiter = new PoolWaiter<G>(current, kind, unitCount)
      waiter.bindListed(current, options, kind.action)
      this.#waiters.push(waiter as PoolWaiter<unknown>)
      return waiter.promise
    } catch (error) {
      return refuse(error)
    }
  }

  /** Takes units if they are free, and nobody waits for any; else null. Throws if closed. */
  tryTake<G>(kind: GrantKind<G>, unitCount: number): G | null {
    if (this.#isClosed) throw this.#closedError()
    if (!this.#isFree(unitCount)) return null
    this.#available -= unitCount
    return kind.grant(unitCount)
  }

  /** Gives units back, or adds new ones. */
  give(unitCount: number): void {
    this.#available += unitCount
    assert(this.#available <= Number.MAX_SAFE_INTEGER, 'units are counted exactly')
    this.waiterLeft()
  }

  /** Fails whoever waits, and every later request. What is handed out stays so. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    if (this.#waiters.length > 0) this.#waiters.fail(this.#closedError())
  }

  /** Grants to the first in line, and those behind, for as long as the units last. */
  waiterLeft(): void {
    const waiters = this.#waiters
    for (let first = waiters.first; first !== null; first = waiters.first) {
      if (first.unitCount > this.#available) return
      waiters.shift()
      this.#available -= first.unitCount
      first.grant()
    }
  }

  #isFree(unitCount: number): boolean {
    // Nothing can be taken from waiters by taking nothing.
    return unitCount === 0 || (unitCount <= this.#available && this.#waiters.length === 0)
  }
}

class PoolWaiter<G> extends ListedWaiter<G> {
  readonly unitCount: number
  readonly #kind: GrantKind<G>

  constructor(current: Executor, kind: GrantKind<G>, unitCount: number) {
    super(current)
    this.#kind = kind
    this.unitCount = unitCount
  }

  grant(): void {
    this.fulfil(this.#kind.grant(this.unitCount))
  }
}
