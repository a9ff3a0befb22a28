import { assert } from '../base/index.ts'
import { DOUBLE_DEADLINE_NS, type LoopControl } from '../kernel/index.ts'
import { COUNTER_FOLLOW_UPS } from '../stats/index.ts'
import { Guess } from './guess.ts'
import { type PollSources, Polls } from './polls.ts'
import type { TaskQueue } from './task-queue.ts'
import { createTurnView, decideTurn, isTurnOver, untimedCountFor } from './turn-policy.ts'

/**
 * A follow-up waits so many microtasks for code to get to its next operation: an async function in
 * between takes three.
 */
const HOPS_MAX = 4
/** One turn in so many tries what did not pay lately: a follow-up, which costs microtasks. */
const FOLLOW_UP_RETRY_INTERVAL = 16
/** One of these follow-ups in so many submits within the turn, which costs a system call. */
const INLINE_RETRY_INTERVAL = 4
const SETTLED: Promise<void> = Promise.resolve()

/** The turn that goes on: what of its executor decides, and does, that. */
export interface TurnHome {
  readonly preemption: { readonly isDue: boolean }
  nowNs(): number
  settle(queue: TaskQueue, limit: number, runsUserCode: boolean): number
}

/** The part of a reactor that follow-ups go through. */
interface TurnReactor extends PollSources {
  readonly control: LoopControl
  readonly hasUrgentCompletions: boolean
  readonly main: PollSources['main'] & { submit(): number; reap(): number }
}

/** What {@link FollowUps} look at. */
export interface FollowUpSources {
  readonly home: TurnHome
  readonly reactor: TurnReactor
  /** The task queues that wait for a turn. */
  readonly runnable: { readonly size: number }
}

/**
 * Lets a batch be followed by another in the same turn, behind the continuations of this one: leaving
 * JavaScript and coming back costs as much as settling a dozen waiters. No further than one batch
 * may go, by count and by the clock, and only while nobody else has anything to do.
 */
export class FollowUps {
  /** What a turn looks at where it would end. */
  readonly polls: Polls
  readonly #home: TurnHome
  readonly #reactor: TurnReactor
  readonly #runnable: { readonly size: number }
  readonly #followUps = new Guess(FOLLOW_UP_RETRY_INTERVAL)
  readonly #inline = new Guess(INLINE_RETRY_INTERVAL)
  /** Whose turn it is, or null if it is not to be followed up. */
  #queue: TaskQueue | null = null
  #turnStartNs = 0
  readonly #view = createTurnView()
  #untimedCount = 0
  #untimedMax = 0
  #triesInline = false
  /** How often this turn has submitted, and how often the kernel completed something there and then. */
  #inlineTries = 0
  #inlineHits = 0

  constructor({ home, reactor, runnable }: FollowUpSources) {
    this.#home = home
    this.#reactor = reactor
    this.#runnable = runnable
    this.polls = new Polls(reactor)
  }

  /** The turn of `queue` has settled so many, and may settle as many more. */
  begin(queue: TaskQueue, settledCount: number, leftCount: number, turnStartNs: number): void {
    this.#untimedMax = untimedCountFor(queue.settleCostNs)
    // Where everything waits for a device or a peer it would be microtasks for nothing.
    if (!this.#followUps.isWorthTrying()) return
    this.#judgeInline()
    assert(this.#queue === null, 'a turn is over before the next is followed up')
    this.#queue = queue
    this.#turnStartNs = turnStartNs
    this.#view.leftCount = leftCount
    this.#untimedCount = settledCount
    this.polls.open()
    this.#followUpSoon()
  }

  /** The turn is over. */
  end(): void {
    this.#queue = null
    this.polls.close()
  }

  #followUpSoon(): void {
    if (this.#view.leftCount <= 0) {
      this.polls.close()
      return
    }
    this.#view.hopsLeft = HOPS_MAX - 1
    SETTLED.then(this.#followUp)
  }

  readonly #followUp = (): void => {
    const queue = this.#queue
    if (queue === null) return
    const view = this.#view
    this.#look(queue)
    view.isOver = !view.isWanted && this.#isOver()
    view.canCollect = this.#triesInline
    let decision = decideTurn(view)
    if (decision === 'submit') {
      this.#collectInline()
      // Also what was reaped may be somebody else's.
      this.#look(queue)
      view.canCollect = false
      decision = decideTurn(view)
    }
    const isIdle = decision === 'leave' && !view.isWanted && !view.isOver && view.readyCount === 0
    if (isIdle && this.polls.size > 0 && this.polls.run()) {
      this.#look(queue)
      decision = decideTurn(view)
    }
    if (decision === 'settle') this.#settleMore(queue)
    else if (decision === 'wait') this.#hop()
    else this.#leave()
  }

  /** Looks again who is ready. */
  #look(queue: TaskQueue): void {
    const view = this.#view
    view.isWanted = this.#isWanted()
    view.readyCount = queue.length
    view.isUserCodeNext = queue.length > 0 && queue.peek()!.runsUserCode
  }

  #leave(): void {
    this.polls.close()
    const view = this.#view
    if (view.isWanted || view.isOver) return
    // Nobody has cut it short: it found a task to start, or waited for nothing.
    this.#followUps.record(view.readyCount > 0)
  }

  #hop(): void {
    assert(this.#view.hopsLeft > 0, 'a turn waits for a few hops')
    this.#view.hopsLeft--
    SETTLED.then(this.#followUp)
  }

  #settleMore(queue: TaskQueue): void {
    this.#followUps.record(true)
    // Nobody else is there to go first.
    queue.hasYielded = false
    const count = this.#home.settle(queue, this.#view.leftCount, false)
    assert(count > 0, 'what was ready is settled')
    assert(count <= this.#view.leftCount, 'a turn settles no more than its batch')
    queue.extendBatch(count)
    this.#reactor.control.counters[COUNTER_FOLLOW_UPS]!++
    this.#view.leftCount -= count
    this.#untimedCount += count
    this.#followUpSoon()
  }

  /** Whether somebody else is to be run, or looked at, before this turn goes on. */
  #isWanted(): boolean {
    const { preemption } = this.#home
    return this.#runnable.size > 0 || preemption.isDue || this.#reactor.hasUrgentCompletions
  }

  #isOver(): boolean {
    if (this.#untimedCount < this.#untimedMax) return false
    this.#untimedCount = 0
    const deadlineNs = this.#reactor.control.doubles[DOUBLE_DEADLINE_NS]!
    return isTurnOver(this.#home.nowNs(), this.#turnStartNs, deadlineNs)
  }

  /** Submits, and reaps what the kernel completed there and then. */
  #collectInline(): void {
    const { main } = this.#reactor
    if (main.unsubmittedCount > 0) {
      this.#inlineTries++
      main.submit()
    }
    // Also where that has been submitted already, as reads are while they are many.
    if (main.reap() > 0) this.#inlineHits++
  }

  /**
   * Whether submitting within turns pays: where each completion makes for another submission, which
   * completes at once as well. Otherwise the thread submits with the call that it parks in, which
   * brings the same completions.
   */
  #judgeInline(): void {
    const hits = this.#inlineHits
    if (this.#inlineTries > 0)
      this.#inline.record(hits > 1 || (hits > 0 && this.#view.leftCount <= 0))
    this.#inlineTries = 0
    this.#inlineHits = 0
    this.#triesInline = this.#inline.isWorthTrying()
  }
}
