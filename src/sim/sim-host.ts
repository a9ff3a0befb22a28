import { assert } from '../base/index.ts'
import {
  DOUBLE_HOST_ALONE_NS,
  DOUBLE_HOST_CONTESTED_NS,
  DOUBLE_HOST_VISITS,
  type LoopControl,
  WORD_HOST_READY,
} from '../kernel/index.ts'
import type { SimCore } from './core.ts'

const READY_PROBABILITY = 0.02
const VISIT_NS_MIN = 2_000
const VISIT_NS_MAX = 200_000
/** An iteration that handles many events at once, or a callback that takes its time. */
const LONG_PROBABILITY = 0.02
const LONG_FACTOR = 100
/** Whoever is runnable for so long, and in so many rounds, and gets no turn is starved. */
const WAIT_NS_MAX = 10_000_000_000
const WAIT_ROUNDS_MAX = 1_000

/** How busy the event loop around a simulated program is. */
export interface SimHostOptions {
  /** How likely it is to have something to do after a turn; 0.02 if not given, 1 for always. */
  readonly readyProbability?: number
  /** How long its iterations take, from … to. */
  readonly visitNs?: readonly [number, number]
}

/** How long one side has been runnable without a turn. */
class Wait {
  #sinceNs = -1
  #rounds = 0

  /** Counts a round in which it waits, or had its turn; true if it has waited for too long. */
  count(isWaiting: boolean, nowNs: number): boolean {
    if (!isWaiting) {
      this.#sinceNs = -1
      this.#rounds = 0
      return false
    }
    if (this.#sinceNs < 0) this.#sinceNs = nowNs
    this.#rounds++
    return this.#rounds > WAIT_ROUNDS_MAX && nowNs - this.#sinceNs > WAIT_NS_MAX
  }
}

/**
 * Node's own event loop, as the rest of the thread sees it: it has something to do now and then, which
 * takes a while. When and how long is drawn from the seed.
 */
export class SimHost {
  readonly #core: SimCore
  readonly #control: LoopControl
  readonly #readyProbability: number
  readonly #visitNs: readonly [number, number]
  readonly #hostWait = new Wait()
  readonly #queuesWait = new Wait()

  constructor(core: SimCore, control: LoopControl, options: SimHostOptions = {}) {
    this.#core = core
    this.#control = control
    this.#readyProbability = options.readyProbability ?? READY_PROBABILITY
    this.#visitNs = options.visitNs ?? [VISIT_NS_MIN, VISIT_NS_MAX]
  }

  get isReady(): boolean {
    return this.#control.words[WORD_HOST_READY] !== 0
  }

  /** Whether it has something to do by now. */
  draw(): boolean {
    return this.isReady || this.#core.prng.chance(this.#readyProbability)
  }

  /** Runs an iteration of it, while task queues wait or do not. */
  visit(isContested: boolean): void {
    const { clock, prng } = this.#core
    const { words, doubles } = this.#control
    assert(!this.#core.isInTurn, 'a turn ends before the host runs')
    const [minNs, maxNs] = this.#visitNs
    const isLong = prng.chance(LONG_PROBABILITY)
    const elapsedNs = prng.int(minNs, maxNs) * (isLong ? LONG_FACTOR : 1)
    clock.advanceTo(clock.nowNs + elapsedNs)
    doubles[isContested ? DOUBLE_HOST_CONTESTED_NS : DOUBLE_HOST_ALONE_NS]! += elapsedNs
    doubles[DOUBLE_HOST_VISITS]! += 1
    words[WORD_HOST_READY] = 0
  }

  /** Counts a round that ran the host, a task queue or neither; true if one keeps the other from running. */
  isStarvation(ranHost: boolean, ranQueue: boolean, isQueueRunnable: boolean): boolean {
    const { nowNs } = this.#core.clock
    const isHostStarved = this.#hostWait.count(this.isReady && !ranHost, nowNs)
    const areQueuesStarved = this.#queuesWait.count(isQueueRunnable && !ranQueue, nowNs)
    return isHostStarved || areQueuesStarved
  }
}
