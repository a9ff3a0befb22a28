import {
  isAbortSignal,
  NS_PER_MS,
  optionNames,
  type RunQueue,
  RuntimeError,
  validateDurationMs,
  validateOptions,
  wrongType,
} from '../base/index.ts'
import { Timer, type TimerPort } from '../reactor/index.ts'
import { abortHub } from './abort-hub.ts'
import type { Cancellable } from './cancellable.ts'
import type { TaskInContext } from './context.ts'
import { madeInTurn } from './deferred.ts'
import { waitLog } from './wait-log.ts'
import type { Waits } from './waits.ts'

/** What everything that waits accepts. */
export interface WaitOptions {
  /** Aborting it ends the wait, and cancels the operation; the promise rejects with its reason. */
  readonly signal?: AbortSignal | undefined
  /** The longest wait, in milliseconds; the promise then rejects with `ERR_TASK_TIMEOUT`. */
  readonly timeoutMs?: number | undefined
}

const NAMES = optionNames<WaitOptions>({ signal: true, timeoutMs: true })

/** What is left of a longer wait, for one of its steps: errors name the whole. */
export class WaitStep implements WaitOptions {
  readonly signal: AbortSignal | undefined
  readonly timeoutMs: number
  readonly wholeTimeoutMs: number
  readonly wholeAction: string

  constructor(whole: WaitOptions & { readonly timeoutMs: number }, action: string, leftMs: number) {
    this.signal = whole.signal
    this.timeoutMs = leftMs
    this.wholeTimeoutMs = whole.timeoutMs
    this.wholeAction = action
  }
}

/** What a wait asks of its executor: whose wait it is, and the timers that bound it. */
export interface WaitHome {
  readonly timers: TimerPort
  readonly waits: Waits
  currentTask(): TaskInContext | null
  currentQueue(): RunQueue
  nowNs(): number
}

/**
 * Ties a wait to what may end it early: a signal, a time limit, the task that it belongs to.
 *
 * The common wait has none of them and costs nothing: {@link bindCancellation} then returns null.
 */
export interface CancellationBinding {
  /** Unties it, once the wait has ended. */
  end(): void
}

/**
 * @throws {TypeError | RangeError} for options of the wrong kind; the signal's reason if it is aborted
 * already; the reason of the task's cancellation if that has happened.
 * @throws {RuntimeError} `ERR_EXECUTOR_CLOSED`, unless the wait is for a closing.
 */
export function bindCancellation(
  home: WaitHome,
  target: Cancellable,
  options: WaitOptions | undefined,
  action: string,
): CancellationBinding | null {
  if (home.waits.closeReason !== null) return bindShielded(home, target, options, action)
  const task = home.currentTask()
  if (options === undefined && task === null) return null
  const signal = options?.signal
  const timeoutMs = options?.timeoutMs
  refuseEnded(task, options, action)
  task?.adopt(target)
  if (waitLog !== null) waitLog.wait(target, action, bindCancellation)
  if (signal === undefined && timeoutMs === undefined) {
    return task === null ? null : new TaskBinding(task, target)
  }
  return bindOptions(home, task, target, options!, action)
}

/** A wait that begins after the close: only one for a closing may, and no task cancels that any more. */
function bindShielded(
  home: WaitHome,
  target: Cancellable,
  options: WaitOptions | undefined,
  action: string,
): CancellationBinding | null {
  if (target.isShielded !== true) throw home.waits.closedError(action)
  if (options === undefined) return null
  refuseEnded(null, options, action)
  return bindOptions(home, null, target, options, action)
}

// Apart, since what closures capture is allocated on entry, whether or not they are made.
function bindOptions(
  home: WaitHome,
  task: TaskInContext | null,
  target: Cancellable,
  options: WaitOptions,
  action: string,
): CancellationBinding {
  const { signal, timeoutMs } = options
  const hub = signal === undefined ? null : abortHub(signal)
  hub?.add(target)
  const timer = timeoutMs === undefined ? null : new WaitTimer(home, target, options, action)
  return {
    end(): void {
      task?.release(target)
      hub?.remove(target)
      if (timer !== null) home.timers.disarm(timer)
    },
  }
}

/** The binding of every wait of a task without options: two words, no closure. */
class TaskBinding implements CancellationBinding {
  readonly #task: TaskInContext
  readonly #target: Cancellable

  constructor(task: TaskInContext, target: Cancellable) {
    this.#task = task
    this.#target = target
  }

  end(): void {
    this.#task.release(this.#target)
  }
}

/**
 * Refuses what {@link bindCancellation} refuses: for answers that need no wait, hence no binding.
 *
 * @throws as {@link bindCancellation} does.
 */
export function checkCancellation(
  home: WaitHome,
  options: WaitOptions | undefined,
  action: string,
): void {
  if (home.waits.closeReason !== null) throw home.waits.closedError(action)
  const task = home.currentTask()
  if (options !== undefined || task !== null) refuseEnded(task, options, action)
}

function refuseEnded(
  task: TaskInContext | null,
  options: WaitOptions | undefined,
  action: string,
): void {
  if (options !== undefined) validateWaitOptions(action, options)
  const signal = options?.signal
  const timeoutMs = options?.timeoutMs
  if (signal !== undefined) validateSignal(action, signal)
  if (timeoutMs !== undefined) validateDurationMs(action, 'timeoutMs', timeoutMs)
  if (signal?.aborted) throw signal.reason
  if (task !== null && task.cancelReason !== null) throw task.cancelReason
}

/** @throws {TypeError} for anything but {@link WaitOptions}, whose values are checked by the wait. */
export function validateWaitOptions(action: string, options: WaitOptions): void {
  // A step was made from options that have been checked.
  if (!(options instanceof WaitStep)) validateOptions(action, options, NAMES)
}

function validateSignal(action: string, signal: unknown): void {
  if (!isAbortSignal(signal)) throw wrongType(action, 'signal', 'an AbortSignal', signal)
}

/** Ends a wait that took too long. It keeps the program alive, since what it bounds may not. */
class WaitTimer extends Timer {
  readonly #target: Cancellable
  readonly #options: WaitOptions
  readonly #action: string

  constructor(home: WaitHome, target: Cancellable, options: WaitOptions, action: string) {
    super(home.currentQueue(), { keepsAlive: true })
    this.#target = target
    this.#options = options
    this.#action = action
    home.timers.arm(this, home.nowNs() + options.timeoutMs! * NS_PER_MS)
  }

  // Cancelling marks and queues, as completions do: the waiter is settled in a turn of its queue.
  override expire(): void {
    this.#target.cancel(madeInTurn(limitError(this.#options, this.#action)))
  }

  override run(): void {}
}

function limitError(options: WaitOptions, action: string): RuntimeError {
  return options instanceof WaitStep
    ? timeoutError(options.wholeAction, options.wholeTimeoutMs)
    : timeoutError(action, options.timeoutMs!)
}

/** The error of a wait that was longer than its limit. */
export function timeoutError(action: string, timeoutMs: number): RuntimeError {
  return new RuntimeError(
    'ERR_TASK_TIMEOUT',
    `Cannot ${action} as it must end within ${timeoutMs} ms: it did not`,
  )
}
