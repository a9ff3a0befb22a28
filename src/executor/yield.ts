import { Runnable, type RunQueue } from '../base/index.ts'
import { executor } from './executor.ts'
import { needPreempt } from './preempt.ts'

/**
 * Goes to the back of the current task queue; other queues, and Node, get their turns first if due.
 *
 * @example
 * ```ts run
 * import { yieldNow } from 'percore'
 *
 * await yieldNow()
 * ```
 */
export function yieldNow(): Promise<void> {
  return new Yield(executor().currentQueue()).promise
}

/** Ends the turn of the current task queue: another runnable queue goes first, whatever the shares. */
export function yieldQueue(): Promise<void> {
  const queue = executor().currentQueue()
  queue.hasYielded = true
  return new Yield(queue).promise
}

/** Yields if {@link needPreempt} says so; else returns undefined, so that `await` costs a microtask. */
export function yieldIfNeeded(): Promise<void> | undefined {
  return needPreempt() ? yieldNow() : undefined
}

class Yield extends Runnable {
  readonly promise: Promise<void>
  #resolve!: () => void

  constructor(queue: RunQueue) {
    super(queue)
    this.promise = new Promise<void>((resolve) => {
      this.#resolve = resolve
    })
    queue.push(this)
  }

  override run(): void {
    this.#resolve()
  }
}
