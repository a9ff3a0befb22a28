import { RuntimeError, showAs, validateInteger } from '../base/index.ts'
import {
  answerDone,
  checkCancellation,
  executor,
  refuse,
  type WaitOptions,
} from '../executor/index.ts'
import { WaitRoom } from './wait-room.ts'

const ACTION = 'wait for a latch'

/** `waiting` until the last arrival or the cancellation, whichever is first. */
export type LatchState = 'waiting' | 'ready' | 'cancelled'

/**
 * Opens once, when it has been counted down to zero; or is cancelled.
 *
 * Local to one executor.
 *
 * @example Start together
 * ```ts run
 * import { spawn } from 'percore'
 * import { Latch } from 'percore/sync'
 *
 * const opened = new Latch(2)
 * const tasks = ['a', 'b'].map((name) => spawn(async () => {
 *   await opened.arriveAndWait()
 *   return name
 * }))
 * console.log(await Promise.all(tasks))
 * ```
 */
export class Latch {
  static {
    showAs(
      Latch,
      (latch) =>
        `Latch ${latch.state}, ${latch.remainingCount} missing, ${latch.waiterCount} waiting`,
    )
  }

  readonly #room = new WaitRoom<void>(ACTION)
  #remainingCount: number
  #state: LatchState

  /** @throws {TypeError | RangeError} unless `count` is a whole number of arrivals. */
  constructor(count: number) {
    validateInteger('create a latch', 'count', count, { min: 0, max: Number.MAX_SAFE_INTEGER })
    this.#remainingCount = count
    this.#state = count === 0 ? 'ready' : 'waiting'
  }

  get state(): LatchState {
    return this.#state
  }

  /** How many arrivals are missing. */
  get remainingCount(): number {
    return this.#remainingCount
  }

  get waiterCount(): number {
    return this.#room.size
  }

  /**
   * Notes arrivals; the last one lets everyone go on. Does nothing once cancelled.
   *
   * @throws {TypeError | RangeError} unless `count` is a whole number that is not above the arrivals missing.
   */
  countDown(count = 1): void {
    if (this.#state === 'cancelled') return
    const bounds = { min: 1, max: this.#remainingCount }
    validateInteger('count down a latch', 'count', count, bounds)
    this.#remainingCount -= count
    if (this.#remainingCount > 0) return
    this.#state = 'ready'
    this.#room.release(undefined)
  }

  /** Waits for the last arrival. Rejects with `ERR_LATCH_CANCELLED`, and as {@link WaitOptions} say. */
  wait(options?: WaitOptions): Promise<void> {
    if (this.#state === 'waiting') return this.#room.wait(options)
    try {
      if (this.#state === 'cancelled') throw cancelled()
      const current = executor()
      checkCancellation(current, options, ACTION)
      return answerDone(current)
    } catch (error) {
      return refuse(error)
    }
  }

  /** Arrives, and waits for the others. An arrival stays even if its wait ends early. */
  arriveAndWait(options?: WaitOptions): Promise<void> {
    try {
      this.countDown()
    } catch (error) {
      return refuse(error)
    }
    return this.wait(options)
  }

  /** Fails all waiters, and all later ones; returns false, and does nothing, if it has opened. */
  cancel(): boolean {
    if (this.#state === 'ready') return false
    this.#state = 'cancelled'
    if (this.#room.size > 0) this.#room.fail(cancelled())
    return true
  }
}

function cancelled(): RuntimeError {
  return new RuntimeError(
    'ERR_LATCH_CANCELLED',
    'Cannot wait for a latch as it must be open or opening: it was cancelled',
  )
}
