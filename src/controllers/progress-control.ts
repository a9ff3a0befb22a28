import { assert } from '../base/index.ts'

/** Natural logarithms of shares: what is controlled. */
const LEVEL_MIN = 0
const LEVEL_MAX: number = Math.log(1000)
/** Levels for each horizon of lag. */
const GAIN = 2
/** The integral takes so many horizons to do what the proportional part does at once. */
const INTEGRAL_HORIZONS = 4
/** A lag of more horizons says no more: the proportional part alone spans all levels by then. */
const ERROR_MAX = 4
/** After a gap the integral does not catch up: nobody knows what the work did meanwhile. */
const PERIODS_MAX = 4

/** How far work is from where it should be, as {@link ProgressControl} is told. */
export interface Lag {
  /** Positive where it is behind, in any unit of time. */
  readonly lag: number
  /** The lag that counts as an error of 1, in the same unit. */
  readonly horizon: number
  /** How long ago the last adjustment was, in the same unit, */
  readonly elapsed: number
  /** and how long it should be. */
  readonly period: number
}

/**
 * Proportional-integral control of shares by the lag of work behind its line. Pure: no clock. O(1).
 *
 * The logarithm of the shares is what is set, since what a share brings is in proportion to how many there
 * are: so the loop has the same gain at 10 shares and at 500. Where the shares can't follow, the integral stands still rather
 * than wind up. `docs/models/deadline-queue.md` has the equations, and why it is stable.
 *
 * Source: glommio's DeadlineQueue, which sets the shares themselves, by the share of the work that is missing.
 */
export class ProgressControl {
  #integral: number

  constructor(shares: number) {
    this.#integral = levelOf(shares)
  }

  /** The shares to have from now on, to a thousandth. */
  adjust({ lag, horizon, elapsed, period }: Lag): number {
    assert(horizon > 0 && period > 0, 'a controller has a horizon and a period')
    const error = errorOf(lag, horizon)
    const level = this.#integral + GAIN * error
    const isWindingUp = (level >= LEVEL_MAX && error > 0) || (level <= LEVEL_MIN && error < 0)
    if (!isWindingUp) {
      const passed = Math.min(Math.max(elapsed, 0), PERIODS_MAX * period)
      const step = (GAIN * error * passed) / (INTEGRAL_HORIZONS * horizon)
      this.#integral = clampLevel(this.#integral + step)
    }
    return sharesOf(this.#integral + GAIN * error)
  }

  /** Goes on from shares that somebody else has set, without a jump. */
  follow(shares: number, lag: number, horizon: number): void {
    this.#integral = clampLevel(levelOf(shares) - GAIN * errorOf(lag, horizon))
  }
}

function errorOf(lag: number, horizon: number): number {
  const error = Math.min(Math.max(lag / horizon, -ERROR_MAX), ERROR_MAX)
  assert(error >= -ERROR_MAX, 'a lag is a number')
  return error
}

function levelOf(shares: number): number {
  return clampLevel(Math.log(shares))
}

function sharesOf(level: number): number {
  return Math.round(Math.exp(clampLevel(level)) * 1000) / 1000
}

function clampLevel(level: number): number {
  return Math.min(Math.max(level, LEVEL_MIN), LEVEL_MAX)
}
