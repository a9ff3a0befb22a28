import { showAs } from '../base/index.ts'
import type { WaitOptions } from '../executor/index.ts'
import { ExclusiveGuard } from './exclusive-guard.ts'
import { lockClosed, stillHeld } from './lock-errors.ts'
import { type GrantKind, PermitPool } from './permit-pool.ts'
import { type Cell, SharedGuard } from './shared-guard.ts'
import { stateOf } from './state-of.ts'

/** A reader takes one unit, a writer all of them. */
const UNIT_COUNT = 2 ** 30

/**
 * A value that many may read at a time, or one may write, in the order in which they asked.
 *
 * Local to one executor. Readers behind a waiting writer wait for it, so that neither side starves;
 * those next to each other in line go together. No poisoning, not reentrant.
 *
 * Source: glommio::sync::RwLock, without its barging readers.
 *
 * @example
 * ```ts run
 * import { RwLock } from 'percore/sync'
 *
 * const routes = new RwLock(new Map([['/', 'home']]))
 * {
 *   using writing = await routes.write()
 *   writing.value.set('/about', 'about')
 * }
 * using reading = await routes.read()
 * console.log(reading.value.size, routes.tryWrite())
 * ```
 */
export class RwLock<T> {
  static {
    showAs(RwLock, (lock) => {
      const readers = lock.readerCount > 0 ? `read by ${lock.readerCount}` : 'free'
      return `RwLock ${stateOf(lock, lock.isWriteLocked ? 'locked' : readers)}`
    })
  }

  readonly #pool = new PermitPool(UNIT_COUNT, lockClosed)
  readonly #cell: Cell<T>
  readonly #readers: GrantKind<SharedGuard<T>>
  readonly #writers: GrantKind<ExclusiveGuard<T>>

  constructor(value: T) {
    const cell: Cell<T> = { value }
    const pool = this.#pool
    this.#cell = cell
    this.#readers = {
      action: 'lock for reading',
      grant: (unitCount) => new SharedGuard(cell, pool, unitCount),
    }
    this.#writers = {
      action: 'lock for writing',
      grant: (unitCount) => new ExclusiveGuard(cell, pool, unitCount),
    }
  }

  /** How many have reading access. */
  get readerCount(): number {
    return this.isWriteLocked ? 0 : UNIT_COUNT - this.#pool.available
  }

  get isWriteLocked(): boolean {
    return this.#pool.available === 0
  }

  get isClosed(): boolean {
    return this.#pool.isClosed
  }

  /** How many are waiting for it. */
  get waiterCount(): number {
    return this.#pool.waiterCount
  }

  /** Waits for reading access. Rejects with `ERR_LOCK_CLOSED`, and as {@link WaitOptions} say. */
  read(options?: WaitOptions): Promise<SharedGuard<T>> {
    return this.#pool.take(this.#readers, 1, options)
  }

  /** Waits for sole access. Rejects with `ERR_LOCK_CLOSED`, and as {@link WaitOptions} say. */
  write(options?: WaitOptions): Promise<ExclusiveGuard<T>> {
    return this.#pool.take(this.#writers, UNIT_COUNT, options)
  }

  /**
   * Takes reading access, or returns null if somebody writes, or waits.
   *
   * @throws {RuntimeError} `ERR_LOCK_CLOSED`
   */
  tryRead(): SharedGuard<T> | null {
    return this.#pool.tryTake(this.#readers, 1)
  }

  /**
   * Takes sole access, or returns null if somebody has any.
   *
   * @throws {RuntimeError} `ERR_LOCK_CLOSED`
   */
  tryWrite(): ExclusiveGuard<T> | null {
    return this.#pool.tryTake(this.#writers, UNIT_COUNT)
  }

  /**
   * Closes the lock and returns the value.
   *
   * @throws {RuntimeError} `ERR_STILL_HELD` while somebody has access; the lock then stays open.
   */
  takeValue(): T {
    if (this.#pool.available < UNIT_COUNT) throw stillHeld()
    this.close()
    return this.#cell.value
  }

  /** Fails all waiters, and all later ones. A guard that is held stays valid. Again is nothing. */
  close(): void {
    this.#pool.close()
  }
}
