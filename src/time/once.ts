import { AsyncResource } from 'node:async_hooks'
import {
  isAbortSignal,
  NS_PER_MS,
  optionNames,
  type RuntimeError,
  showAs,
  validateBoolean,
  validateDurationMs,
  validateFunction,
  validateOptions,
  wrongType,
} from '../base/index.ts'
import {
  abortHub,
  createDeferred,
  type Deferred,
  type Executor,
  executor,
  spawnInto,
  type Task,
  TaskQueue,
} from '../executor/index.ts'
import { Timer } from '../reactor/index.ts'
import { timerOptions, validateDeadline } from './deadline.ts'
import { joinTask } from './join-task.ts'

/** What a timed action may be given. */
export interface TimerActionOptions {
  /** Where it runs; the current task queue if not given. */
  readonly queue?: TaskQueue | undefined
  /** Aborting it is {@link TimerActionOnce.destroy}. */
  readonly signal?: AbortSignal | undefined
  /** Whether the program stays alive until it is due; true if not given. */
  readonly keepsAlive?: boolean | undefined
}

const ACTION = 'time an action'
const NAMES = optionNames<TimerActionOptions>({ queue: true, signal: true, keepsAlive: true })

/**
 * Runs `action` as a task, `ms` milliseconds from now, whether or not the handle is kept.
 *
 * Independent of the task that it is called from, as a spawned task is; its AsyncLocalStorages are those
 * of this call.
 *
 * @throws {TypeError | RangeError} for arguments of the wrong kind; the signal's reason if it is aborted;
 * {@link RuntimeError} `ERR_EXECUTOR_CLOSED`.
 *
 * @example
 * ```ts run
 * import { once } from 'percore/time'
 *
 * const action = once(60_000, () => 'flushed')
 * action.rearmIn(1)
 * console.log(await action.join())
 * ```
 */
export function once<T>(
  ms: number,
  action: () => T | PromiseLike<T>,
  options?: TimerActionOptions,
): TimerActionOnce<T> {
  validateDurationMs(ACTION, 'ms', ms)
  return onceAt(executor().nowNs() + ms * NS_PER_MS, action, options)
}

/**
 * Runs `action` as a task when the clock of {@link Executor.nowNs} has reached `deadlineNs`; if it
 * has, in a later turn. Else like {@link once}.
 *
 * @throws as {@link once} does.
 */
export function onceAt<T>(
  deadlineNs: number,
  action: () => T | PromiseLike<T>,
  options?: TimerActionOptions,
): TimerActionOnce<T> {
  validateDeadline(ACTION, deadlineNs)
  validateFunction(ACTION, 'action', action)
  return new TimerActionOnce(action, deadlineNs, options)
}

/**
 * An action that runs once, at its time.
 *
 * Made by {@link once} and {@link onceAt}. A failure goes to {@link join}; if nobody joins, Node
 * reports it as an unhandled rejection.
 *
 * Source: glommio::timer::TimerActionOnce.
 */
export class TimerActionOnce<T> {
  static {
    showAs(TimerActionOnce, (action) => {
      const task = action.#task?.state ?? (action.#isDestroyed ? 'destroyed' : 'due')
      return `TimerActionOnce ${action.isArmed ? 'armed' : task}`
    })
  }

  readonly #executor: Executor
  readonly #timer: ActionTimer
  readonly #action: () => T | PromiseLike<T>
  readonly #queue: TaskQueue
  readonly #signal: AbortSignal | undefined
  /** The asynchronous context of the code that timed it. */
  readonly #context = new AsyncResource('PercoreTimedAction', { requireManualDestroy: true })
  #task: Task<T> | null = null
  #isDestroyed = false
  #end: Deferred<T | undefined> | null = null
  /** Why it can't run any more, else null. */
  #failure: unknown = null

  /** @internal Use {@link once} or {@link onceAt}. */
  constructor(
    action: () => T | PromiseLike<T>,
    deadlineNs: number,
    options: TimerActionOptions = {},
  ) {
    this.#executor = executor()
    this.#executor.assertOpen(ACTION)
    this.#action = action
    this.#queue = checkActionOptions(this.#executor, options)
    this.#timer = new ActionTimer(this.#queue, options.keepsAlive, this)
    this.#signal = options.signal
    if (this.#signal !== undefined) abortHub(this.#signal).add(this)
    this.#executor.timers.arm(this.#timer, deadlineNs)
  }

  /** Whether its time is still to come. */
  get isArmed(): boolean {
    return this.#timer.isArmed
  }

  /**
   * Sets another time, from now; returns false, and does nothing, if it has fired or been destroyed.
   *
   * @throws {TypeError | RangeError} for a wrong duration.
   */
  rearmIn(ms: number): boolean {
    validateDurationMs('rearm an action', 'ms', ms)
    return this.rearmAt(this.#executor.nowNs() + ms * NS_PER_MS)
  }

  /**
   * Sets another time; returns false, and does nothing, if it has fired or been destroyed.
   *
   * @throws {TypeError | RangeError} for a wrong moment.
   */
  rearmAt(deadlineNs: number): boolean {
    validateDeadline('rearm an action', deadlineNs)
    if (!this.isArmed) return false
    const { timers } = this.#executor
    timers.disarm(this.#timer)
    timers.arm(this.#timer, deadlineNs)
    return true
  }

  /**
   * Keeps the action from running, or cancels its task if it runs; tasks that it spawned go on.
   */
  destroy(): void {
    if (this.#isDestroyed) return
    this.#isDestroyed = true
    this.#executor.timers.disarm(this.#timer)
    this.#leaveSignal()
    if (this.#task !== null) void this.#task.cancel()
    else this.#end?.resolve(undefined)
  }

  /**
   * Like {@link destroy}, and resolves when the action has ended: with its value if it finished first
   * or regardless, else with undefined.
   */
  async cancel(): Promise<T | undefined> {
    this.destroy()
    return this.#task?.cancel()
  }

  /** Waits for the action; resolves with its value, or undefined if it was cancelled or destroyed. */
  join(): Promise<T | undefined> {
    if (this.#task !== null) return joinTask(this.#task)
    if (this.#end === null) {
      this.#end = createDeferred<T | undefined>()
      if (this.#failure !== null) this.#end.reject(this.#failure)
      else if (this.#isDestroyed) this.#end.resolve(undefined)
    }
    return this.#end.promise
  }

  /** @internal Its time has come. */
  start(): void {
    // Destroyed between the expiry and the turn.
    if (this.#isDestroyed) return
    const action = this.#action
    const options = { name: action.name || 'timed action' }
    try {
      this.#task = this.#context.runInAsyncScope(() =>
        spawnInto(this.#queue, () => action(), options),
      )
    } catch (error) {
      // The queue was removed meanwhile. This is a turn: nobody above us could handle it.
      if (!this.#executor.isClosing) this.#end ??= createDeferred<T | undefined>()
      this.fail(error)
      return
    }
    if (this.#signal !== undefined) this.#task.whenEnded(() => this.#leaveSignal())
    if (this.#end !== null) joinTask(this.#task).then(this.#end.resolve, this.#end.reject)
  }

  /** @internal It will never start. */
  fail(reason: unknown): void {
    if (this.#isDestroyed) return
    this.#isDestroyed = true
    this.#failure = reason
    this.#leaveSignal()
    this.#end?.reject(reason)
  }

  #leaveSignal(): void {
    if (this.#signal !== undefined) abortHub(this.#signal).remove(this)
  }
}

/** @internal The queue of an action, once its options have been checked. */
export function checkActionOptions(current: Executor, options: TimerActionOptions): TaskQueue {
  validateOptions(ACTION, options, NAMES)
  const { queue = current.currentQueue(), signal, keepsAlive } = options
  if (!(queue instanceof TaskQueue)) throw wrongType(ACTION, 'queue', 'a TaskQueue', queue)
  if (signal !== undefined && !isAbortSignal(signal)) {
    throw wrongType(ACTION, 'signal', 'an AbortSignal', signal)
  }
  if (keepsAlive !== undefined) validateBoolean(ACTION, 'keepsAlive', keepsAlive)
  signal?.throwIfAborted()
  return queue
}

/** What its timer tells an action. */
interface TimedAction {
  start(): void
  fail(reason: RuntimeError): void
}

class ActionTimer extends Timer {
  readonly #action: TimedAction

  constructor(queue: TaskQueue, keepsAlive: boolean | undefined, action: TimedAction) {
    super(queue, timerOptions(keepsAlive))
    this.#action = action
  }

  override executorCloses(reason: RuntimeError): void {
    this.#action.fail(reason)
  }

  override run(): void {
    this.#action.start()
  }
}
