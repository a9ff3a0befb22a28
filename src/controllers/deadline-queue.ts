import {
  count,
  NS_PER_MS,
  optionNames,
  showAs,
  validateDurationMs,
  validateInteger,
  validateOptions,
} from '../base/index.ts'
import {
  type Executor,
  executor,
  type LatencyClass,
  type SharesManager,
  spawnInto,
  type Task,
  type TaskQueue,
} from '../executor/index.ts'
import { Mutex } from '../sync/index.ts'
import { ProgressControl } from './progress-control.ts'
import { type ControllerStatus, type PriorityBump, ShareOverride } from './share-override.ts'
import { type DeadlineSource, type Standing, standingOf, WorkItem } from './work-item.ts'

const ACTION = 'create a deadline queue'
const PERIOD_MS_DEFAULT = 250
const PERIOD_MS_MIN = 1
const SHARES_MAX = 1000
const INITIAL_SHARES_DEFAULT = 100
/** The lag that the controller answers with all it has is a few periods long, */
const HORIZON_PERIODS = 4
/** or a small part of what the first in line was given, */
const HORIZON_PART = 0.04
/** or two parts of work that is done in parts: within one, nothing is known of it. */
const HORIZON_PARTS = 2

/** How a {@link DeadlineQueue} regulates. */
export interface DeadlineQueueOptions {
  /**
   * How often shares are adjusted, in milliseconds from 1; 250 if not given. A twentieth of the shortest
   * `durationMs` or less: with fewer adjustments there is no time to find the right shares.
   */
  readonly adjustmentPeriodMs?: number
  /** The shares to begin with, from 1 to 1000; 100 if not given. */
  readonly initialShares?: number
  /** The latency class of its task queue; none if not given. */
  readonly latency?: LatencyClass
}

const NAMES = optionNames<DeadlineQueueOptions>({
  adjustmentPeriodMs: true,
  initialShares: true,
  latency: true,
})

/** What a {@link DeadlineQueue} says of itself. */
export interface DeadlineQueueStatus extends ControllerStatus {
  /** How far its work is behind its line, in milliseconds; below 0 where it is ahead. */
  readonly lagMs: number
  /** Whether the work at its head has not ended by its deadline. */
  readonly isLate: boolean
  /** How much work is in it, what runs included. */
  readonly workCount: number
}

/**
 * Work that is to be done by deadlines, one at a time, with no more of the thread than that takes.
 *
 * It has a task queue of its own, whose shares are adjusted by feedback: each piece of work says how much
 * of it is done; what falls behind the straight line to its deadline gets more shares, what is ahead fewer. So a
 * flush that may take a minute takes one, and leaves the rest to others. What has not ended at its deadline has all 1000
 * shares until it does. Shares help where the thread's time is short: work that waits for a disk
 * gets no faster by them.
 *
 * Belongs to one executor. O(1) for each piece of work; each adjustment asks all that is queued.
 * `docs/models/deadline-queue.md` has the equations.
 *
 * Source: glommio::controllers::DeadlineQueue.
 *
 * @example A flush that may take as long as it has
 * ```ts run
 * import { yieldIfNeeded } from 'percore'
 * import { DeadlineQueue } from 'percore/controllers'
 *
 * const flushes = new DeadlineQueue('flush', { adjustmentPeriodMs: 10 })
 * const pageCount = 1000
 * let written = 0
 * await flushes.push({
 *   durationMs: 200,
 *   totalUnits: () => pageCount,
 *   processedUnits: () => written,
 *   async run() {
 *     for (; written < pageCount; written++) await yieldIfNeeded()
 *   },
 * })
 * console.log(flushes.status().isEnabled, written)
 * ```
 */
export class DeadlineQueue {
  static {
    showAs(DeadlineQueue, (queue) => {
      const { shares, workCount } = queue.status()
      const name = queue.taskQueue.name
      return `DeadlineQueue(${name}) ${count(Math.round(shares), 'share')}, ${workCount} queued`
    })
  }

  /** The task queue that the work runs in; to spawn more into it, or to `remove()` it. */
  readonly taskQueue: TaskQueue
  readonly #executor: Executor
  readonly #periodNs: number
  readonly #control: ProgressControl
  readonly #override = new ShareOverride()
  readonly #turns = new Mutex()
  /** All that has not ended, in the order in which it was pushed. */
  readonly #items = new Set<WorkItem>()
  #lastDeadlineNs = 0
  #shares: number
  #adjustedNs: number
  #hasWarned = false

  /**
   * @throws {TypeError | RangeError} for a name or options of the wrong kind.
   * @throws {RuntimeError} `ERR_EXECUTOR_CLOSED`
   */
  constructor(name: string, options: DeadlineQueueOptions = {}) {
    validateOptions(ACTION, options, NAMES)
    const { adjustmentPeriodMs = PERIOD_MS_DEFAULT, latency } = options
    const { initialShares = INITIAL_SHARES_DEFAULT } = options
    validatePeriod(ACTION, adjustmentPeriodMs)
    validateInteger(ACTION, 'initialShares', initialShares, { min: 1, max: SHARES_MAX })
    this.#executor = executor()
    this.#periodNs = adjustmentPeriodMs * NS_PER_MS
    this.#control = new ProgressControl(initialShares)
    this.#shares = initialShares
    this.#adjustedNs = this.#executor.nowNs()
    const shares: SharesManager = { adjustmentPeriodMs, shares: () => this.#adjust() }
    const whole = latency === undefined ? { shares } : { shares, latency }
    this.taskQueue = this.#executor.createTaskQueue(name, whole)
  }

  /**
   * Queues work behind what there is; the task has its result.
   *
   * Its time counts from now, also while it waits. Cancelling the task withdraws it, or cancels its
   * work once that runs; what comes behind it goes on then, as it does when work fails.
   * Work that awaits what it pushes to its own queue waits for ever, since that comes behind it.
   *
   * @throws {TypeError | RangeError} for a source of the wrong kind, and if it should be done before what was queued
   * last and has not ended; whatever the source's own functions throw.
   * @throws {RuntimeError} `ERR_QUEUE_NOT_FOUND` once the task queue was removed; `ERR_EXECUTOR_CLOSED`.
   */
  push<T>(source: DeadlineSource<T>): Task<T> {
    const nowNs = this.#executor.nowNs()
    const item = new WorkItem(source, nowNs, (error) => this.#warn(error))
    if (this.#items.size > 0 && item.deadlineNs < this.#lastDeadlineNs) {
      const leastMs = Math.ceil((this.#lastDeadlineNs - nowNs) / NS_PER_MS)
      throw new RangeError(
        `Cannot push work as source.durationMs must not end before what is queued, in ${leastMs} ms: current value is ${source.durationMs}`,
      )
    }
    const run = async (task: Task<T>): Promise<T> => {
      const turn = await this.#turns.lock()
      try {
        return await source.run(task)
      } finally {
        turn.release()
      }
    }
    const task = spawnInto(this.taskQueue, run, { name: source.run.name || 'deadline work' })
    // An idle queue has no time to account for.
    if (this.#items.size === 0) this.#adjustedNs = nowNs
    this.#items.add(item)
    this.#lastDeadlineNs = item.deadlineNs
    task.whenEnded(() => this.#items.delete(item))
    return task
  }

  /** Keeps the shares from falling below 250, however far ahead the work is, until the bump is released. */
  bumpPriority(): PriorityBump {
    return this.#override.bump()
  }

  /**
   * Fixes the shares from the next adjustment on, within a period; the controller stands still.
   *
   * @throws {TypeError | RangeError} unless `shares` is a whole number from 1 to 1000.
   */
  disable(shares: number): void {
    this.#override.disable(shares)
  }

  /** Lets the controller go on, from the shares that it finds. Nothing if it does already. */
  enable(): void {
    const { fixed } = this.#override
    if (fixed === null) return
    this.#override.enable()
    const nowNs = this.#executor.nowNs()
    this.#read()
    const standing = standingOf(this.#items, nowNs)
    this.#control.follow(fixed, standing.lagNs, this.#horizonNs(standing))
    this.#shares = fixed
    this.#adjustedNs = nowNs
  }

  /** How it stands; reading it changes nothing. */
  status(): DeadlineQueueStatus {
    const nowNs = this.#executor.nowNs()
    return {
      ...this.#override.status(this.#shares),
      lagMs: standingOf(this.#items, nowNs).lagNs / NS_PER_MS,
      isLate: this.#isLate(nowNs),
      workCount: this.#items.size,
    }
  }

  /** Called in a turn: throws nothing, runs no user code but the sources' questions. */
  #adjust(): number {
    const nowNs = this.#executor.nowNs()
    const elapsed = nowNs - this.#adjustedNs
    this.#adjustedNs = nowNs
    if (this.#override.fixed === null && this.#items.size > 0) {
      this.#read()
      const standing = standingOf(this.#items, nowNs)
      const horizon = this.#horizonNs(standing)
      const step = { lag: standing.lagNs, horizon, elapsed, period: this.#periodNs }
      this.#shares = this.#isLate(nowNs) ? SHARES_MAX : this.#control.adjust(step)
    }
    return this.#override.apply(this.#shares)
  }

  #read(): void {
    for (const item of this.#items) item.read()
  }

  #horizonNs({ partNs }: Standing): number {
    const [first] = this.#items
    const part = HORIZON_PART * (first?.durationNs ?? 0)
    return Math.max(HORIZON_PERIODS * this.#periodNs, part, HORIZON_PARTS * partNs)
  }

  #isLate(nowNs: number): boolean {
    const [first] = this.#items
    return first !== undefined && nowNs >= first.deadlineNs
  }

  /** Nobody above a turn could handle it, and the work itself may be fine. */
  #warn(error: unknown): void {
    if (this.#hasWarned) return
    this.#hasWarned = true
    process.emitWarning(
      `Work of deadline queue '${this.taskQueue.name}' can't say how much is done, which counts as no progress: ${String(error)}`,
    )
  }
}

/** @throws {TypeError | RangeError} for a period that no task queue can be adjusted with. */
export function validatePeriod(action: string, periodMs: unknown): void {
  validateDurationMs(action, 'adjustmentPeriodMs', periodMs)
  if (periodMs >= PERIOD_MS_MIN) return
  throw new RangeError(
    `Cannot ${action} as adjustmentPeriodMs must be at least ${PERIOD_MS_MIN}: current value is ${periodMs}`,
  )
}
