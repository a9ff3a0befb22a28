import {
  NS_PER_MS,
  optionNames,
  showAs,
  validateBoolean,
  validateDurationMs,
  validateOptions,
} from '../base/index.ts'
import {
  answerReady,
  checkCancellation,
  type Executor,
  executor,
  ListedWaiter,
  refuse,
  WaitList,
  type WaitOptions,
} from '../executor/index.ts'
import { Timer } from '../reactor/index.ts'
import { timerOptions } from './deadline.ts'
import { MISSED_TICKS, type MissedTicks, nextTickNs } from './missed-ticks.ts'

/** What an {@link Interval} may be given beside its period. */
export interface IntervalOptions {
  /** `skip` if not given. */
  readonly missedTicks?: MissedTicks | undefined
  /** Aborting it rejects the {@link Interval.next} that waits, and every later one, with its reason. */
  readonly signal?: AbortSignal | undefined
  /** Whether the program stays alive for a tick that is waited for; true if not given. */
  readonly keepsAlive?: boolean | undefined
}

type Tick = IteratorResult<number, undefined>

const ACTION = 'wait for a tick'
const NAMES = optionNames<IntervalOptions>({ missedTicks: true, signal: true, keepsAlive: true })
const END: Tick = { done: true, value: undefined }

/**
 * Ticks of a clock, one per period, as an async iterator: each yields when it was due, in
 * nanoseconds of {@link Executor.nowNs}.
 *
 * The first is due one period after the start. Never early, and without drift: lateness of one tick
 * does not move the next, unless whole periods were missed, for which there is a
 * {@link MissedTicks | policy}. While nobody waits no timer is armed. Local to one executor; several
 * may wait, and get a tick each, in their order.
 *
 * @example
 * ```ts run
 * import { Interval } from 'percore/time'
 *
 * let count = 0
 * for await (const dueNs of new Interval(1)) {
 *   console.log('due at', dueNs)
 *   if (++count === 3) break
 * }
 * ```
 */
export class Interval implements AsyncIterableIterator<number, undefined> {
  static {
    showAs(Interval, (interval) => {
      const state = interval.isClosed ? 'closed' : `${interval.#waiters.length} waiting`
      return `Interval ${interval.#periodNs / NS_PER_MS} ms, ${state}`
    })
  }

  readonly #executor: Executor
  readonly #periodNs: number
  readonly #policy: MissedTicks
  readonly #wait: WaitOptions | undefined
  readonly #timer: IntervalTimer
  readonly #waiters = new WaitList<ListedWaiter<Tick>>({
    waiterLeft: () => this.#disarmIfIdle(),
  })
  #dueNs: number
  #isClosed = false

  /** @throws {TypeError | RangeError} for a period that is not above 0, or options of the wrong kind. */
  constructor(periodMs: number, options: IntervalOptions = {}) {
    const action = 'create an interval'
    validateDurationMs(action, 'periodMs', periodMs)
    if (periodMs === 0) {
      throw new RangeError(`Cannot ${action} as periodMs must be above 0: current value is 0`)
    }
    validateOptions(action, options, NAMES)
    const { signal, keepsAlive = true } = options
    const policy = options.missedTicks ?? 'skip'
    if (!MISSED_TICKS.includes(policy)) {
      throw new RangeError(
        `Cannot ${action} as missedTicks must be one of ${MISSED_TICKS.join(', ')}: current value is ${String(policy)}`,
      )
    }
    validateBoolean(action, 'keepsAlive', keepsAlive)
    const current = executor()
    this.#executor = current
    this.#periodNs = periodMs * NS_PER_MS
    this.#policy = policy
    this.#wait = signal === undefined ? undefined : { signal }
    this.#timer = new IntervalTimer(current, keepsAlive, () => this.#serve())
    this.#dueNs = current.nowNs() + this.#periodNs
  }

  /** When the next tick is due, in nanoseconds of {@link Executor.nowNs}. */
  get dueNs(): number {
    return this.#dueNs
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /**
   * Waits for the next tick. Rejects with the signal's reason, and with `ERR_TASK_CANCELLED`; the
   * tick then goes to the next caller that asks.
   */
  next(): Promise<Tick> {
    if (this.#isClosed) return Promise.resolve(END)
    const current = this.#executor
    try {
      checkCancellation(current, this.#wait, ACTION)
      if (this.#waiters.length === 0) {
        const nowNs = current.nowNs()
        if (nowNs >= this.#dueNs) return answerReady(current, this.#take(nowNs))
      }
      const waiter = new ListedWaiter<Tick>(current)
      waiter.bindListed(current, this.#wait, ACTION)
      this.#waiters.push(waiter)
      this.#rearm()
      return waiter.promise
    } catch (error) {
      return refuse(error)
    }
  }

  /** Starts the period again: the next tick is due one period from now. */
  reset(): void {
    this.#dueNs = this.#executor.nowNs() + this.#periodNs
    this.#executor.timers.disarm(this.#timer)
    this.#rearm()
  }

  /** Ends the iteration, also for calls that wait. Again is nothing. */
  close(): void {
    this.#isClosed = true
    this.#executor.timers.disarm(this.#timer)
    const waiters = this.#waiters
    for (let waiter = waiters.shift(); waiter !== null; waiter = waiters.shift()) waiter.fulfil(END)
  }

  /** @internal What leaving a `for await` early calls. */
  return(): Promise<Tick> {
    this.close()
    return Promise.resolve(END)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #disarmIfIdle(): void {
    if (this.#waiters.length === 0) this.#executor.timers.disarm(this.#timer)
  }

  /** Gives out what is due. */
  #serve(): void {
    const waiters = this.#waiters
    while (waiters.length > 0) {
      const nowNs = this.#executor.nowNs()
      if (nowNs < this.#dueNs) break
      waiters.shift()!.fulfil(this.#take(nowNs))
    }
    this.#rearm()
  }

  #take(nowNs: number): Tick {
    const dueNs = this.#dueNs
    this.#dueNs = nextTickNs(this.#policy, { dueNs, nowNs, periodNs: this.#periodNs })
    return { done: false, value: dueNs }
  }

  #rearm(): void {
    if (this.#waiters.length === 0 || this.#timer.isArmed) return
    this.#executor.timers.arm(this.#timer, this.#dueNs)
  }
}

class IntervalTimer extends Timer {
  readonly #serve: () => void

  constructor(current: Executor, keepsAlive: boolean | undefined, serve: () => void) {
    super(current.currentQueue(), timerOptions(keepsAlive))
    this.#serve = serve
  }

  // Fulfilling marks and queues: waiters go on in turns of their own queues.
  override expire(): void {
    this.#serve()
  }

  override run(): void {}
}
