import { checkCancellation } from './cancellation.ts'
import { isLeftBehind, taskInContext } from './context.ts'
import { currentOrNull, executor } from './current.ts'
import type { Executor } from './executor.ts'
import { setImmediate } from './host-immediate.ts'
import { Waiter } from './waiter.ts'

/**
 * Rejects with `reason`, in a later turn: a loop that tries again and again would else never let go of the
 * thread.
 *
 * Once the executor has left the loop it takes an iteration of Node's. What a task that the close has left behind
 * still waits for never settles: its code ends there.
 */
export function refuse(reason: unknown): Promise<never> {
  const task = taskInContext() ?? null
  const home = task === null ? currentOrNull() : (task.queue.owner as Executor)
  if (home !== null && !home.isClosed) {
    const waiter = new Waiter<never>(home)
    waiter.fail(reason)
    return waiter.promise
  }
  if (isLeftBehind()) return new Promise(nothing)
  return new Promise((_, reject) => setImmediate(reject, reason))
}

/** What async functions are called on. */
interface Openable {
  readonly executor: Executor
  /** @throws {RuntimeError} unless it, and its executor, are open. */
  assertOpen(action: string): void
}

/**
 * What an async function returns that can't begin `action` on `handle`, or on the thread's executor; null if it
 * can. A cancelled task can't: an error that such a function throws by itself costs it no turn.
 */
export function refusalOf(action: string, handle?: Openable): Promise<never> | null {
  try {
    const home = handle === undefined ? executor() : handle.executor
    const target = handle ?? home
    target.assertOpen(action)
    checkCancellation(home, undefined, action)
    return null
  } catch (error) {
    return refuse(error)
  }
}

function nothing(): void {}
