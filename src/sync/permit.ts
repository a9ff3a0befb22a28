import { showAs } from '../base/index.ts'
import type { PermitPool } from './permit-pool.ts'

/**
 * Units of a {@link Semaphore}, held until released: with `using`, at the end of the block.
 *
 * Nothing releases a permit that is forgotten: there is no finalizer.
 */
export class Permit implements Disposable {
  static {
    showAs(Permit, ({ count }) => (count === 0 ? 'Permit released' : `Permit ${count} held`))
  }

  /** How many units it holds; 0 once released. */
  get count(): number {
    return this.#count
  }

  readonly #pool: PermitPool
  #count: number

  /** @internal Use {@link Semaphore.acquire}. */
  constructor(pool: PermitPool, count: number) {
    this.#pool = pool
    this.#count = count
  }

  /** Gives the units back; again is nothing. */
  release(): void {
    const count = this.#count
    if (count === 0) return
    this.#count = 0
    this.#pool.give(count)
  }

  /** Keeps the units out of the semaphore for good. */
  forget(): void {
    this.#count = 0
  }

  [Symbol.dispose](): void {
    this.release()
  }
}
