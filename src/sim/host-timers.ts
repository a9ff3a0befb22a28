import * as timers from 'node:timers'
import { RuntimeError } from '../base/index.ts'

// Taken when this module is loaded, and from the module rather than from the globals: tests put fakes
// in their place (`vi.useFakeTimers()`, `mock.timers.enable()`), which stand still until they are told.
/** The timers of the host, which drive a simulation, whatever its program sees. */
export const setImmediate: typeof timers.setImmediate = timers.setImmediate
export const clearImmediate: typeof timers.clearImmediate = timers.clearImmediate
export const setTimeout: typeof timers.setTimeout = timers.setTimeout
export const clearTimeout: typeof timers.clearTimeout = timers.clearTimeout

/** Whether code that uses the global timers gets fakes. */
export function hasFakeTimers(): boolean {
  return globalThis.setTimeout !== setTimeout || globalThis.setImmediate !== setImmediate
}

/**
 * Refuses to go on with fakes that were there first, and would never call.
 *
 * @throws {RuntimeError} `ERR_UNSUPPORTED`
 */
export function assertHostTimers(action: string): void {
  const probe = setImmediate(() => {})
  clearImmediate(probe)
  // What the fakes of node:test, sinon, jest and vitest return is of other classes.
  if (probe.constructor.name === 'Immediate') return
  throw new RuntimeError(
    'ERR_UNSUPPORTED',
    `Cannot ${action} as percore/testing must be imported before timers are faked: it found fakes`,
  )
}
