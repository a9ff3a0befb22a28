import { hostRandom } from '../kernel/index.ts'
import { currentOrNull } from './current.ts'

/**
 * A number from 0 to 1, without 1, like `Math.random()`; in a simulation its seed decides it.
 *
 * Needs no executor, and attaches none. Not for secrets.
 *
 * @example Wait a while longer each time
 * ```ts run
 * import { random } from 'percore'
 * import { sleep } from 'percore/time'
 *
 * for (let tries = 0; tries < 3; tries++) await sleep(2 ** tries * random())
 * ```
 */
export function random(): number {
  return currentOrNull()?.kernel.random() ?? hostRandom()
}
