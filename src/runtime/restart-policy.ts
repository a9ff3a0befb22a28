import { optionNames, validateDurationMs, validateInteger, validateOptions } from '../base/index.ts'

/** When another thread takes the place of a shard that has failed. */
export interface RestartOptions {
  /** Restarts within {@link withinMs} before the shard is given up; 5 if not given. */
  readonly limit?: number
  /** 60,000 if not given. */
  readonly withinMs?: number
  /** The wait before the first; it doubles with each failure within that time. 100 if not given. */
  readonly backoffMs?: number
  /** What it grows to; 10,000 if not given. */
  readonly backoffMsMax?: number
}

const NAMES = optionNames<RestartOptions>({
  limit: true,
  withinMs: true,
  backoffMs: true,
  backoffMsMax: true,
})

/** {@link RestartOptions}, checked; null never restarts. */
export type RestartPolicy = Required<RestartOptions> | null

/** @throws {TypeError | RangeError} for anything but {@link RestartOptions}, `'never'` and `'onFailure'`. */
export function checkRestart(
  action: string,
  restart: RestartOptions | 'never' | 'onFailure',
): RestartPolicy {
  if (restart === 'never') return null
  const options = restart === 'onFailure' ? {} : restart
  validateOptions(action, options, NAMES, "restart, unless it is 'never' or 'onFailure',")
  const { limit = 5, withinMs = 60_000, backoffMs = 100, backoffMsMax = 10_000 } = options
  validateInteger(action, 'restart.limit', limit, { min: 1, max: 1_000_000 })
  validateDurationMs(action, 'restart.withinMs', withinMs)
  validateDurationMs(action, 'restart.backoffMs', backoffMs)
  validateDurationMs(action, 'restart.backoffMsMax', backoffMsMax)
  return { limit, withinMs, backoffMs, backoffMsMax: Math.max(backoffMs, backoffMsMax) }
}

/** What a policy decides about a failure. */
export interface RestartDecision {
  /** Milliseconds to wait before the restart; null to give up. */
  readonly delayMs: number | null
  /** The failures to remember, this one included: no more than the limit and one. */
  readonly failures: readonly number[]
}

/**
 * Whether to restart what has failed now, and when: a pure function of the times of earlier failures.
 *
 * | failures within the time, this one included | decision |
 * | --- | --- |
 * | n ≤ limit | restart after backoff × 2^(n - 1), at most the greatest |
 * | more | give up |
 * | any, without a policy | give up |
 */
export function decideRestart(
  policy: RestartPolicy,
  earlier: readonly number[],
  nowMs: number,
): RestartDecision {
  if (policy === null) return { delayMs: null, failures: [] }
  const failures = [...earlier.filter((timeMs) => nowMs - timeMs < policy.withinMs), nowMs]
  if (failures.length > policy.limit) return { delayMs: null, failures }
  const delayMs = Math.min(policy.backoffMs * 2 ** (failures.length - 1), policy.backoffMsMax)
  return { delayMs, failures }
}
