import {
  optionNames,
  validateFunction,
  validateOptions,
  validateString,
  wrongType,
} from '../base/index.ts'
import { currentOrNull, executor } from './current.ts'
import type { Executor } from './executor.ts'
import type { Task, TaskBody } from './task.ts'
import { TaskQueue, type TaskQueueOptions } from './task-queue.ts'

/** What a task may be given beside its body. */
export interface SpawnOptions {
  /** For statistics, stacks and messages; the function's own name if not given. */
  readonly name?: string | undefined
}

const NAMES = optionNames<SpawnOptions>({ name: true })

/**
 * Creates a task queue on this thread's executor.
 *
 * @throws {TypeError | RangeError} for a name, shares or latency of the wrong kind.
 *
 * @example Two to one, while both are busy
 * ```ts run
 * import { createTaskQueue, spawnInto } from 'percore'
 *
 * const serving = createTaskQueue('serving', { shares: 1000, latency: { maxMs: 2 } })
 * const compaction = createTaskQueue('compaction', { shares: 500 })
 * await Promise.all([spawnInto(serving, () => {}), spawnInto(compaction, () => {})])
 * ```
 */
export function createTaskQueue(name: string, options: TaskQueueOptions = {}): TaskQueue {
  return executor().createTaskQueue(name, options)
}

/** The task queue that the running code belongs to: that of its task, or the default one. */
export function currentTaskQueue(): TaskQueue {
  return executor().currentQueue()
}

/**
 * Starts a task in the current task queue, in a later turn. One that is spawned while the executor closes never
 * starts, and rejects with `ERR_EXECUTOR_CLOSED`.
 *
 * @throws {TypeError} if `body` is no function.
 *
 * @example
 * ```ts run
 * import { spawn } from 'percore'
 *
 * const task = spawn(async () => 42)
 * console.log(await task)
 * ```
 */
export function spawn<T>(body: TaskBody<T>, options?: SpawnOptions): Task<T> {
  validateFunction('spawn a task', 'body', body)
  // Also a closed one of a simulation, where executor() throws: the task fails instead.
  const home = currentOrNull() ?? executor()
  return home.spawnInto(home.currentQueue(), body, taskName(options))
}

/**
 * Starts a task in `queue`, in a later turn, even if that is the current one. It rejects with
 * `ERR_EXECUTOR_CLOSED` if the executor of the queue closes, or has been closed.
 *
 * @throws {RuntimeError} `ERR_QUEUE_NOT_FOUND` if the queue was removed, or is of another executor.
 * @throws {TypeError} if `body` is no function or `queue` no task queue.
 */
export function spawnInto<T>(queue: TaskQueue, body: TaskBody<T>, options?: SpawnOptions): Task<T> {
  if (!(queue instanceof TaskQueue)) throw wrongType('spawn a task', 'queue', 'a TaskQueue', queue)
  validateFunction('spawn a task', 'body', body)
  const home = queue.owner.isClosing ? (queue.owner as Executor) : executor()
  return home.spawnInto(queue, body, taskName(options))
}

/**
 * The name that options give to a task, if any.
 *
 * @throws {TypeError} for anything but {@link SpawnOptions}.
 */
export function taskName(options: SpawnOptions | undefined): string | undefined {
  if (options === undefined) return undefined
  validateOptions('spawn a task', options, NAMES)
  const { name } = options
  if (name !== undefined) validateString('spawn a task', 'name', name)
  return name
}
