import {
  adoptPromise,
  isPromiseLike,
  NS_PER_MS,
  optionNames,
  type RuntimeError,
  validateDurationMs,
  validateOptions,
  wrongType,
} from '../base/index.ts'
import {
  bindCancellation,
  type Cancellable,
  type CancellationBinding,
  type Executor,
  executor,
  madeInTurn,
  newPromise,
  refuse,
  rejectFrom,
  Task,
  takeResolve,
  timeoutError,
} from '../executor/index.ts'
import { Timer } from '../reactor/index.ts'

/** What a {@link timeout} may be given beside its length. */
export interface TimeoutOptions {
  /** Aborting it cancels the work; the promise then rejects with its reason. */
  readonly signal?: AbortSignal | undefined
}

const ACTION = 'finish'
const NAMES = optionNames<TimeoutOptions>({ signal: true })

/**
 * Bounds work: a promise, a task, or a function that is given a signal.
 *
 * Resolves and rejects as the work does. When `ms` milliseconds have passed first, or the signal is
 * aborted, or the task it is called from cancelled, then it cancels the work, and rejects at once:
 * with `ERR_TASK_TIMEOUT`, or the reason. A function's signal is aborted, a {@link Task} cancelled;
 * of a mere promise only the wait ends. What a function still delivers is disposed if it is
 * disposable, so that a permit or a buffer that comes too late is not lost. Everything in percore
 * that waits also takes `timeoutMs` itself, which is cheaper.
 *
 * Rejects with a `TypeError` or `RangeError` for arguments of the wrong kind.
 *
 * @example
 * ```ts run
 * import { sleep, timeout } from 'percore/time'
 *
 * const outcome = await timeout(1, (signal) => sleep(60_000, { signal })).catch(({ code }) => code)
 * console.log(outcome) // ERR_TASK_TIMEOUT
 * ```
 */
export function timeout<T>(
  ms: number,
  work: PromiseLike<T> | ((signal: AbortSignal) => T | PromiseLike<T>),
  options?: TimeoutOptions,
): Promise<T> {
  try {
    validateDurationMs(ACTION, 'ms', ms)
    if (typeof work !== 'function' && !isPromiseLike(work)) {
      throw wrongType(ACTION, 'work', 'a promise or a function', work)
    }
    if (options !== undefined) validateOptions(ACTION, options, NAMES)
    const bounded = new BoundedWork<T>(executor(), ms, options)
    bounded.start(work)
    return bounded.promise
  } catch (error) {
    abandon(work)
    return refuse(error)
  }
}

/** Nobody waits for it any more, also not for its failure. */
function abandon(work: unknown): void {
  if (work instanceof Task) void work.cancel()
  if (typeof work !== 'function') new Promise((resolve) => resolve(work)).catch(ignore)
}

function ignore(): void {}

class BoundedWork<T> extends Timer implements Cancellable {
  readonly promise: Promise<T>
  readonly #executor: Executor
  readonly #ms: number
  readonly #resolve: (value: T | PromiseLike<T>) => void
  readonly #binding: CancellationBinding | null
  #controller: AbortController | null = null
  #task: Task<T> | null = null
  #isSettled = false
  #isCancelled = false
  #reason: unknown

  constructor(current: Executor, ms: number, options: TimeoutOptions | undefined) {
    // Aborting calls listeners.
    super(current.currentQueue(), { runsUserCode: true })
    this.#executor = current
    this.#ms = ms
    this.promise = newPromise<T>()
    this.#resolve = takeResolve<T>()
    this.#binding = bindCancellation(current, this, options, ACTION)
    current.timers.arm(this, current.nowNs() + ms * NS_PER_MS)
  }

  start(work: PromiseLike<T> | ((signal: AbortSignal) => T | PromiseLike<T>)): void {
    try {
      this.#begin(work)
    } catch (error) {
      this.#fail(error)
    }
  }

  #begin(work: PromiseLike<T> | ((signal: AbortSignal) => T | PromiseLike<T>)): void {
    if (work instanceof Task) this.#task = work as Task<T>
    if (typeof work !== 'function') {
      adoptPromise(work).then(this.#succeed, this.#fail)
      return
    }
    this.#controller = new AbortController()
    const result = work(this.#controller.signal)
    if (isPromiseLike<T>(result)) adoptPromise(result).then(this.#succeed, this.#fail)
    else this.#succeed(result)
  }

  cancel(reason: unknown): void {
    if (!this.isArmed) return
    this.#executor.timers.disarm(this)
    this.#isCancelled = true
    this.#reason = reason
    this.home.push(this)
  }

  override executorCloses(reason: RuntimeError): void {
    this.promise.catch(ignore)
    this.cancel(reason)
  }

  /** Too late, or cancelled: unless the work has ended since. */
  override run(): void {
    if (this.#isSettled) return
    const reason = this.#isCancelled ? this.#reason : madeInTurn(timeoutError(ACTION, this.#ms))
    this.#settle()
    rejectFrom(this.#resolve, reason)
    this.#controller?.abort(reason)
    void this.#task?.cancel()
  }

  readonly #succeed = (value: T): void => {
    if (this.#isSettled) {
      if (this.#controller !== null) dispose(value)
      return
    }
    this.#settle()
    this.#resolve(value)
  }

  readonly #fail = (error: unknown): void => {
    if (this.#isSettled) return
    this.#settle()
    rejectFrom(this.#resolve, error)
  }

  #settle(): void {
    this.#isSettled = true
    this.#binding?.end()
    this.#executor.timers.disarm(this)
  }
}

/** Releases what nobody waits for any more; a failure of that is reported as unhandled. */
function dispose(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  if (Symbol.asyncDispose in value) void (value as AsyncDisposable)[Symbol.asyncDispose]()
  else if (Symbol.dispose in value) (value as Disposable)[Symbol.dispose]()
}
