import {
  NS_PER_MS,
  optionNames,
  type RuntimeError,
  validateBoolean,
  validateDurationMs,
  validateOptions,
} from '../base/index.ts'
import {
  bindCancellation,
  type Cancellable,
  type CancellationBinding,
  type Executor,
  executor,
  newPromise,
  refuse,
  rejectFrom,
  takeResolve,
  type WaitOptions,
} from '../executor/index.ts'
import { Timer } from '../reactor/index.ts'
import { timerOptions, validateDeadline } from './deadline.ts'

/** What a {@link sleep} may be given beside its length. */
export interface SleepOptions {
  /** Aborting it ends the sleep; the promise then rejects with its reason. */
  readonly signal?: AbortSignal | undefined
  /** Whether the program stays alive for it; true if not given. */
  readonly keepsAlive?: boolean | undefined
}

const ACTION = 'sleep'
const NAMES = optionNames<SleepOptions>({ signal: true, keepsAlive: true })

/**
 * Resolves after `ms` milliseconds, never earlier; a fraction counts: 0.05 is 50 us.
 *
 * O(log n) in the timers of the thread, one object and its promise, no system call. 0 waits for a
 * later turn. Rejects with the signal's reason, with `ERR_TASK_CANCELLED` when its task is cancelled,
 * with a `TypeError` or `RangeError` for a length that is not from 0 to 2^43 ms.
 *
 * @example
 * ```ts run
 * import { executor } from 'percore'
 * import { sleep } from 'percore/time'
 *
 * const startNs = executor().nowNs()
 * await sleep(0.5)
 * console.log(executor().nowNs() - startNs >= 500_000)
 * ```
 */
export function sleep(ms: number, options?: SleepOptions): Promise<void> {
  try {
    validateDurationMs(ACTION, 'ms', ms)
    const current = executor()
    return startSleep(current, current.nowNs() + ms * NS_PER_MS, options)
  } catch (error) {
    return refuse(error)
  }
}

/**
 * Resolves when the clock of {@link Executor.nowNs} has reached `deadlineNs`; in a later turn if it has.
 *
 * Rejects as {@link sleep} does.
 *
 * @example
 * ```ts run
 * import { executor } from 'percore'
 * import { sleepUntil } from 'percore/time'
 *
 * const startNs = executor().nowNs()
 * for (let tick = 1; tick <= 3; tick++) await sleepUntil(startNs + tick * 1e6)
 * ```
 */
export function sleepUntil(deadlineNs: number, options?: SleepOptions): Promise<void> {
  try {
    validateDeadline(ACTION, deadlineNs)
    return startSleep(executor(), deadlineNs, options)
  } catch (error) {
    return refuse(error)
  }
}

function startSleep(
  current: Executor,
  deadlineNs: number,
  options: SleepOptions | undefined,
): Promise<void> {
  if (options === undefined) return new Sleep(current, deadlineNs, true, undefined).promise
  validateOptions(ACTION, options, NAMES)
  const { signal, keepsAlive = true } = options
  validateBoolean(ACTION, 'keepsAlive', keepsAlive)
  const wait = signal === undefined ? undefined : { signal }
  return new Sleep(current, deadlineNs, keepsAlive, wait).promise
}

/** A timer and a promise. */
class Sleep extends Timer implements Cancellable {
  readonly promise: Promise<void>
  readonly #executor: Executor
  readonly #resolve: (value: void | PromiseLike<void>) => void
  #binding: CancellationBinding | null = null
  #isCancelled = false
  #reason: unknown

  constructor(
    current: Executor,
    deadlineNs: number,
    keepsAlive: boolean,
    wait: WaitOptions | undefined,
  ) {
    super(current.currentQueue(), timerOptions(keepsAlive))
    this.#executor = current
    this.promise = newPromise<void>()
    this.#resolve = takeResolve<void>()
    this.#binding = bindCancellation(current, this, wait, ACTION)
    current.timers.arm(this, deadlineNs)
  }

  cancel(reason: unknown): void {
    // It has expired already: the code that waits goes on in the turn that comes.
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

  override run(): void {
    this.#binding?.end()
    if (this.#isCancelled) rejectFrom(this.#resolve, this.#reason)
    else this.#resolve()
  }
}

function ignore(): void {}
