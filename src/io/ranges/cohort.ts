import { assert } from '../../base/index.ts'
import { join, Obstacle } from './obstacle.ts'

/**
 * Claims that share, one after the other, as one obstacle: for a claim that waits for all of them, wherever they are.
 * O(1) for each that comes or leaves.
 */
export class Cohort extends Obstacle {
  /** From where to where they reach; nothing while there are none. */
  startBytes: number = Infinity
  endBytes: number = 0
  #memberCount = 0
  #isSealed = false

  get isEmpty(): boolean {
    return this.#memberCount === 0
  }

  add(startBytes: number, endBytes: number): void {
    assert(!this.#isSealed, 'a claim that waits for a cohort waits for none that comes later')
    this.#memberCount++
    this.startBytes = Math.min(this.startBytes, startBytes)
    this.endBytes = Math.max(this.endBytes, endBytes)
  }

  /** One is not in the way any more; returns whether that clears all of it. */
  leave(): boolean {
    assert(this.#memberCount > 0, 'only members leave')
    this.#memberCount--
    if (this.#memberCount > 0) return false
    this.isClear = this.#isSealed
    this.startBytes = Infinity
    this.endBytes = 0
    return this.isClear
  }

  /** Nobody joins from now on. */
  seal(): void {
    assert(this.#memberCount > 0, 'what is sealed is in the way')
    this.#isSealed = true
  }

  override blocker(): Obstacle {
    return this
  }
}

/**
 * Claims that share, as cohorts: those that some claim waits for already, and the one that later claims join.
 * O(1) each.
 */
export class Cohorts {
  open: Cohort = new Cohort()
  #sealed: Obstacle | null = null
  #sealedFrom = Infinity
  #sealedTo = 0

  /** From where to where all of them reach. */
  get startBytes(): number {
    return Math.min(this.#sealedFrom, this.open.startBytes)
  }

  get endBytes(): number {
    return Math.max(this.#sealedTo, this.open.endBytes)
  }

  /** All that are there now, as one obstacle; null if there are none. */
  seal(): Obstacle | null {
    const { open } = this
    if (open.isEmpty) return this.#sealed
    this.#sealedFrom = this.startBytes
    this.#sealedTo = this.endBytes
    open.seal()
    this.#sealed = join(this.#sealed, open)
    this.open = new Cohort()
    return this.#sealed
  }

  /** No member of those is in the way of later claims any more. */
  forgetSealed(): void {
    this.#sealed = null
    this.#sealedFrom = Infinity
    this.#sealedTo = 0
  }
}
