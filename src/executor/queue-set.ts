import { assert, NS_PER_MS } from '../base/index.ts'
import type { TaskQueue } from './task-queue.ts'

/** The scheduler, which weighs a queue by its shares. */
interface ShareScheduler {
  rescale(queue: TaskQueue, factor: number): void
}

/** The task queues of one executor, the default one first, and what is known of all of them. */
export class QueueSet {
  /** The smallest latency class among them, or Infinity. */
  latencyNsMin: number = Number.POSITIVE_INFINITY
  /** When a manager of shares is to be asked next. */
  adjustNs: number = Number.POSITIVE_INFINITY
  readonly #queues = new Set<TaskQueue>()
  /** How many queues have each latency class: queues may come and go by the thousand. */
  readonly #countByLatency = new Map<number, number>()

  get size(): number {
    return this.#queues.size
  }

  [Symbol.iterator](): Iterator<TaskQueue> {
    return this.#queues.values()
  }

  add(queue: TaskQueue): void {
    assert(!this.#queues.has(queue), 'a queue is added once')
    assert(!queue.isRemoved, 'a queue that is added can be used')
    this.#queues.add(queue)
    this.adjustNs = Math.min(this.adjustNs, queue.currentShares.dueNs)
    const { latencyNs } = queue
    this.#countByLatency.set(latencyNs, (this.#countByLatency.get(latencyNs) ?? 0) + 1)
    this.latencyNsMin = Math.min(this.latencyNsMin, latencyNs)
  }

  delete(queue: TaskQueue): void {
    const wasThere = this.#queues.delete(queue)
    assert(wasThere, 'a queue that is deleted was added')
    const { latencyNs } = queue
    const leftCount = this.#countByLatency.get(latencyNs)! - 1
    assert(leftCount >= 0, 'a queue is deleted once')
    this.#countByLatency.set(latencyNs, leftCount)
    if (leftCount > 0) return
    this.#countByLatency.delete(latencyNs)
    if (latencyNs > this.latencyNsMin) return
    this.latencyNsMin = Number.POSITIVE_INFINITY
    for (const other of this.#countByLatency.keys())
      this.latencyNsMin = Math.min(this.latencyNsMin, other)
  }

  /** Asks managers of shares; also for queues that wait, since few shares can make them wait long. */
  adjustShares(nowNs: number, scheduler: ShareScheduler): void {
    // A manager that throws ends this turn: the others are asked soon.
    this.adjustNs = nowNs + NS_PER_MS
    let dueNs = Number.POSITIVE_INFINITY
    for (const queue of this.#queues) {
      const before = queue.shares
      assert(before > 0, 'a queue has shares')
      queue.currentShares.adjust(nowNs)
      if (queue.shares !== before) {
        scheduler.rescale(queue, queue.shares / before)
        queue.publishShares()
      }
      dueNs = Math.min(dueNs, queue.currentShares.dueNs)
    }
    this.adjustNs = dueNs
  }

  /** Checks what is known of all queues at once. O(queues): for audits. */
  audit(): void {
    let countedCount = 0
    let latencyNsMin = Number.POSITIVE_INFINITY
    for (const [latencyNs, count] of this.#countByLatency) {
      assert(count > 0, 'a latency is counted while a queue has it')
      countedCount += count
      latencyNsMin = Math.min(latencyNsMin, latencyNs)
    }
    assert(countedCount === this.#queues.size, 'each queue is counted by its latency')
    assert(latencyNsMin === this.latencyNsMin, 'the least latency is that of a queue')
    for (const queue of this.#queues) {
      assert(!queue.isRemoved, 'a queue that is there can be used')
      assert(queue.currentShares.dueNs >= this.adjustNs, 'shares are asked for when they are due')
    }
  }
}
