import { count, showAs, validateFunction } from '../base/index.ts'
import { abortHub, executor, spawnInto, type Task } from '../executor/index.ts'
import { joinTask } from './join-task.ts'
import { checkActionOptions, type TimerActionOptions } from './once.ts'
import { sleep } from './sleep.ts'

/** Milliseconds until the next run, or null or undefined to stop. */
export type NextDelayMs = number | null | undefined

/**
 * Runs `action` as a task, and again after as many milliseconds as it returns, until it returns none.
 *
 * The first run is in a later turn; each delay counts from the end of a run. Independent of the task
 * that it is called from. An action that fails ends it, as does one that returns a wrong delay.
 *
 * @throws {TypeError} for arguments of the wrong kind; the signal's reason if it is aborted.
 *
 * @example
 * ```ts run
 * import { repeat } from 'percore/time'
 *
 * let count = 0
 * await repeat(() => (++count < 3 ? 1 : null)).join()
 * console.log(count)
 * ```
 */
export function repeat(
  action: () => NextDelayMs | PromiseLike<NextDelayMs>,
  options: TimerActionOptions = {},
): TimerActionRepeat {
  validateFunction('repeat an action', 'action', action)
  return new TimerActionRepeat(action, options)
}

/**
 * An action that runs again and again.
 *
 * Made by {@link repeat}. A failure goes to {@link join}; if nobody joins, Node reports it as an
 * unhandled rejection.
 *
 * Source: glommio::timer::TimerActionRepeat.
 */
export class TimerActionRepeat {
  static {
    showAs(TimerActionRepeat, (action) => {
      const { state } = action.#task
      return `TimerActionRepeat ${state}, ${count(action.runCount, 'run')}`
    })
  }

  readonly #task: Task<void>
  #runCount = 0

  /** @internal Use {@link repeat}. */
  constructor(action: () => NextDelayMs | PromiseLike<NextDelayMs>, options: TimerActionOptions) {
    const queue = checkActionOptions(executor(), options)
    const { signal, keepsAlive } = options
    const name = action.name || 'repeated action'
    this.#task = spawnInto(queue, () => this.#repeat(action, keepsAlive), { name })
    if (signal !== undefined) this.#cancelOnAbort(signal)
  }

  /** How often the action has been called. */
  get runCount(): number {
    return this.#runCount
  }

  /** Stops it: now if it waits, else at its next wait; tasks that it spawned go on. */
  destroy(): void {
    void this.#task.cancel()
  }

  /** Like {@link destroy}, and resolves when the action has ended. */
  async cancel(): Promise<void> {
    await this.#task.cancel()
  }

  /** Waits until it stops: by itself, or because it is cancelled. Rejects if the action fails. */
  join(): Promise<void> {
    return joinTask(this.#task)
  }

  async #repeat(
    action: () => NextDelayMs | PromiseLike<NextDelayMs>,
    keepsAlive: boolean | undefined,
  ): Promise<void> {
    const options = { keepsAlive }
    for (;;) {
      this.#runCount++
      const delayMs = await action()
      if (delayMs === null || delayMs === undefined) return
      await sleep(delayMs, options)
    }
  }

  #cancelOnAbort(signal: AbortSignal): void {
    const hub = abortHub(signal)
    hub.add(this)
    this.#task.whenEnded(() => hub.remove(this))
  }
}
