import type { Cancellable } from './cancellable.ts'
import type { QueueOwner, TaskQueue } from './task-queue.ts'

/** What the log knows of a task. */
export interface LoggedTask {
  readonly name: string
  readonly queue: TaskQueue
  readonly isDone: boolean
  /** @internal What it waits for, of percore's. */
  readonly pending: ReadonlySet<Cancellable> | null
}

/** One wait: to do what, and the stack of the code that began it. */
export interface LoggedWait {
  /** What it waits to do: `acquire a permit`. */
  readonly action: string
  readonly stack: string
}

/**
 * The tasks that have not ended, and what each of them waits for, for a report of why a program
 * does not go on.
 *
 * Kept while {@link keepWaitLog} says so: it takes a stack per wait, some microseconds.
 */
export class WaitLog {
  readonly #tasks = new Set<LoggedTask>()
  readonly #waits = new WeakMap<Cancellable, { readonly action: string; readonly stack?: string }>()

  /** Those that have not ended, in the order of their spawning. */
  tasks(): LoggedTask[] {
    return [...this.#tasks]
  }

  /** Forgets the tasks of one executor, and returns them. */
  forget(owner: QueueOwner): LoggedTask[] {
    const tasks = this.tasks().filter(({ queue }) => queue.owner === owner)
    for (const task of tasks) this.#tasks.delete(task)
    return tasks
  }

  /** What a task waits for; nothing where it waits for a promise that is no wait of percore's. */
  waitsOf(task: LoggedTask): LoggedWait[] {
    const waits: LoggedWait[] = []
    for (const target of task.pending ?? []) {
      const wait = this.#waits.get(target)
      if (wait !== undefined) waits.push({ action: wait.action, stack: wait.stack ?? '' })
    }
    return waits
  }

  /** @internal */
  begin(task: LoggedTask): void {
    this.#tasks.add(task)
  }

  /** @internal */
  end(task: LoggedTask): void {
    this.#tasks.delete(task)
  }

  /** @internal The stack is that of the caller's callers. */
  wait(target: Cancellable, action: string, caller: (...args: never[]) => unknown): void {
    const wait = { action }
    Error.captureStackTrace(wait, caller)
    this.#waits.set(target, wait)
  }
}

/** Null, and then it costs a look at it, while nobody wants to know. */
export let waitLog: WaitLog | null = null

/** Keeps a log from now on, or none. */
export function keepWaitLog(log: WaitLog | null): void {
  waitLog = log
}
