import { RuntimeError } from '../base/index.ts'
import { type Kernel, provideKernel } from '../kernel/index.ts'
import { addConfined, hasConfined, isConfined } from './confined.ts'
import { isLeftBehind, taskInContext } from './context.ts'
import { Executor } from './executor.ts'
import type { ExecutorOptions } from './executor-options.ts'
import { watchPreemption } from './preempt.ts'

/** The one ambient value: the executor of this thread. Factories read it as their default. */
let current: Executor | null = null

/** The executor of the running code: that of its task if it is {@link confine}d, else the thread's. */
export function currentOrNull(): Executor | null {
  if (!hasConfined) return current
  const owner = taskInContext()?.queue.owner
  return owner !== undefined && isConfined(owner) ? (owner as Executor) : current
}

export function setCurrent(executor: Executor | null): void {
  current = executor
  provideKernel(kernelOfCurrent)
  if (executor !== null) {
    executor.onLeave = () => {
      if (current === executor) setCurrent(null)
    }
  }
  // With two of them at a time it depends on the caller which one needPreempt() asks.
  watchPreemption(hasConfined ? null : (executor?.preemption ?? null))
}

/**
 * Makes an executor the ambient one of its own tasks, and of nobody else: not of the code beside it,
 * and still when it is closed, so that what its tasks leave behind can't reach another.
 *
 * The thread then pays a look at the asynchronous context for each question.
 */
export function confine(executor: Executor): void {
  addConfined(executor)
  provideKernel(kernelOfCurrent)
  watchPreemption(null, () => currentOrNull()?.preemption ?? null)
}

function kernelOfCurrent(): Kernel | null {
  return currentOrNull()?.kernel ?? null
}

/**
 * The executor of this thread; the first call attaches one with default options. In a task that the close of its
 * executor has left behind it is that one, which is closed.
 *
 * @throws {RuntimeError} `ERR_URING_UNAVAILABLE`, `ERR_MEMLOCK_LIMIT`, `ERR_ADDON_MISSING`, each naming
 * cause and cure; `ERR_EXECUTOR_EXISTS` if another copy of the package has the thread;
 * `ERR_EXECUTOR_CLOSED` in a simulated program whose simulation has ended.
 */
export function executor(): Executor {
  const found = currentOrNull()
  if (found === null) {
    // It is to end, and not to take the thread again; unless the program has attached another for it. All that it
    // begins is refused, and thereby ends it; an error thrown here would have it try again for ever.
    return isLeftBehind() ? (taskInContext()!.queue.owner as Executor) : attachExecutor()
  }
  // Nobody else's is ambient once it is closed.
  if (hasConfined && found.isClosed) found.assertOpen('go on')
  return found
}

/**
 * Attaches an executor to this thread's event loop.
 *
 * @throws {RuntimeError} `ERR_EXECUTOR_EXISTS` if the thread has one, of this or another copy of the
 * package; else as {@link executor}.
 * @throws {TypeError | RangeError} for options of the wrong kind.
 */
export function attachExecutor(options: ExecutorOptions = {}): Executor {
  const existing = currentOrNull()
  if (existing !== null) {
    if (existing.isClosed) existing.assertOpen('attach another')
    throw new RuntimeError(
      'ERR_EXECUTOR_EXISTS',
      `Cannot attach an executor as a thread must have only one: it has '${existing.name}'${existing.isClosing ? ', whose close() is to be awaited' : ''}`,
    )
  }
  const attached = new Executor(options)
  setCurrent(attached)
  return attached
}
