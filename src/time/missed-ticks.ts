/**
 * What becomes of ticks that nobody took in time.
 *
 * - `burst`: they follow at once, until all have been taken.
 * - `delay`: they are dropped, and the period starts again with the late one.
 * - `skip`: they are dropped, and the next comes when it was due all along.
 *
 * Source: tokio::time::MissedTickBehavior.
 */
export type MissedTicks = 'burst' | 'delay' | 'skip'

export const MISSED_TICKS: readonly MissedTicks[] = ['burst', 'delay', 'skip']

/** One tick that is taken now. */
export interface TakenTick {
  /** When it was due. */
  readonly dueNs: number
  readonly nowNs: number
  readonly periodNs: number
}

/** When the tick after `tick` is due. Only a whole period of lateness makes a tick a missed one. */
export function nextTickNs(policy: MissedTicks, { dueNs, nowNs, periodNs }: TakenTick): number {
  const nextNs = dueNs + periodNs
  if (policy === 'burst' || nowNs < nextNs) return nextNs
  if (policy === 'delay') return nowNs + periodNs
  return dueNs + (Math.floor((nowNs - dueNs) / periodNs) + 1) * periodNs
}
