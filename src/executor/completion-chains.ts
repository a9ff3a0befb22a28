import { DOUBLE_DEADLINE_NS, type LoopControl } from '../kernel/index.ts'
import { Guess } from './guess.ts'
import { createTurnView, decideTurn, isTurnOver, untimedCountFor } from './turn-policy.ts'

/** One chain in so many is tried while they do not pay. */
const RETRY_INTERVAL = 64

/** The part of a reactor that chains go through. */
export interface ChainSources {
  readonly control: LoopControl
  readonly kernel: { nowNs(): number }
  readonly hasUrgentCompletions: boolean
  readonly main: { readonly unsubmittedCount: number; submit(): unknown; reap(): number }
}

/**
 * Goes on with operations that submit others as they complete, such as short reads, without leaving
 * JavaScript: while they complete at once, nothing is runnable and nobody is due.
 */
export class CompletionChains {
  readonly #sources: ChainSources
  readonly #runnable: { readonly size: number }
  readonly #guess = new Guess(RETRY_INTERVAL)
  readonly #view = createTurnView()

  /** `runnable`: the task queues that wait for a turn. */
  constructor(sources: ChainSources, runnable: { readonly size: number }) {
    this.#sources = sources
    this.#runnable = runnable
  }

  /** Returns the time when it is done: what the kernel did until then is no task queue's. */
  collect(startNs: number): number {
    const { main } = this.#sources
    if (this.#runnable.size > 0 || main.unsubmittedCount === 0) return startNs
    return this.#guess.isWorthTrying() ? this.#follow(startNs) : startNs
  }

  #follow(startNs: number): number {
    const { main, kernel, control } = this.#sources
    const view = this.#view
    let timedNs = startNs
    // After so many rounds the clock is looked at: first after one, to learn how long they take.
    let untimedMax = 1
    let untimedCount = 0
    let hits = 0
    view.isWanted = false
    view.isOver = false
    view.canCollect = true
    while (decideTurn(view) === 'submit') {
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
      view.isOver =
        this.#sources.hasUrgentCompletions ||
        isTurnOver(timedNs, startNs, control.doubles[DOUBLE_DEADLINE_NS]!)
      view.isWanted = this.#runnable.size > 0
      view.canCollect = main.unsubmittedCount > 0
    }
    this.#guess.record(hits > 1 || view.isOver)
    return untimedCount === 0 ? timedNs : kernel.nowNs()
  }
}
