import type { WaitHome } from './cancellation.ts'
import { Waiter } from './waiter.ts'

/** Where answers are given: what a wait needs, and the budget of the turn. */
export interface ReadyHome extends WaitHome {
  takeReadyBudget(): boolean
}

const DONE: Promise<void> = Promise.resolve()

/**
 * Answers with what is ready: at once while the turn has budget for it, else in a later turn.
 *
 * The value is the caller's from now on either way.
 */
export function answerReady<T>(home: ReadyHome, value: T): Promise<T> {
  return home.takeReadyBudget() ? Promise.resolve(value) : answerLater(home, value)
}

/** The same where there is nothing to hand over: allocates nothing while there is budget. */
export function answerDone(home: ReadyHome): Promise<void> {
  return home.takeReadyBudget() ? DONE : answerLater(home, undefined)
}

function answerLater<T>(home: ReadyHome, value: T): Promise<T> {
  const waiter = new Waiter<T>(home)
  waiter.fulfil(value)
  return waiter.promise
}
