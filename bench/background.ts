/** The background work of `latency`: the same units on every side, so that progress compares. */

/** How long a side works before it lets others run, unless it is asked to sooner. */
export const BURST_MS = 5

let state = 1

/** One unit of work, about 10 us: short beside a time slice, long beside a look at the clock. */
export function workOneUnit(): void {
  let value = state
  for (let index = 0; index < 10_000; index++) value = (Math.imul(value, 1664525) + index) | 0
  state = value
}
