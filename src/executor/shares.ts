import { assert, NS_PER_MS, validateDurationMs, validateInteger, wrongType } from '../base/index.ts'

export const SHARES_MIN = 1
export const SHARES_MAX = 1000
export const SHARES_DEFAULT = 1000
const ADJUSTMENT_PERIOD_MS = 250
const PERIOD_NS_MIN: number = NS_PER_MS

/** Shares that change while the program runs; see controllers for ready-made ones. */
export interface SharesManager {
  /** The shares to have from now on; out-of-range values are clamped to 1 … 1000. */
  shares(): number
  /** How often to ask, at the most, in milliseconds from 1; 250 if not given. */
  readonly adjustmentPeriodMs?: number
}

/** A fixed number of shares from 1 to 1000, or a manager that is asked again and again. */
export type Shares = number | SharesManager

/** The current value of a queue's shares. */
export class CurrentShares {
  #value: number
  readonly #manager: SharesManager | null
  readonly #periodNs: number
  /** When to ask the manager again. */
  #dueNs: number

  /** @throws {TypeError | RangeError} for anything but {@link Shares}. */
  constructor(shares: Shares) {
    const action = 'create a task queue'
    if (typeof shares === 'object' && shares !== null) {
      if (typeof shares.shares !== 'function') {
        throw wrongType(action, 'shares', 'a number or a manager with shares()', shares)
      }
      const periodMs = shares.adjustmentPeriodMs ?? ADJUSTMENT_PERIOD_MS
      validateDurationMs(action, 'adjustmentPeriodMs', periodMs)
      this.#manager = shares
      this.#periodNs = Math.max(periodMs * NS_PER_MS, PERIOD_NS_MIN)
      this.#dueNs = Number.NEGATIVE_INFINITY
      this.#value = clamp(shares.shares())
      return
    }
    validateInteger(action, 'shares', shares, { min: SHARES_MIN, max: SHARES_MAX })
    this.#manager = null
    this.#periodNs = 0
    this.#dueNs = Number.POSITIVE_INFINITY
    this.#value = shares
  }

  get value(): number {
    return this.#value
  }

  /** When to adjust next: Infinity without a manager. */
  get dueNs(): number {
    return this.#dueNs
  }

  /** Asks the manager, if it is time. */
  adjust(nowNs: number): void {
    if (this.#manager === null || nowNs < this.#dueNs) return
    this.#dueNs = nowNs + this.#periodNs
    assert(this.#dueNs > nowNs, 'a manager is asked again later')
    this.#value = clamp(this.#manager.shares())
  }
}

function clamp(shares: number): number {
  // A manager that fails to count gets the least, not a crash in the middle of a turn.
  if (!(shares >= SHARES_MIN)) return SHARES_MIN
  return Math.min(shares, SHARES_MAX)
}
