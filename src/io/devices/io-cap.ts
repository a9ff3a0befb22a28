import type { IoCaps, TaskQueue } from '../../executor/index.ts'
import { bucketWaitUs, fillBucket } from './io-model.ts'

const US_PER_S = 1e6
/** How far ahead of its rate a queue may be. */
const BURST_US = 10_000

/** The cap of one task queue: a bucket for its bytes and one for its operations. O(1). */
export class Cap {
  readonly #limits: IoCaps
  #bytesFullUs = 0
  #operationsFullUs = 0

  constructor(limits: IoCaps) {
    this.#limits = limits
  }

  /** How long the next request waits. */
  waitUs(nowUs: number): number {
    return Math.max(
      bucketWaitUs(this.#bytesFullUs, nowUs, BURST_US),
      bucketWaitUs(this.#operationsFullUs, nowUs, BURST_US),
    )
  }

  take(nowUs: number, lengthBytes: number): void {
    const { bytesPerSecondMax, operationsPerSecondMax } = this.#limits
    const bytesUs = (lengthBytes * US_PER_S) / bytesPerSecondMax
    this.#bytesFullUs = fillBucket(this.#bytesFullUs, nowUs, bytesUs)
    const operationUs = US_PER_S / operationsPerSecondMax
    this.#operationsFullUs = fillBucket(this.#operationsFullUs, nowUs, operationUs)
  }
}

const capsOf = new WeakMap<TaskQueue, Cap>()

/** The cap of a task queue, one for all devices; null if it has none. */
export function capOf(queue: TaskQueue): Cap | null {
  if (queue.ioCaps === null) return null
  let cap = capsOf.get(queue)
  if (cap === undefined) {
    cap = new Cap(queue.ioCaps)
    capsOf.set(queue, cap)
  }
  return cap
}
