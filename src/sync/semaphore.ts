import { RuntimeError, showAs, validateInteger } from '../base/index.ts'
import { refuse, type WaitOptions } from '../executor/index.ts'
import { Permit } from './permit.ts'
import { type GrantKind, PermitPool } from './permit-pool.ts'
import { stateOf } from './state-of.ts'

const COUNT_BOUNDS = { min: 0, max: Number.MAX_SAFE_INTEGER }

/**
 * Units to be had by {@link Permit}, in the order in which they were asked for.
 *
 * Local to one executor. A fresh request never overtakes waiters, and a big one is not
 * starved by small ones behind it. A unit that was granted stays granted if its waiter is cancelled
 * afterwards; a waiter that is cancelled before lets those behind it move up. O(1); a permit that is
 * free is answered at once, within the turn's budget.
 *
 * Source: glommio::sync::Semaphore, without its barging.
 *
 * @example At most two at a time
 * ```ts run
 * import { yieldNow } from 'percore'
 * import { Semaphore } from 'percore/sync'
 *
 * const slots = new Semaphore(2)
 *
 * async function work(name: string): Promise<void> {
 *   using permit = await slots.acquire()
 *   console.log(name, 'holds', permit.count, 'of', slots.available + permit.count)
 *   await yieldNow()
 * }
 *
 * await Promise.all(['a', 'b', 'c'].map(work))
 * ```
 */
export class Semaphore {
  static {
    showAs(
      Semaphore,
      (semaphore) => `Semaphore ${stateOf(semaphore, `${semaphore.available} free`)}`,
    )
  }

  readonly #pool: PermitPool
  readonly #permits: GrantKind<Permit>

  /**
   * @throws {TypeError | RangeError} unless `count` is a whole number of units; 0 is one to be
   * filled with {@link signal}.
   */
  constructor(count: number) {
    validateInteger('create a semaphore', 'count', count, COUNT_BOUNDS)
    const pool = new PermitPool(count, closedError)
    this.#pool = pool
    this.#permits = {
      action: 'acquire a permit',
      grant: (unitCount) => new Permit(pool, unitCount),
    }
  }

  /** How many units are free; those behind whom somebody waits for more included. */
  get available(): number {
    return this.#pool.available
  }

  /** How many requests are waiting. */
  get waiterCount(): number {
    return this.#pool.waiterCount
  }

  get isClosed(): boolean {
    return this.#pool.isClosed
  }

  /**
   * Waits for `count` units; 0 never waits. More than there are wait for {@link signal}.
   *
   * Rejects with `ERR_SEMAPHORE_CLOSED` once it is closed, and as {@link WaitOptions} say; with a
   * `TypeError` or `RangeError` for a wrong count.
   */
  acquire(count = 1, options?: WaitOptions): Promise<Permit> {
    try {
      validateInteger('acquire a permit', 'count', count, COUNT_BOUNDS)
    } catch (error) {
      return refuse(error)
    }
    return this.#pool.take(this.#permits, count, options)
  }

  /**
   * Takes `count` units, or returns null if they are not free, or somebody waits already.
   *
   * @throws {RuntimeError} `ERR_SEMAPHORE_CLOSED`
   * @throws {TypeError | RangeError} for a wrong count.
   */
  tryAcquire(count = 1): Permit | null {
    validateInteger('acquire a permit', 'count', count, COUNT_BOUNDS)
    return this.#pool.tryTake(this.#permits, count)
  }

  /**
   * Adds units that nobody held, also when closed.
   *
   * @throws {TypeError | RangeError} for a wrong count, or if there were more than 2^53 - 1 then.
   */
  signal(count = 1): void {
    const max = Number.MAX_SAFE_INTEGER - this.#pool.available
    validateInteger('signal a semaphore', 'count', count, { min: 0, max })
    this.#pool.give(count)
  }

  /** Fails all waiters, and all later ones. Permits that are held stay valid. Again is nothing. */
  close(): void {
    this.#pool.close()
  }
}

function closedError(): RuntimeError {
  return new RuntimeError(
    'ERR_SEMAPHORE_CLOSED',
    'Cannot acquire a permit as the semaphore must be open: it was closed',
  )
}
