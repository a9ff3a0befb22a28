import { showAs } from '../base/index.ts'
import {
  answerDone,
  checkCancellation,
  executor,
  refuse,
  type WaitOptions,
} from '../executor/index.ts'
import { WaitRoom } from './wait-room.ts'

const ACTION = 'wait for an event'

/**
 * Something that happens, and that any number may wait for.
 *
 * Local to one executor. Every task that waits when it is set goes on, even if it is reset at once.
 *
 * @example
 * ```ts run
 * import { spawn } from 'percore'
 * import { Event } from 'percore/sync'
 *
 * const ready = new Event()
 * const task = spawn(async () => {
 *   await ready.wait()
 *   return 'went on'
 * })
 * ready.set()
 * console.log(await task)
 * ```
 */
export class Event {
  static {
    showAs(
      Event,
      (event) => `Event ${event.isSet ? 'set' : 'not set'}, ${event.waiterCount} waiting`,
    )
  }

  readonly #room = new WaitRoom<void>(ACTION)
  #isSet = false

  get isSet(): boolean {
    return this.#isSet
  }

  get waiterCount(): number {
    return this.#room.size
  }

  /** Lets every waiter go on, and all that come until it is reset. */
  set(): void {
    this.#isSet = true
    this.#room.release(undefined)
  }

  /** Makes tasks that come from now on wait for the next {@link set}. */
  reset(): void {
    this.#isSet = false
  }

  /** Waits until it is set; rejects as {@link WaitOptions} say. */
  wait(options?: WaitOptions): Promise<void> {
    if (!this.#isSet) return this.#room.wait(options)
    try {
      const current = executor()
      checkCancellation(current, options, ACTION)
      return answerDone(current)
    } catch (error) {
      return refuse(error)
    }
  }
}
