import type { Executor } from './executor.ts'
import { Waiter } from './waiter.ts'

const DONE: Promise<void> = Promise.resolve()

/**
 * Answers with what is ready: at once while the turn has budget for it, else in a later turn.
 *
 * The value is the caller's from now on either way.
 */
export function answerReady<T>(executor: Executor, value: T): Promise<T> {
  return executor.takeReadyBudget() ? Promise.resolve(value) : answerLater(executor, value)
}

/** The same where there is nothing to hand over: allocates nothing while there is budget. */
export function answerDone(executor: Executor): Promise<void> {
  return executor.takeReadyBudget() ? DONE : answerLater(executor, undefined)
}

function answerLater<T>(executor: Executor, value: T): Promise<T> {
  const waiter = new Waiter<T>(executor)
  waiter.fulfil(value)
  return waiter.promise
}
