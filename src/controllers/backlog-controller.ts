import {
  optionNames,
  showAs,
  validateFunction,
  validateInteger,
  validateOptions,
  wrongType,
} from '../base/index.ts'
import type { SharesManager } from '../executor/index.ts'
import { validatePeriod } from './deadline-queue.ts'
import { type ControllerStatus, type PriorityBump, ShareOverride } from './share-override.ts'

const ACTION = 'create a backlog controller'
const PERIOD_MS_DEFAULT = 250

/** A backlog, in units of one's own, and the shares to have at it. */
export type BacklogPoint = readonly [backlog: number, shares: number]

/** How a {@link BacklogController} regulates. */
export interface BacklogControllerOptions {
  /**
   * Shares by backlog, with straight lines between: ascending, with shares from 1 to 1000 that never fall. Before the first
   * and behind the last point shares are those of that point.
   */
  readonly points: readonly BacklogPoint[]
  /** How often shares are adjusted, in milliseconds from 1; 250 if not given. */
  readonly adjustmentPeriodMs?: number
}

const NAMES = optionNames<BacklogControllerOptions>({ points: true, adjustmentPeriodMs: true })

/**
 * Shares that grow with what is left to do, for work that has no deadline but must keep up: compaction,
 * replication, a queue of jobs.
 *
 * It finds the backlog at which work is done as fast as it comes, and stays there. O(log points) for each adjustment.
 * `docs/models/backlog-controller.md` has the equations.
 *
 * Source: ScyllaDB's backlog controllers.
 *
 * @example Compaction that keeps up
 * ```ts run
 * import { createTaskQueue } from 'percore'
 * import { BacklogController } from 'percore/controllers'
 *
 * let pendingBytes = 0
 * const shares = new BacklogController(() => pendingBytes, {
 *   points: [
 *     [0, 20],
 *     [64e6, 200],
 *     [1e9, 1000],
 *   ],
 * })
 * const compaction = createTaskQueue('compaction', { shares })
 * pendingBytes = 32e6
 * console.log(shares.shares(), compaction.shares) // 110 20: adjusted within a period
 * ```
 */
export class BacklogController implements SharesManager {
  static {
    showAs(BacklogController, (controller) => {
      const { shares, isEnabled } = controller.status()
      return `BacklogController ${isEnabled ? 'enabled' : 'disabled'}, ${Math.round(shares)} shares`
    })
  }

  readonly adjustmentPeriodMs: number
  readonly #backlog: () => number
  readonly #points: readonly BacklogPoint[]
  readonly #override = new ShareOverride()
  #shares: number
  #hasWarned = false

  /**
   * @param backlog How much is left to do, from 0 on. Where it throws or gives no such number, shares stay as
   * they are.
   * @throws {TypeError | RangeError} for arguments of the wrong kind.
   */
  constructor(backlog: () => number, options: BacklogControllerOptions) {
    validateFunction(ACTION, 'backlog', backlog)
    validateOptions(ACTION, options, NAMES)
    const { points, adjustmentPeriodMs = PERIOD_MS_DEFAULT } = options
    validatePeriod(ACTION, adjustmentPeriodMs)
    this.#points = checkPoints(points)
    this.adjustmentPeriodMs = adjustmentPeriodMs
    this.#backlog = backlog
    this.#shares = this.#points[0]![1]
  }

  /** Looks at the backlog; called by the task queue that was made with it. */
  shares(): number {
    if (this.#override.fixed === null) this.#shares = this.#look() ?? this.#shares
    return this.#override.apply(this.#shares)
  }

  /** Keeps the shares from falling below 250, however small the backlog, until the bump is released. */
  bumpPriority(): PriorityBump {
    return this.#override.bump()
  }

  /**
   * Fixes the shares from the next adjustment on, within a period.
   *
   * @throws {TypeError | RangeError} unless `shares` is a whole number from 1 to 1000.
   */
  disable(shares: number): void {
    this.#override.disable(shares)
  }

  /** Lets the backlog decide again. Nothing if it does already. */
  enable(): void {
    this.#override.enable()
  }

  /** How it stands; reading it changes nothing. */
  status(): ControllerStatus {
    return this.#override.status(this.#shares)
  }

  #look(): number | null {
    try {
      const backlog = this.#backlog()
      return backlog >= 0 ? interpolate(this.#points, backlog) : null
    } catch (error) {
      // A turn asks: nobody above it could handle that.
      if (!this.#hasWarned) {
        this.#hasWarned = true
        process.emitWarning(
          `Shares stay as they are, as the backlog is not known: ${String(error)}`,
        )
      }
      return null
    }
  }
}

/** The shares at a backlog: on the straight line between the points beside it. */
export function interpolate(points: readonly BacklogPoint[], backlog: number): number {
  let low = 0
  let high = points.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (points[middle]![0] <= backlog) low = middle + 1
    else high = middle
  }
  const right = points[low]
  const left = points[low - 1]
  if (left === undefined) return right![1]
  if (right === undefined) return left[1]
  const part = (backlog - left[0]) / (right[0] - left[0])
  return left[1] + part * (right[1] - left[1])
}

function checkPoints(points: unknown): readonly BacklogPoint[] {
  if (!Array.isArray(points)) throw wrongType(ACTION, 'points', 'an array', points)
  if (points.length === 0) {
    throw new RangeError(`Cannot ${ACTION} as points must not be empty: current value is []`)
  }
  let before: BacklogPoint | null = null
  return points.map((point: unknown, index) => {
    before = checkPoint(`points[${index}]`, point, before)
    return before
  })
}

function checkPoint(name: string, point: unknown, before: BacklogPoint | null): BacklogPoint {
  if (!Array.isArray(point)) throw wrongType(ACTION, name, 'a pair of backlog and shares', point)
  const [backlog, shares] = point as unknown[]
  if (typeof backlog !== 'number') throw wrongType(ACTION, `${name}[0]`, 'a number', backlog)
  const backlogMin = before === null ? 0 : before[0]
  const isInOrder = before === null ? backlog >= 0 : backlog > backlogMin
  if (!isInOrder || backlog === Number.POSITIVE_INFINITY) {
    const range = before === null ? 'from 0 on' : `above ${backlogMin}`
    throw new RangeError(
      `Cannot ${ACTION} as ${name}[0] must be finite and ${range}: current value is ${backlog}`,
    )
  }
  const min = before === null ? 1 : before[1]
  validateInteger(ACTION, `${name}[1]`, shares, { min, max: 1000 })
  return [backlog, shares]
}
