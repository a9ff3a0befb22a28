import { showAs, validateFunction } from '../base/index.ts'
import {
  answerReady,
  checkCancellation,
  type Executor,
  executor,
  ListedWaiter,
  refuse,
  WaitList,
  type WaitListOwner,
  type WaitOptions,
} from '../executor/index.ts'

const ACTION = 'wait for a condition'
/** A waiter that leaves lets no other go on. */
const NOBODY: WaitListOwner = { waiterLeft(): void {} }

/** What a wait is for: anything but false, null or undefined ends it. */
export type Predicate<T> = () => T | false | null | undefined

/**
 * Waits until something holds, tested whenever somebody says that it may have changed.
 *
 * Local to one executor. Predicates are called in the order of the waits, by whoever notifies, and
 * the first result that is neither false, null nor undefined is what its wait resolves with. So a
 * predicate that takes what it tests for (`() => queue.shift()`) has it for good, where one that
 * only looks may find it gone when its code goes on, in a later turn. Predicates must be short, and
 * not throw: one that does fails its own wait.
 *
 * Whoever changes what is tested notifies at once, without an await in between: then nobody who
 * comes later overtakes those who wait.
 *
 * @example
 * ```ts run
 * import { spawn } from 'percore'
 * import { Condition } from 'percore/sync'
 *
 * const jobs: string[] = []
 * const changed = new Condition()
 * const worker = spawn(async () => changed.wait(() => jobs.shift()))
 * jobs.push('sweep')
 * changed.notifyOne()
 * console.log(await worker)
 * ```
 */
export class Condition {
  static {
    showAs(Condition, (condition) => `Condition ${condition.waiterCount} waiting`)
  }

  readonly #waiters = new WaitList<ConditionWaiter<unknown>>(NOBODY)
  #isNotifying = false
  #wantedCount = 0

  get waiterCount(): number {
    return this.#waiters.length
  }

  /**
   * Waits until `predicate` holds, and resolves with its result.
   *
   * Rejects with what it throws, with a `TypeError` if it is no function, and as {@link WaitOptions} say.
   */
  wait<T>(predicate: Predicate<T>, options?: WaitOptions): Promise<T> {
    try {
      validateFunction(ACTION, 'predicate', predicate)
      const current = executor()
      checkCancellation(current, options, ACTION)
      const result = predicate()
      if (holds(result)) return answerReady(current, result)
      const waiter = new ConditionWaiter<T>(current, predicate)
      waiter.bindListed(current, options, ACTION)
      this.#waiters.push(waiter as ConditionWaiter<unknown>)
      return waiter.promise
    } catch (error) {
      return refuse(error)
    }
  }

  /** Lets the first go on whose predicate holds; those before it wait on. O(waiters tested). */
  notifyOne(): void {
    this.#notify(1)
  }

  /** Lets all go on whose predicates hold, each tested in turn. O(waiters). */
  notifyAll(): void {
    this.#notify(Number.POSITIVE_INFINITY)
  }

  #notify(count: number): void {
    this.#wantedCount += count
    // A predicate that notifies has its wish fulfilled by the pass that calls it.
    if (this.#isNotifying) return
    this.#isNotifying = true
    while (this.#wantedCount > 0) {
      const wantedCount = this.#wantedCount
      this.#wantedCount = 0
      this.#pass(wantedCount)
    }
    this.#isNotifying = false
  }

  #pass(wantedCount: number): void {
    const waiters = this.#waiters
    let remainingCount = wantedCount
    waiters.cursor = waiters.first
    while (waiters.cursor !== null && remainingCount > 0) {
      const waiter = waiters.cursor
      waiters.cursor = waiter.behind as ConditionWaiter<unknown> | null
      const isGranted = waiter.test()
      // Cancelled by its own predicate.
      if (waiter.list === null) continue
      if (waiter.isAnswered) {
        waiters.remove(waiter)
        waiter.answer()
      }
      if (isGranted) remainingCount--
    }
    waiters.cursor = null
  }
}

class ConditionWaiter<T> extends ListedWaiter<T> {
  /** Whether the predicate has held, or thrown. */
  isAnswered = false
  readonly #predicate: Predicate<T>
  #result: T | undefined
  #error: unknown
  #hasFailed = false

  constructor(current: Executor, predicate: Predicate<T>) {
    super(current)
    this.#predicate = predicate
  }

  /** Whether the predicate holds. */
  test(): boolean {
    try {
      const result = this.#predicate()
      if (!holds(result)) return false
      this.#result = result
      this.isAnswered = true
      return true
    } catch (error) {
      this.#error = error
      this.#hasFailed = true
      this.isAnswered = true
      return false
    }
  }

  answer(): void {
    if (this.#hasFailed) this.fail(this.#error)
    else this.fulfil(this.#result as T)
  }
}

function holds<T>(result: T | false | null | undefined): result is T {
  return result !== false && result !== null && result !== undefined
}
