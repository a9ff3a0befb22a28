import {
  assert,
  count,
  Runnable,
  type RunQueue,
  RuntimeError,
  type RuntimeErrorCode,
  showAs,
  validateFunction,
  wrongType,
} from '../base/index.ts'
import type { WaitOptions } from './cancellation.ts'
import { isCausedBy } from './causes.ts'
import { executor } from './current.ts'
import type { Executor } from './executor.ts'
import { refusalOf } from './refuse.ts'
import { type SpawnOptions, taskName } from './spawn.ts'
import type { Task, TaskBody } from './task.ts'
import { TaskQueue } from './task-queue.ts'
import { Waiter } from './waiter.ts'

/** What ends a {@link scope} early, beside a failure within it: it then rejects as waits do. */
export interface ScopeOptions extends WaitOptions {}

const ACTION = 'finish the scope'

/**
 * Where the tasks of a {@link scope} are spawned. It may be handed on: to its tasks, too.
 */
export class Scope {
  static {
    showAs(Scope, (scope) =>
      scope.isEnded ? 'Scope ended' : `Scope ${count(scope.#members.size, 'task')}`,
    )
  }

  readonly #executor: Executor
  readonly #members = new Set<Task<unknown>>()
  /** In their order: a set, as many may fail. */
  readonly #failures = new Set<unknown>()
  readonly #onEmpty: (failures: unknown[]) => void
  #controller: AbortController | null = null
  #first: unknown
  #isStopped = false
  #isEnded = false

  /** @internal */
  constructor(current: Executor, onEmpty: (failures: unknown[]) => void) {
    this.#executor = current
    this.#onEmpty = onEmpty
  }

  /** Whether everything in it has ended. */
  get isEnded(): boolean {
    return this.#isEnded
  }

  /** Aborted as the scope's tasks are cancelled, with the reason; for APIs that are not percore's. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#isStopped) this.#controller.abort(this.#first)
    return this.#controller.signal
  }

  /**
   * Starts a task of the scope in the current task queue, in a later turn.
   *
   * Its failure is the scope's, whether or not the task is awaited as well. If the scope's tasks have been
   * cancelled, so is this one before it starts.
   *
   * @throws {RuntimeError} `ERR_SCOPE_ENDED` once everything in the scope has ended.
   * @throws {TypeError} if `body` is no function.
   */
  spawn<T>(body: TaskBody<T>, options?: SpawnOptions): Task<T> {
    return this.spawnInto(this.#executor.currentQueue(), body, options)
  }

  /**
   * Starts a task of the scope in `queue`, in a later turn.
   *
   * @throws as {@link spawn}; {@link RuntimeError} `ERR_QUEUE_NOT_FOUND` if the queue was removed, or is of
   * another executor.
   */
  spawnInto<T>(queue: TaskQueue, body: TaskBody<T>, options?: SpawnOptions): Task<T> {
    const action = 'spawn a task'
    if (!(queue instanceof TaskQueue)) throw wrongType(action, 'queue', 'a TaskQueue', queue)
    validateFunction(action, 'body', body)
    if (this.#isEnded) {
      throw new RuntimeError(
        'ERR_SCOPE_ENDED',
        'Cannot spawn a task as its scope must not have ended: everything in it has',
      )
    }
    const task = this.#executor.spawnInto(queue, body, taskName(options))
    this.#add(task as Task<unknown>)
    // Rather than to throw: a loop that tries again and again is let go of by a wait only.
    if (this.#isStopped) task.requestCancel()
    return task
  }

  /** @internal Cancels all that is in it; `reason` is a failure of the scope. */
  stop(reason: unknown): void {
    if (this.#isEnded) return
    if (this.#failures.size === 0) this.#first = reason
    this.#failures.add(reason)
    if (this.#isStopped) return
    this.#isStopped = true
    for (const task of [...this.#members]) task.requestCancel()
    this.#controller?.abort(reason)
  }

  #add(task: Task<unknown>): void {
    assert(!this.#isEnded, 'a scope that has ended takes no more tasks')
    this.#members.add(task)
    task.then(
      () => this.#remove(task),
      (error: unknown) => {
        if (!this.#isEcho(task, error)) this.stop(error)
        this.#remove(task)
      },
    )
  }

  /** Whether a task failed only because it, or the scope, had been stopped. */
  #isEcho(task: Task<unknown>, error: unknown): boolean {
    return task.state === 'cancelled' || (this.#isStopped && isCausedBy(error, this.#first))
  }

  #remove(task: Task<unknown>): void {
    const wasMember = this.#members.delete(task)
    assert(wasMember, 'a task leaves its scope once')
    if (this.#members.size > 0) return
    assert(!this.#isEnded, 'a scope ends once')
    this.#isEnded = true
    this.#onEmpty([...this.#failures])
  }
}

/**
 * Runs `body`, and returns when it and every task that was spawned in its scope have ended: nothing
 * outlives it.
 *
 * If the body or a task fails, all others are cancelled and awaited, then the scope rejects with the
 * error. So it does when its signal is aborted, its time is up, or the task that it is called from is
 * cancelled: with the reason, `ERR_TASK_TIMEOUT`, `ERR_TASK_CANCELLED`. Every wait within the scope thus
 * ends with it. A task that somebody cancels by itself is no failure. If others fail too while they are being
 * cancelled, it rejects with a {@link ScopeError}, an `AggregateError` of code `ERR_SCOPE_FAILED` whose
 * `errors` are all of them, the first one first, which is its `cause` as well. The body is a task of its own, in the current task queue.
 *
 * Rejects with a `TypeError` or `RangeError` for arguments of the wrong kind.
 *
 * @returns What `body` resolves to.
 *
 * Source: Trio's nurseries, Kotlin's `coroutineScope`, glommio's `spawn_scoped_local`.
 *
 * @example Two halves, or none
 * ```ts run
 * import { scope } from 'percore'
 * import { sleep } from 'percore/time'
 *
 * const sums: number[] = []
 * await scope(async (s) => {
 *   s.spawn(async () => sums.push(1 + 2))
 *   s.spawn(async () => sums.push(3 + 4))
 * })
 * console.log(sums) // [ 3, 7 ]
 *
 * const failed = scope(async (s) => {
 *   s.spawn(() => sleep(60_000)) // cancelled
 *   s.spawn(() => {
 *     throw new Error('no luck')
 *   })
 * })
 * console.log(await failed.catch((error) => error.message)) // no luck
 * ```
 */
export async function scope<T>(
  body: (scope: Scope) => T | PromiseLike<T>,
  options?: ScopeOptions,
): Promise<T> {
  validateFunction('open a scope', 'body', body)
  const refusal = refusalOf('open a scope')
  if (refusal !== null) return refusal
  const current = executor()
  const result = new ScopeResult<T>(current)
  // Before the body: what is cancelled already is not begun.
  result.bind(current, options, ACTION, nothing)
  result.start(current, body)
  return result.promise
}

/** The caller of {@link scope}: settled in a turn of its own task queue. */
class ScopeResult<T> extends Waiter<T> {
  readonly #scope: Scope
  #value: T | undefined
  #isStopping = false

  constructor(current: Executor) {
    super(current)
    this.#scope = new Scope(current, (failures) => this.#finish(failures))
  }

  start(current: Executor, body: (scope: Scope) => T | PromiseLike<T>): void {
    const run = async (): Promise<void> => {
      this.#value = await body(this.#scope)
    }
    this.#scope.spawnInto(current.currentQueue(), run, { name: body.name || 'scope' })
  }

  /** Called by timers too, hence from a turn that may run no user code: only queues the stop. */
  override cancel(reason: unknown): void {
    if (this.#isStopping || !this.isWaiting) return
    this.#isStopping = true
    this.home.push(new ScopeStop(this.home, this.#scope, reason))
  }

  // At once, before its tasks end: they were cancelled one by one, and would not count as failed.
  override executorCloses(reason: RuntimeError): void {
    if (this.#isStopping || !this.isWaiting) return
    this.#isStopping = true
    this.#scope.stop(reason)
  }

  #finish(failures: unknown[]): void {
    if (failures.length === 0) {
      this.fulfil(this.#value as T)
    } else if (failures.length === 1) {
      this.fail(failures[0])
    } else {
      this.fail(new ScopeError(failures))
    }
  }
}

/**
 * Several failures of one scope, in {@link errors}: the first one first, which is the cause as well.
 */
export class ScopeError extends AggregateError {
  override readonly name: string = 'ScopeError'
  readonly code: RuntimeErrorCode = 'ERR_SCOPE_FAILED'

  /** @internal */
  constructor(failures: readonly unknown[]) {
    const found = `${failures.length} errors, see errors`
    super(failures, `Cannot ${ACTION} as nothing in it must fail: ${found}`, { cause: failures[0] })
  }
}

class ScopeStop extends Runnable {
  readonly #scope: Scope
  readonly #reason: unknown

  constructor(home: RunQueue, scope: Scope, reason: unknown) {
    // Aborting calls listeners.
    super(home, true)
    this.#scope = scope
    this.#reason = reason
  }

  override run(): void {
    this.#scope.stop(this.#reason)
  }
}

function nothing(): void {}
