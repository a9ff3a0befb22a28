import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import type { RuntimeError } from '../base/index.ts'
import type { Cancellable } from './cancellable.ts'
import type { TaskQueue } from './task-queue.ts'

/** What a wait needs of the task that it belongs to. */
export interface TaskInContext {
  readonly queue: TaskQueue
  /** @internal Why it was cancelled, else null. */
  readonly cancelReason: RuntimeError | null
  /** @internal Whether the close of its executor has left it behind: its code is to end. */
  readonly isLeft: boolean
  /** @internal Registers something to cancel with the task. */
  adopt(target: Cancellable): void
  /** @internal */
  release(target: Cancellable): void
}

/**
 * Whose work this is: kept across every await, also of promises that are not ours.
 *
 * Work outside of any task belongs to the default queue, and pays nothing for that: the storage, and
 * with it Node's bookkeeping per promise, is used from the first spawned task on.
 */
const storage = new AsyncLocalStorage<TaskInContext | undefined>()
let isEngaged = false

/** The task that the code belongs to that runs now, or undefined outside of any. */
export function taskInContext(): TaskInContext | undefined {
  return isEngaged ? storage.getStore() : undefined
}

/**
 * The caller's asynchronous context, its own AsyncLocalStorages included, with `task` as whose
 * work it is: for a task, which starts in a turn.
 */
export function captureContext(task: TaskInContext): AsyncResource {
  isEngaged = true
  return storage.run(task, newResource)
}

/** Whether this is code of a task that the close of its executor has left behind. */
export function isLeftBehind(): boolean {
  return taskInContext()?.isLeft === true
}

function newResource(): AsyncResource {
  return new AsyncResource('PercoreTask', { requireManualDestroy: true })
}
