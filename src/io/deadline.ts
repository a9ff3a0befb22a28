import { NS_PER_MS } from '../base/index.ts'
import {
  type Executor,
  timeoutError,
  validateWaitOptions,
  type WaitOptions,
  WaitStep,
} from '../executor/index.ts'

/**
 * Splits one wait among the steps of an operation that takes several: what the time limit leaves, and
 * the same signal.
 */
export class Deadline {
  readonly #executor: Executor
  readonly #action: string
  readonly #options: WaitOptions | undefined
  readonly #startNs: number

  constructor(executor: Executor, action: string, options: WaitOptions | undefined) {
    // Here, since the steps get only what is known.
    if (options !== undefined) validateWaitOptions(action, options)
    this.#executor = executor
    this.#action = action
    this.#options = options
    this.#startNs = options?.timeoutMs === undefined ? 0 : executor.nowNs()
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
    const leftMs = timeoutMs - (this.#executor.nowNs() - this.#startNs) / NS_PER_MS
    if (leftMs < 0) throw timeoutError(this.#action, timeoutMs)
    return new WaitStep({ signal: this.#options?.signal, timeoutMs }, this.#action, leftMs)
  }
}
