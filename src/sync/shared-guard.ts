import { RuntimeError, showAs } from '../base/index.ts'
import type { PermitPool } from './permit-pool.ts'

/** Where the value of a lock is. */
export interface Cell<T> {
  value: T
}

/**
 * Reading access to the value of a lock, held until released: with `using`, at the end of the block.
 *
 * Nothing releases a guard that is forgotten: there is no finalizer.
 */
export class SharedGuard<T> implements Disposable {
  static {
    showAs(
      SharedGuard,
      (guard) => `${guard.constructor.name} ${guard.isReleased ? 'released' : 'held'}`,
    )
  }

  /** @internal */
  protected readonly cell: Cell<T>
  readonly #pool: PermitPool
  #unitCount: number

  /** @internal Use {@link RwLock.read}. */
  constructor(cell: Cell<T>, pool: PermitPool, unitCount: number) {
    this.cell = cell
    this.#pool = pool
    this.#unitCount = unitCount
  }

  /**
   * What the lock protects.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED` once released.
   */
  get value(): T {
    this.assertHeld()
    return this.cell.value
  }

  get isReleased(): boolean {
    return this.#unitCount === 0
  }

  /** Gives the access up; again is nothing. */
  release(): void {
    const unitCount = this.#unitCount
    if (unitCount === 0) return
    this.#unitCount = 0
    this.#pool.give(unitCount)
  }

  [Symbol.dispose](): void {
    this.release()
  }

  /** @internal */
  protected assertHeld(): void {
    if (this.#unitCount > 0) return
    throw new RuntimeError(
      'ERR_HANDLE_CLOSED',
      'Cannot use the value of a lock as its guard must be held: it was released',
    )
  }
}
