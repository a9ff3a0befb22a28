import * as timers from 'node:timers'

/**
 * Node's own `setImmediate()`, which its event loop calls in any case.
 *
 * Taken as this module is loaded, and from the module rather than from the globals: tests put fakes in their place
 * (`vi.useFakeTimers()`, `mock.timers.enable()`), with which nobody would ever hear that an executor is closed.
 */
export const setImmediate: typeof timers.setImmediate = timers.setImmediate
