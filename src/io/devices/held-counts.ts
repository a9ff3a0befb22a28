import { NS_PER_US } from '../../base/index.ts'
import type { TaskQueue } from '../../executor/index.ts'
import type { LoopControl } from '../../kernel/index.ts'
import { COUNTER_HELD, COUNTER_HELD_NS, COUNTER_LIMITED } from '../../stats/index.ts'
import type { FlowOwner } from './io-flow.ts'

/** A task queue whose requests are held back: counts them, for the queue and for its executor. */
export class HeldCounts implements FlowOwner {
  readonly #queue: TaskQueue
  readonly #home: { readonly control: LoopControl }

  constructor(queue: TaskQueue, home: { readonly control: LoopControl }) {
    this.#queue = queue
    this.#home = home
  }

  get shares(): number {
    return this.#queue.shares
  }

  get isLatencySensitive(): boolean {
    return this.#queue.isLatencySensitive
  }

  countHeld(change: 1 | -1, heldUs: number): void {
    const { counters } = this.#home.control
    const heldNs = Math.max(0, heldUs) * NS_PER_US
    counters[COUNTER_HELD]! += change
    counters[COUNTER_HELD_NS]! += heldNs
    this.#queue.countHeld(change, heldNs)
  }

  countLimited(): void {
    this.#home.control.counters[COUNTER_LIMITED]! += 1
    this.#queue.countLimited()
  }
}
