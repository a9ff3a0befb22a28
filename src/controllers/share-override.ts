import { showAs, validateInteger } from '../base/index.ts'

const SHARES_MIN = 1
const SHARES_MAX = 1000
const BUMP_SHARES = 250

/** What a controller says of itself. */
export interface ControllerStatus {
  /** False while {@link DeadlineQueue.disable} has fixed the shares. */
  readonly isEnabled: boolean
  /** The shares that it asked for last, or that it was given. */
  readonly shares: number
  /** How many {@link PriorityBump}s are held. */
  readonly bumpCount: number
}

/** Holds shares up, from {@link DeadlineQueue.bumpPriority} on until it is released. */
export class PriorityBump implements Disposable {
  static {
    showAs(PriorityBump, (bump) => `PriorityBump ${bump.#release === null ? 'released' : 'held'}`)
  }

  #release: (() => void) | null

  /** @internal */
  constructor(release: () => void) {
    this.#release = release
  }

  /** Lets go of it; again is nothing. */
  release(): void {
    this.#release?.()
    this.#release = null
  }

  [Symbol.dispose](): void {
    this.release()
  }
}

/** How users overrule a controller: fixed shares, or a floor. O(1). */
export class ShareOverride {
  #fixed: number | null = null
  #bumpCount = 0

  /** The shares that the controller was given, or null while it decides. */
  get fixed(): number | null {
    return this.#fixed
  }

  get bumpCount(): number {
    return this.#bumpCount
  }

  /** @throws {TypeError | RangeError} unless `shares` is a whole number from 1 to 1000. */
  disable(shares: number): void {
    validateInteger('disable a controller', 'shares', shares, { min: SHARES_MIN, max: SHARES_MAX })
    this.#fixed = shares
  }

  enable(): void {
    this.#fixed = null
  }

  bump(): PriorityBump {
    this.#bumpCount++
    return new PriorityBump(() => {
      this.#bumpCount--
    })
  }

  /** The shares to have, where the controller asks for so many. */
  apply(shares: number): number {
    if (this.#fixed !== null) return this.#fixed
    return this.#bumpCount > 0 ? Math.max(shares, BUMP_SHARES) : shares
  }

  status(shares: number): ControllerStatus {
    return {
      isEnabled: this.#fixed === null,
      shares: this.apply(shares),
      bumpCount: this.#bumpCount,
    }
  }
}
