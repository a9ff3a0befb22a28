import { NS_PER_MS } from '../base/index.ts'
import { currentOrNull } from '../executor/index.ts'
import { hostNowNs, hostWallClockMs } from '../kernel/index.ts'

/**
 * Milliseconds of a clock that is never set back, with a fraction, like `performance.now()`; in a simulation
 * it is the virtual one.
 *
 * The clock of {@link Executor.nowNs}: only differences mean something. Needs no executor, and attaches none.
 *
 * @example Measure
 * ```ts run
 * import { nowMs, sleep } from 'percore/time'
 *
 * const startMs = nowMs()
 * await sleep(5)
 * console.log(nowMs() - startMs >= 5)
 * ```
 */
export function nowMs(): number {
  return (currentOrNull()?.nowNs() ?? hostNowNs()) / NS_PER_MS
}

/**
 * Milliseconds since 1970, like `Date.now()`; in a simulation they begin with the year 2000 and pass with
 * virtual time.
 *
 * Needs no executor, and attaches none.
 *
 * @example Stamp an entry
 * ```ts run
 * import { wallClockMs } from 'percore/time'
 *
 * console.log(new Date(wallClockMs()).toISOString())
 * ```
 */
export function wallClockMs(): number {
  return currentOrNull()?.kernel.wallClockMs() ?? hostWallClockMs()
}
