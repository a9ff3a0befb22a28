import { DOUBLE_DEADLINE_NS } from '../kernel/index.ts'
import type { Reactor } from '../reactor/index.ts'
import { Guess } from './guess.ts'
import { untimedCountFor } from './pace.ts'
import { TURN_TARGET_NS } from './task-queue.ts'

/** One chain in so many is tried while they do not pay. */
const RETRY_INTERVAL = 64

/**
 * Goes on with operations that submit others as they complete, such as short reads, without leaving
 * JavaScript: while they complete at once, nothing is runnable and nobody is due.
 */
export class CompletionChains {
  readonly #reactor: Reactor
  readonly #runnable: { readonly size: number }
  readonly #guess = new Guess(RETRY_INTERVAL)

  /** `runnable`: the task queues that wait for a turn. */
  constructor(reactor: Reactor, runnable: { readonly size: number }) {
    this.#reactor = reactor
    this.#runnable = runnable
  }

  /** Returns the time when it is done: what the kernel did until then is no task queue's. */
  collect(startNs: number): number {
    const { main, kernel } = this.#reactor
    if (this.#runnable.size > 0 || main.unsubmittedCount === 0) return startNs
    if (!this.#guess.isWorthTrying()) return startNs
    let timedNs = startNs
    // After so many rounds the clock is looked at: first after one, to learn how long they take.
    let untimedMax = 1
    let untimedCount = 0
    let hits = 0
    let isOver = false
    while (!isOver && this.#runnable.size === 0 && main.unsubmittedCount > 0) {
      main.submit()
      untimedCount++
      if (main.reap() === 0) break
      hits++
      if (untimedCount >= untimedMax) {
        const nowNs = kernel.nowNs()
        untimedMax = untimedCountFor((nowNs - timedNs) / untimedCount)
        timedNs = nowNs
        untimedCount = 0
      }
      isOver = this.#isOver(timedNs, startNs)
    }
    this.#guess.record(hits > 1 || isOver)
    return untimedCount === 0 ? timedNs : kernel.nowNs()
  }

  #isOver(nowNs: number, startNs: number): boolean {
    const { control, hasUrgentCompletions } = this.#reactor
    if (hasUrgentCompletions || nowNs - startNs >= TURN_TARGET_NS) return true
    return nowNs >= control.doubles[DOUBLE_DEADLINE_NS]!
  }
}
