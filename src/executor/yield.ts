import { Runnable } from '../base/index.ts'
import { executor } from './current.ts'
import { rejectThrough } from './deferred.ts'
import { needPreempt } from './preempt.ts'
import { refuse } from './refuse.ts'
import type { TaskQueue } from './task-queue.ts'
import type { Waits } from './waits.ts'

/**
 * Goes to the back of the current task queue; other queues, and Node, get their turns first if due.
 *
 * Rejects with `ERR_EXECUTOR_CLOSED`, and as the first use of {@link executor} throws.
 *
 * @example
 * ```ts run
 * import { yieldNow } from 'percore'
 *
 * await yieldNow()
 * ```
 */
export function yieldNow(): Promise<void> {
  try {
    return startYield(executor().currentQueue())
  } catch (error) {
    return refuse(error)
  }
}

/**
 * Ends the turn of the current task queue: another runnable queue goes first, whatever the shares.
 *
 * Rejects as {@link yieldNow} does.
 */
export function yieldQueue(): Promise<void> {
  try {
    const queue = executor().currentQueue()
    queue.hasYielded = true
    return startYield(queue)
  } catch (error) {
    return refuse(error)
  }
}

/** Yields if {@link needPreempt} says so; else returns undefined, so that `await` costs a microtask. */
export function yieldIfNeeded(): Promise<void> | undefined {
  return needPreempt() ? yieldNow() : undefined
}

function startYield(queue: TaskQueue): Promise<void> {
  const { waits } = queue.owner
  if (waits.closeReason !== null) throw waits.closedError('yield')
  return new Yield(queue, waits).promise
}

class Yield extends Runnable {
  readonly promise: Promise<void>
  readonly #waits: Waits
  #resolve!: () => void

  constructor(queue: TaskQueue, waits: Waits) {
    super(queue)
    this.#waits = waits
    this.promise = new Promise<void>((resolve) => {
      this.#resolve = resolve
    })
    queue.push(this)
  }

  override run(): void {
    const { closeReason } = this.#waits
    if (closeReason === null) {
      this.#resolve()
    } else {
      rejectThrough(this.#resolve, closeReason)
      this.promise.catch(ignore)
    }
  }
}

function ignore(): void {}
