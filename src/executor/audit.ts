import { assert } from '../base/index.ts'

/** With so many queues, or rings as full, not each turn of a simulation is audited. */
const QUEUES_MAX = 64
const INTERVAL = 64

/** What an audit asks of a task queue. */
interface AuditedQueue {
  readonly length: number
  readonly taskCount: number
  readonly heapIndex: number
  audit(): void
}

/** What an audit looks at. */
export interface AuditSources {
  readonly queues: Iterable<AuditedQueue> & { readonly size: number; audit(): void }
  readonly scheduler: { audit(): void }
  /** The queues that wait for a turn, by the heap. */
  readonly waiting: { readonly size: number }
  readonly reactor: { audit(): void }
  /** Lists of waiters, and what stands on them; tasks that have not ended. */
  readonly waits: { audit(): void; tasks(): { readonly length: number } }
  /** What other threads see of the queues. */
  readonly records: { audit(): void }
}

/**
 * Checks, in simulation, that what is counted in several places agrees: queues that are runnable, in the
 * heaps and for the hook; operations in flight, in slots and for the hook; waiters, on their lists; tasks, in their chain
 * and for their queues; timers, in order; and what of that is counted for other threads.
 *
 * For mistakes of percore's own. O(queues) per turn, up to {@link QUEUES_MAX}; else, and for what waits or
 * is in flight, one turn in {@link INTERVAL}.
 */
export class Audit {
  readonly #sources: AuditSources
  #turnCount = 0

  constructor(sources: AuditSources) {
    this.#sources = sources
  }

  /** Between two turns; `runnableCount` is what the hook is told. */
  check(runnableCount: number): void {
    const { queues, scheduler, reactor, waiting, waits, records } = this.#sources
    const isThorough = this.#turnCount++ % INTERVAL === 0
    if (queues.size > QUEUES_MAX && !isThorough) return
    let count = 0
    for (const { length, heapIndex } of queues) {
      assert(length === 0 || heapIndex !== -1, 'a queue with waiters waits for a turn')
      assert(length > 0 || heapIndex === -1, 'a queue that waits for a turn has waiters')
      if (length > 0) count++
    }
    // A queue that was removed may still have something to settle, and is not among these.
    assert(count <= runnableCount, 'the hook knows of every runnable queue')
    assert(waiting.size === runnableCount, 'the heap holds every runnable queue')
    scheduler.audit()
    if (!isThorough) return
    let taskCount = 0
    for (const queue of queues) {
      queue.audit()
      taskCount += queue.taskCount
    }
    assert(taskCount === waits.tasks().length, 'each task is counted by its queue until it ends')
    queues.audit()
    records.audit()
    waits.audit()
    reactor.audit()
  }
}
