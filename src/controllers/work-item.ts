import { assert, validateDurationMs, validateFunction, wrongType } from '../base/index.ts'
import type { Task } from '../executor/index.ts'

/** The line ends that much before the deadline, so that what is regulated has settled by then. */
const RESERVE = 0.05

/** Work that should be done by a deadline, for {@link DeadlineQueue.push}. */
export interface DeadlineSource<T> {
  /** When it should be done: milliseconds from being pushed, above 0. */
  readonly durationMs: number
  /**
   * How much there is to do, in units of your own that all sources of a queue share, such as bytes; it may change.
   * Where it throws or gives no number from 0 on, its last answer counts.
   */
  totalUnits(): number
  /**
   * How much of that is done; it may go backwards, and counts as no less than 0 and no more than there is to do. Where it
   * throws or gives no number, its last answer counts.
   */
  processedUnits(): number
  /** Does the work: in a task of the queue, once those that were pushed before have ended. */
  run(task: Task<T>): T | PromiseLike<T>
}

/** The part of a source that says how far it is. */
type ProgressSource = Pick<DeadlineSource<never>, 'durationMs' | 'totalUnits' | 'processedUnits'>

const ACTION = 'push work'

/** What a source has to say, as far as it can be believed. */
export class WorkItem {
  readonly pushedNs: number
  readonly durationNs: number
  total = 0
  done = 0
  /** By how much what is done grows at a time, where that is seldom; else 0. */
  quantum = 0
  #hasPaused = false
  readonly #source: ProgressSource
  readonly #onFailure: (error: unknown) => void

  /**
   * @throws {TypeError | RangeError} for anything but a {@link DeadlineSource}, and whatever the source
   * itself throws.
   */
  constructor(source: ProgressSource, nowNs: number, onFailure: (error: unknown) => void) {
    checkSource(source)
    this.pushedNs = nowNs
    this.durationNs = source.durationMs * 1e6
    this.total = validateUnits('totalUnits()', source.totalUnits())
    this.done = Math.min(validateUnits('processedUnits()', source.processedUnits()), this.total)
    this.#source = source
    this.#onFailure = onFailure
  }

  get deadlineNs(): number {
    return this.pushedNs + this.durationNs
  }

  /** How much should be done in a nanosecond. */
  get rate(): number {
    return this.total / (this.durationNs * (1 - RESERVE))
  }

  /** How much should be done by now. */
  expectedAt(nowNs: number): number {
    return Math.min(this.total, this.rate * (nowNs - this.pushedNs))
  }

  /** Asks the source. Never throws. */
  read(): void {
    const before = this.done
    this.total = this.#ask('totalUnits') ?? this.total
    this.done = Math.min(this.#ask('processedUnits') ?? this.done, this.total)
    const grown = this.done - before
    // What grows from one look to the next has parts that are too small to matter.
    if (grown !== 0) this.quantum = this.#hasPaused && grown > 0 ? grown : 0
    this.#hasPaused = grown === 0
    assert(this.done >= 0 && this.done <= this.total, 'a source has done a part of its work')
  }

  #ask(what: 'totalUnits' | 'processedUnits'): number | null {
    try {
      const units = this.#source[what]()
      return isUnits(units) ? units : null
    } catch (error) {
      this.#onFailure(error)
      return null
    }
  }
}

/** How work stands, in nanoseconds. */
export interface Standing {
  /** How long ago all that is done by now should have been done; below 0 where work is ahead. */
  readonly lagNs: number
  /** How long a part should take, where work is done in parts; else 0. */
  readonly partNs: number
}

/** How all of `items` together stand. O(n). */
export function standingOf(items: Iterable<WorkItem>, nowNs: number): Standing {
  let missing = 0
  let rate = 0
  let quantum = 0
  for (const item of items) {
    missing += item.expectedAt(nowNs) - item.done
    rate += item.rate
    quantum = Math.max(quantum, item.quantum)
  }
  if (!(rate > 0)) return { lagNs: 0, partNs: 0 }
  // A part is done as a whole: to be ahead by less than one is to be in time.
  const ahead = missing < 0 ? Math.min(missing + quantum, 0) : missing
  return { lagNs: ahead / rate, partNs: quantum / rate }
}

function checkSource(source: ProgressSource & { readonly run?: unknown }): void {
  if (typeof source !== 'object' || source === null) {
    throw wrongType(ACTION, 'source', 'a DeadlineSource', source)
  }
  for (const name of ['totalUnits', 'processedUnits', 'run'] as const) {
    validateFunction(ACTION, `source.${name}`, source[name])
  }
  validateDurationMs(ACTION, 'source.durationMs', source.durationMs)
  if (source.durationMs > 0) return
  throw new RangeError(
    `Cannot ${ACTION} as source.durationMs must be above 0: current value is ${source.durationMs}`,
  )
}

function validateUnits(name: string, units: unknown): number {
  if (typeof units !== 'number') throw wrongType(ACTION, `source.${name}`, 'a number', units)
  if (isUnits(units)) return units
  throw new RangeError(
    `Cannot ${ACTION} as source.${name} must be finite and from 0 on: current value is ${units}`,
  )
}

function isUnits(units: unknown): units is number {
  return typeof units === 'number' && units >= 0 && units < Number.POSITIVE_INFINITY
}
