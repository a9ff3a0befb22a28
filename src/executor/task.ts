import type { AsyncResource } from 'node:async_hooks'
import {
  adoptPromise,
  assert,
  isPlainPromise,
  isPromiseLike,
  Runnable,
  RuntimeError,
  showAs,
} from '../base/index.ts'
import type { Cancellable } from './cancellable.ts'
import { isCausedBy } from './causes.ts'
import { captureContext, isLeftBehind, type TaskInContext, taskInContext } from './context.ts'
import { captureEnds, takeReject, takeResolve } from './deferred.ts'
import { setImmediate } from './host-immediate.ts'
import type { TaskQueue } from './task-queue.ts'
import { waitLog } from './wait-log.ts'
import type { LiveTask } from './waits.ts'

/**
 * What a task runs. It gets the task, for its signal and its name; to wait for the task itself would be
 * for ever.
 */
export type TaskBody<T> = (task: Task<T>) => T | PromiseLike<T>

export type TaskState = 'queued' | 'running' | 'fulfilled' | 'rejected' | 'cancelled'

/**
 * A spawned async function: a promise of its result, cancellable, failing alone.
 *
 * A failure goes to whoever awaits the task; if nobody does, Node reports it as an unhandled
 * rejection. It never reaches other tasks. Made by {@link spawn} and {@link spawnInto}.
 */
export class Task<T> extends Promise<T> implements TaskInContext, LiveTask {
  static {
    showAs(Task, ({ name, state, queue }) => `Task(${name}) ${state} in '${queue.name}'`)
  }

  readonly name: string
  readonly queue: TaskQueue
  /** @internal Why it was cancelled, else null. */
  cancelReason: RuntimeError | null = null
  /** @internal Whether the close of its executor has left it behind: its code is to end. */
  isLeft = false
  #state: TaskState = 'queued'
  #controller: AbortController | null = null
  #pending: Set<Cancellable> | null = null
  readonly #resolve: (value: T | PromiseLike<T>) => void
  readonly #reject: (reason: unknown) => void
  #value: T | undefined
  #onEnd: (() => void)[] | null = null
  // Its place among the tasks of its executor that have not ended.
  #older: Task<unknown> | null
  #newer: Task<unknown> | null = null

  /** @internal */
  constructor(queue: TaskQueue, name: string) {
    super(captureEnds)
    this.queue = queue
    this.name = name
    this.#resolve = takeResolve<T>()
    this.#reject = takeReject()
    queue.countTask(1)
    const { waits } = queue.owner
    const older = waits.newestTask as Task<unknown> | null
    this.#older = older
    if (older !== null) older.#newer = this as Task<unknown>
    waits.newestTask = this
    if (waitLog !== null) waitLog.begin(this)
  }

  get state(): TaskState {
    return this.#state
  }

  /** @internal */
  get olderTask(): LiveTask | null {
    return this.#older
  }

  get isDone(): boolean {
    return this.#state !== 'queued' && this.#state !== 'running'
  }

  get isCancelled(): boolean {
    return this.cancelReason !== null
  }

  /** Aborted when the task is cancelled; for APIs that are not percore's, such as `fetch`. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.cancelReason !== null) this.#controller.abort(this.cancelReason)
    return this.#controller.signal
  }

  /**
   * Cancels the task, and resolves when it has ended: with its value if it finished first or
   * regardless, else with undefined.
   *
   * A queued task never starts. A running one has its operations and waits cancelled, each of which
   * rejects with `ERR_TASK_CANCELLED`, as does every one that it starts from now on; its signal is
   * aborted. JavaScript that is not waiting goes on until it next does. Awaiting the task itself
   * rejects with `ERR_TASK_CANCELLED`, unless it finished regardless. If it fails for another reason
   * all the same, it has failed: the code that awaits it is told, else Node. A task that cancels itself does not
   * wait for its own end.
   */
  async cancel(): Promise<T | undefined> {
    this.requestCancel()
    if (taskInContext() === this) return this.#value
    if (!this.isDone) await new Promise<void>((resolve) => this.whenEnded(resolve))
    return this.#value
  }

  /** Lets the task run on unobserved; a failure is then reported as an unhandled rejection. */
  detach(): void {}

  /** @internal What it waits for, of percore's. */
  get pending(): ReadonlySet<Cancellable> | null {
    return this.#pending
  }

  /** @internal Registers something to cancel with the task. */
  adopt(target: Cancellable): void {
    this.#pending ??= new Set()
    this.#pending.add(target)
  }

  /** @internal */
  release(target: Cancellable): void {
    this.#pending?.delete(target)
  }

  /** @internal Runs the body; called once, by a turn of its queue. */
  start(resource: AsyncResource, body: TaskBody<T>): void {
    if (this.cancelReason !== null) {
      this.#fail(this.cancelReason)
      return
    }
    assert(this.#state === 'queued', 'a task starts once')
    this.#state = 'running'
    let result: T | PromiseLike<T>
    let isPending: boolean
    try {
      result = resource.runInAsyncScope(body, undefined, this)
      isPending = isPromiseLike<T>(result)
      if (isPending) this.#follow(resource, result as PromiseLike<T>)
    } catch (error) {
      this.#fail(error)
      return
    }
    if (!isPending) this.#succeed(result as T)
  }

  #follow(resource: AsyncResource, result: PromiseLike<T>): void {
    if ((result as unknown) === this) {
      throw new TypeError('Cannot end a task as its body must not return the task itself')
    }
    // What others begin in then() is the task's work.
    const promise = isPlainPromise(result)
      ? result
      : resource.runInAsyncScope(adoptPromise<T>, undefined, result)
    promise.then(
      (value) => this.#succeed(value),
      (error) => this.#fail(error),
    )
  }

  #succeed(value: T): void {
    if (this.isDone) return
    assert(this.#state === 'running', 'a task that succeeds was started')
    this.#value = value
    this.#end('fulfilled')
    this.#resolve(value)
  }

  #fail(error: unknown): void {
    if (this.isDone) return
    const reason = this.cancelReason
    this.#end(reason !== null && isCausedBy(error, reason) ? 'cancelled' : 'rejected')
    this.#reject(error)
    // The caller of cancel() knows: that is not reported as an unhandled rejection.
    if (this.#state === 'cancelled') this.catch(ignore)
  }

  /** @internal Cancels without waiting for the end; `closed` if that is for the close of its executor. */
  requestCancel(closed?: RuntimeError): void {
    if (this.isDone || this.cancelReason !== null) return
    const reason =
      closed ??
      new RuntimeError('ERR_TASK_CANCELLED', `Cannot go on as task '${this.name}' was cancelled`)
    this.cancelReason = reason
    if (this.#pending !== null) for (const target of [...this.#pending]) target.cancel(reason)
    this.#controller?.abort(reason)
  }

  /** @internal Fails it, though its code may go on: nobody would be told any more. */
  abandon(reason: RuntimeError): void {
    this.cancelReason ??= reason
    this.#fail(this.cancelReason)
  }

  /** @internal Calls back as it ends, whatever its outcome, without observing a failure. */
  whenEnded(callback: () => void): void {
    assert(!this.isDone, 'an end is waited for before it')
    this.#onEnd ??= []
    this.#onEnd.push(callback)
  }

  #end(state: TaskState): void {
    assert(!this.isDone, 'a task ends once')
    this.#state = state
    if (waitLog !== null) waitLog.end(this)
    this.queue.countTask(-1)
    this.#leaveChain()
    if (this.#onEnd !== null) for (const callback of this.#onEnd) callback()
  }

  #leaveChain(): void {
    const older = this.#older
    const newer = this.#newer
    const { waits } = this.queue.owner
    assert((newer === null) === (waits.newestTask === this), 'the newest task ends the chain')
    assert(older === null || older.#newer === this, 'a task knows the ones beside it')
    if (newer === null) waits.newestTask = older
    else newer.#older = older
    if (older !== null) older.#newer = newer
    this.#older = null
    this.#newer = null
  }
}

// Then `await` takes a task for the promise that it is, rather than wrapping it in two more; and what
// is derived from it, by then() say, is no task.
Object.defineProperty(Task.prototype, 'constructor', { value: Promise })

/** A task about to start. */
export class TaskStart<T> extends Runnable {
  readonly #resource: AsyncResource
  readonly #task: Task<T>
  readonly #body: TaskBody<T>

  constructor(queue: TaskQueue, task: Task<T>, body: TaskBody<T>) {
    super(queue, true)
    this.#task = task
    this.#body = body
    this.#resource = captureContext(task)
  }

  override run(): void {
    this.#task.start(this.#resource, this.#body)
  }
}

/**
 * Fails a cancelled task whose executor has left the loop, in an iteration of Node's. Not where the close has
 * left the code behind that spawned it: that ends by waiting for what never comes.
 */
export function abandonLater<T>(task: Task<T>): void {
  const { cancelReason } = task
  assert(cancelReason !== null, 'a task is abandoned for a reason')
  if (!isLeftBehind()) setImmediate(() => task.abandon(cancelReason))
}

function ignore(): void {}
