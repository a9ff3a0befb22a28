import { RuntimeError, showAs, validateFunction } from '../base/index.ts'
import {
  answerDone,
  checkCancellation,
  currentTaskQueue,
  executor,
  refuse,
  type SpawnOptions,
  spawnInto,
  type Task,
  type TaskBody,
  type TaskQueue,
  type WaitOptions,
} from '../executor/index.ts'
import { Pass } from './pass.ts'
import { WaitRoom } from './wait-room.ts'

const ACTION = 'close a gate'

/**
 * Counts work under way and, once closed, refuses more of it.
 *
 * Local to one executor: never shared between threads, hence no atomics. O(1), no allocation per
 * {@link enter} but its pass.
 *
 * Source: seastar::gate (include/seastar/core/gate.hh), glommio::sync::Gate.
 *
 * @example Drain before exit
 * ```ts run
 * import { yieldNow } from 'percore'
 * import { Gate } from 'percore/sync'
 *
 * const gate = new Gate()
 * gate.spawn(async () => {
 *   await yieldNow()
 *   console.log('the request is done')
 * })
 * await gate.close()
 * console.log('and so are we')
 * ```
 */
export class Gate implements AsyncDisposable {
  static {
    showAs(Gate, (gate) => {
      const state = gate.isOpen ? 'open' : gate.isClosed ? 'closed' : 'closing'
      return `Gate ${state}, ${gate.passCount} inside`
    })
  }

  readonly #room = new WaitRoom<void>(ACTION, true)
  readonly #leave = (): void => this.#passLeft()
  #passCount = 0
  #isOpen = true

  /** Whether {@link close} has not been called. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Whether {@link close} has been called, and all work has ended. */
  get isClosed(): boolean {
    return !this.#isOpen && this.#passCount === 0
  }

  /** How many are under way. */
  get passCount(): number {
    return this.#passCount
  }

  /**
   * Registers one unit of work; dispose the pass when it ends.
   *
   * @throws {RuntimeError} `ERR_GATE_CLOSED` once {@link close} has been called.
   */
  enter(): Pass {
    if (!this.#isOpen) {
      throw new RuntimeError(
        'ERR_GATE_CLOSED',
        'Cannot enter a gate as it must be open: it was closed',
      )
    }
    this.#passCount++
    return new Pass(this.#leave)
  }

  /**
   * Calls `body` with a pass held until what it returns has settled.
   *
   * Rejects with `ERR_GATE_CLOSED` if the gate is closed, and then does not call it; else as `body` does.
   */
  async run<T>(body: () => T | PromiseLike<T>): Promise<T> {
    validateFunction('enter a gate', 'body', body)
    let pass: Pass
    try {
      pass = this.enter()
    } catch (error) {
      return refuse(error)
    }
    try {
      return await body()
    } finally {
      pass.leave()
    }
  }

  /**
   * Starts a task in the current task queue, with a pass held until it has ended or been cancelled.
   *
   * @throws {RuntimeError} `ERR_GATE_CLOSED`; else as {@link spawnInto} does.
   */
  spawn<T>(body: TaskBody<T>, options?: SpawnOptions): Task<T> {
    return this.spawnInto(currentTaskQueue(), body, options)
  }

  /**
   * Starts a task in `queue`, with a pass held until it has ended or been cancelled.
   *
   * @throws {RuntimeError} `ERR_GATE_CLOSED`; else as {@link spawnInto} does.
   */
  spawnInto<T>(queue: TaskQueue, body: TaskBody<T>, options?: SpawnOptions): Task<T> {
    const pass = this.enter()
    try {
      const task = spawnInto(queue, body, options)
      task.whenEnded(() => pass.leave())
      return task
    } catch (error) {
      pass.leave()
      throw error
    }
  }

  /**
   * Closes the gate at once, and waits for all work under way. Again, and by many, is the same.
   *
   * Rejects as {@link WaitOptions} say; the gate then stays closed, and can be waited for again. Goes on
   * while the executor closes, and rejects with `ERR_EXECUTOR_CLOSED` only when work is left after that.
   */
  close(options?: WaitOptions): Promise<void> {
    this.#isOpen = false
    if (this.#passCount > 0) return this.#room.wait(options)
    try {
      const current = executor()
      // The clean-up of a task may close a gate while the executor closes.
      if (!current.isClosing) checkCancellation(current, options, ACTION)
      return answerDone(current)
    } catch (error) {
      return refuse(error)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #passLeft(): void {
    this.#passCount--
    if (this.#passCount === 0 && !this.#isOpen) this.#room.release(undefined)
  }
}
