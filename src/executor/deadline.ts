import { NS_PER_MS } from '../base/index.ts'
import { timeoutError, validateWaitOptions, type WaitOptions, WaitStep } from './cancellation.ts'

/** Tells the time that a {@link Deadline} goes by. */
interface Clock {
  nowNs(): number
}

/**
 * Splits one wait among the steps of an operation that takes several: what the time limit leaves, and
 * the same signal.
 */
export class Deadline {
  readonly #clock: Clock
  readonly #action: string
  readonly #options: WaitOptions | undefined
  readonly #startNs: number

  constructor(clock: Clock, action: string, options: WaitOptions | undefined) {
    // Here, since the steps get only what is known.
    if (options !== undefined) validateWaitOptions(action, options)
    this.#clock = clock
    this.#action = action
    this.#options = options
    this.#startNs = options?.timeoutMs === undefined ? 0 : clock.nowNs()
  }

  /**
   * The options of the next step.
   *
   * @throws {RuntimeError} `ERR_TASK_TIMEOUT` when nothing is left.
   */
  next(): WaitOptions | undefined {
    const timeoutMs = this.#options?.timeoutMs
    // A limit that is wrong is for the step to refuse.
    if (typeof timeoutMs !== 'number' || !(timeoutMs >= 0)) return this.#options
    const leftMs = timeoutMs - (this.#clock.nowNs() - this.#startNs) / NS_PER_MS
    if (leftMs < 0) throw timeoutError(this.#action, timeoutMs)
    return new WaitStep({ signal: this.#options?.signal, timeoutMs }, this.#action, leftMs)
  }
}
