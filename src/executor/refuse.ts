import { RuntimeError } from '../base/index.ts'
import { isLeftBehind, taskInContext } from './context.ts'
import { currentOrNull, executor } from './current.ts'
import type { Executor } from './executor.ts'
import { Waiter } from './waiter.ts'

/**
 * Rejects with `reason`: at once but where a loop that tries again and again would then never let go of the
 * thread, as nothing that it waits for can be had any more.
 *
 * That is so in a task that was cancelled, and once the executor closes. Then each refusal costs a turn and,
 * once the executor has left the loop, an iteration of Node's. What a task that was left then still waits for
 * never settles: its code ends there.
 */
export function refuse(reason: unknown): Promise<never> {
  const task = taskInContext() ?? null
  const isHopeless = task !== null && task.cancelReason !== null
  if (!isHopeless && !isClosed(reason)) return Promise.reject(reason)
  const home = task === null ? currentOrNull() : (task.queue.owner as Executor)
  if (home !== null && !home.isClosed) {
    const waiter = new Waiter<never>(home)
    waiter.fail(reason)
    return waiter.promise
  }
  if (isLeftBehind()) return new Promise(nothing)
  return new Promise((_, reject) => setImmediate(reject, reason))
}

/** What an async function returns that needs an executor to begin `action` on, null if there is one that is open. */
export function refusalOf(action: string): Promise<never> | null {
  try {
    executor().assertOpen(action)
    return null
  } catch (error) {
    return refuse(error)
  }
}

function isClosed(reason: unknown): boolean {
  return reason instanceof RuntimeError && reason.code === 'ERR_EXECUTOR_CLOSED'
}

function nothing(): void {}
