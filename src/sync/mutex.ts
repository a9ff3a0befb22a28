import { showAs, validateFunction } from '../base/index.ts'
import type { WaitOptions } from '../executor/index.ts'
import { ExclusiveGuard } from './exclusive-guard.ts'
import { lockClosed, stillHeld } from './lock-errors.ts'
import { type GrantKind, PermitPool } from './permit-pool.ts'
import type { Cell } from './shared-guard.ts'
import { stateOf } from './state-of.ts'

/**
 * A value that one at a time has access to, across its awaits, in the order in which they asked.
 *
 * Local to one executor; without an await in between no lock is needed, as nobody else runs. There
 * is no poisoning: a failure while it is held releases it. Not reentrant: a second {@link lock} by
 * its holder waits for ever.
 *
 * @example Read, wait, write
 * ```ts run
 * import { yieldNow } from 'percore'
 * import { Mutex } from 'percore/sync'
 *
 * const balance = new Mutex(10)
 *
 * async function add(amount: number): Promise<void> {
 *   using guard = await balance.lock()
 *   const before = guard.value
 *   await yieldNow()
 *   guard.replace(before + amount)
 * }
 *
 * await Promise.all([add(1), add(2), add(3)])
 * console.log(await balance.runExclusive((value) => value))
 * ```
 */
export class Mutex<T = undefined> {
  static {
    showAs(Mutex, (mutex) => `Mutex ${stateOf(mutex, mutex.isLocked ? 'locked' : 'free')}`)
  }

  readonly #pool = new PermitPool(1, lockClosed)
  readonly #cell: Cell<T>
  readonly #guards: GrantKind<ExclusiveGuard<T>>

  /** Protects `value`, or if none is given whatever its user has in mind. */
  constructor(value?: T) {
    const cell: Cell<T> = { value: value as T }
    const pool = this.#pool
    this.#cell = cell
    this.#guards = {
      action: 'lock a mutex',
      grant: (unitCount) => new ExclusiveGuard(cell, pool, unitCount),
    }
  }

  get isLocked(): boolean {
    return this.#pool.available === 0
  }

  get isClosed(): boolean {
    return this.#pool.isClosed
  }

  /** How many are waiting for it. */
  get waiterCount(): number {
    return this.#pool.waiterCount
  }

  /** Waits for sole access. Rejects with `ERR_LOCK_CLOSED`, and as {@link WaitOptions} say. */
  lock(options?: WaitOptions): Promise<ExclusiveGuard<T>> {
    return this.#pool.take(this.#guards, 1, options)
  }

  /**
   * Takes sole access, or returns null if somebody has it.
   *
   * @throws {RuntimeError} `ERR_LOCK_CLOSED`
   */
  tryLock(): ExclusiveGuard<T> | null {
    return this.#pool.tryTake(this.#guards, 1)
  }

  /**
   * Calls `body` with the value while nobody else has access, until what it returns has settled.
   *
   * Rejects as {@link lock} does, with what `body` fails with, and with a `TypeError` if it is no
   * function.
   */
  async runExclusive<R>(body: (value: T) => R | PromiseLike<R>, options?: WaitOptions): Promise<R> {
    validateFunction('lock a mutex', 'body', body)
    const guard = await this.lock(options)
    try {
      return await body(guard.value)
    } finally {
      guard.release()
    }
  }

  /**
   * Closes the mutex and returns the value.
   *
   * @throws {RuntimeError} `ERR_STILL_HELD` while somebody has access; the mutex then stays open.
   */
  takeValue(): T {
    if (this.isLocked) throw stillHeld()
    this.close()
    return this.#cell.value
  }

  /** Fails all waiters, and all later ones. A guard that is held stays valid. Again is nothing. */
  close(): void {
    this.#pool.close()
  }
}
