import { assert, Heap, type HeapEntry } from '../base/index.ts'
import { SHARES_DEFAULT } from './shares.ts'

/** A class gains so much for each nanosecond that others run, at {@link SHARES_DEFAULT} shares. */
const GAIN = 3
/** What a class that was not used may run ahead of others in one go. */
const CREDIT_NS_MAX = 8_000_000
/** What many runnable classes may have of credit together. */
const CREDIT_NS_SUM = 32_000_000
/** What it is held to at the most after a turn, or an iteration of Node's loop, of any length. */
const DEBT_NS_MAX = 32_000_000
/** What a turn counts for at the most: a longer one is that of a process that was stopped, or of a machine asleep. */
const CHARGE_NS_MAX = 1_000_000_000

/** What the scheduler knows of a queue. */
export interface Schedulable extends HeapEntry {
  readonly shares: number
  /** Whether it is the host loop's, which runs between turns of others rather than instead of one. */
  readonly isHost: boolean
  /** Its latency class, or null: the queue is for throughput. */
  readonly claim: Claim | null
  /** Time it has run, divided by its shares. */
  virtualRuntime: number
  /** Orders equals by when they became runnable. */
  order: number
  /** Whether it gave up its turn: another runnable queue goes first, once. */
  hasYielded: boolean
}

/** A latency class: the claim of a queue to go before others, and its credit for that. */
export class Claim implements HeapEntry {
  heapIndex = -1
  /** The wait that is to be bounded. */
  readonly latencyNs: number
  /** Whether it is the host loop's, which gains from every queue, not from those without a class alone. */
  readonly isHost: boolean
  /** By when its queue should run, while that is runnable. */
  deadlineNs = 0
  order = 0
  /** The scheduler's count of others' time, when the credit was last added up. */
  seenNs = 0
  creditNs: number = CREDIT_NS_MAX
  /** The count at which there is credit again, while there is none. */
  regainNs = 0
  /** Credit per nanosecond of others. */
  gain: number
  /** Whether it has credit, while its queue is runnable. */
  isUrgent = false
  /** The queue that goes first. */
  queue: Schedulable | null = null

  constructor(latencyNs: number, shares: number, isHost = false) {
    assert(latencyNs < Number.POSITIVE_INFINITY, 'a claim has a bound')
    this.latencyNs = latencyNs
    this.gain = gainOf(shares)
    this.isHost = isHost
  }
}

/**
 * Decides which queue runs next, Node's own loop among them. Pure: no clock, no I/O. O(log n).
 *
 * 1. Among runnable queues with a latency class that have credit: the one whose bound is next.
 * 2. Else the queue with the smallest virtual runtime. One that becomes runnable starts at the current
 *    minimum: sleeping earns no credit.
 * 3. In either case a task queue that ran last and yielded lets the next one go first. Node's loop may go
 *    in between, and is the next one only where there is no other.
 *
 * Virtual runtime alone would let a queue that needs little, but at once, wait for a turn of each other one. A
 * class can't starve anybody either: it pays for its time, and earns three times the time (at 1000
 * shares, less with fewer) that queues without a class run. So these together have at least a quarter of the
 * queues' time while one class is saturated, 1 ÷ (1 + 3n) while n are. Node's loop earns from all queues'
 * time: it has at most three quarters of the thread by its class, more only by shares. Credit is kept
 * between -32 and 8 ms, so that neither an idle hour nor one long turn counts for long; of n runnable classes each
 * has at most 32 ÷ n ms, or a thousand that wake at once would go first for seconds. No turn counts for more than a
 * second.
 *
 * Source: Linux CFS, Seastar's and Glommio's schedulers; token buckets.
 */
export class Scheduler<T extends Schedulable> {
  readonly #heap = new Heap<T>(isBefore)
  /** Claims with credit of runnable queues. */
  readonly #urgent = new Heap<Claim>(isSooner)
  /** Claims without, by when they regain some; the host's apart, since it gains from more. */
  readonly #spent = new Heap<Claim>(isRegainedSooner)
  #spentHost: Claim | null = null
  /** The queue whose turn was the last: only its yield is news. */
  #last: T | null = null
  #minimum = 0
  #order = 0
  /** Time that queues without a class have run, and that all but the host have. */
  #throughputNs = 0
  #queuesNs = 0

  /** Runnable queues. */
  get size(): number {
    return this.#heap.size
  }

  /** Whether a runnable queue has a claim to go before all that have none. */
  hasUrgent(): boolean {
    this.#restore()
    return this.#urgent.size > 0
  }

  /** Adds a queue that was not runnable. */
  wake(queue: T, nowNs: number): void {
    if (queue.virtualRuntime < this.#minimum) queue.virtualRuntime = this.#minimum
    this.add(queue, nowNs)
  }

  /** Adds back the queue that ran last. */
  add(queue: T, nowNs: number): void {
    queue.order = this.#order++
    const { claim } = queue
    if (claim !== null) {
      assert(claim.queue === null || claim.queue === queue, 'a claim is that of one queue')
      claim.queue = queue
      claim.order = queue.order
      claim.deadlineNs = nowNs + claim.latencyNs
    }
    this.#insert(queue)
  }

  /** Removes and returns the queue that runs next. */
  pick(): T | undefined {
    const least = this.#heap.peek()
    if (least === undefined) return undefined
    // The minimum only rises: a queue that goes first by its class may be far ahead.
    if (least.virtualRuntime > this.#minimum) this.#minimum = least.virtualRuntime
    const first = this.#take()!
    // Since any other's turn others have gone before it already.
    if (!first.hasYielded || first !== this.#last) return this.#begin(first)
    const second = this.#take()
    if (second === undefined) return this.#begin(first)
    assert(second !== first, 'a queue is taken once')
    this.#insert(first)
    return this.#begin(second)
  }

  /** Removes and returns any runnable task queue, once nobody runs by turns any more. */
  takeQueue(): Exclude<T, { readonly isHost: true }> | null {
    let queue = this.#take()
    if (queue?.isHost) queue = this.#take()
    return (queue ?? null) as Exclude<T, { readonly isHost: true }> | null
  }

  /** Charges a queue, which is not runnable at the moment, the time that it ran. */
  charge(queue: T, elapsedNs: number): void {
    assert(queue.heapIndex === -1, 'a queue is charged before it is added back')
    assert(elapsedNs >= 0, 'a turn does not end before it began')
    const countedNs = elapsedNs < CHARGE_NS_MAX ? elapsedNs : CHARGE_NS_MAX
    queue.virtualRuntime += (countedNs * SHARES_DEFAULT) / queue.shares
    const { claim } = queue
    if (claim === null) this.#throughputNs += countedNs
    if (claim?.isHost !== true) this.#queuesNs += countedNs
    // A turn that nobody waits for is nobody's loss.
    if (claim === null || this.#heap.size === 0) return
    this.#settle(claim)
    claim.creditNs = Math.max(claim.creditNs - countedNs, -DEBT_NS_MAX)
  }

  /** Counts what a queue is ahead of the others by its new shares, `factor` of the old ones. */
  rescale(queue: T, factor: number): void {
    assert(factor > 0, 'a queue has shares')
    const { claim } = queue
    const isRunnable = queue.heapIndex !== -1
    const ahead = queue.virtualRuntime - this.#minimum
    if (isRunnable) this.remove(queue)
    if (ahead > 0) queue.virtualRuntime = this.#minimum + ahead / factor
    if (claim !== null) {
      this.#settle(claim)
      claim.gain = gainOf(queue.shares)
    }
    if (isRunnable) this.#insert(queue)
  }

  /** Takes a queue out that is not to run any more. */
  remove(queue: T): void {
    if (queue.heapIndex === -1) return
    this.#heap.remove(queue)
    if (queue.claim !== null) this.#withdraw(queue.claim)
  }

  /** Checks that heaps are in order, and claims where they belong. O(n): for audits. */
  audit(): void {
    this.#heap.audit()
    this.#urgent.audit()
    this.#spent.audit()
    for (const claim of this.#urgent) this.#auditClaim(claim, true)
    for (const claim of this.#spent) this.#auditClaim(claim, false)
    if (this.#spentHost !== null) this.#auditClaim(this.#spentHost, false)
    for (const queue of this.#heap) {
      assert(queue.virtualRuntime >= this.#minimum, 'nobody who waits is behind the minimum')
    }
    const claimCount = this.#urgent.size + this.#spent.size + (this.#spentHost === null ? 0 : 1)
    assert(claimCount <= this.#heap.size, 'only runnable queues have a claim to go first')
  }

  #auditClaim(claim: Claim, isUrgent: boolean): void {
    assert(claim.isUrgent === isUrgent, 'a claim knows whether it has credit')
    assert(claim.creditNs <= CREDIT_NS_MAX, 'credit is bounded')
    assert(claim.creditNs >= -DEBT_NS_MAX, 'debt is bounded')
    const { queue } = claim
    assert(queue !== null && queue.claim === claim, 'a claim is that of its queue')
    assert(queue.heapIndex !== -1, 'a queue with a claim to go first is runnable')
  }

  /** Notes whose turn it is, which `queue` was taken out for. */
  #begin(queue: T): T {
    assert(queue.heapIndex === -1, 'a queue whose turn begins waits no more')
    // A task queue that has yielded still lets another go first, which is among those that wait.
    if (queue.isHost && this.#heap.size > 1) return queue
    queue.hasYielded = false
    this.#last = queue
    return queue
  }

  #take(): T | undefined {
    this.#restore()
    const queue = (this.#urgent.peek()?.queue as T | undefined) ?? this.#heap.peek()
    if (queue !== undefined) this.remove(queue)
    return queue
  }

  #insert(queue: T): void {
    this.#heap.push(queue)
    const { claim } = queue
    if (claim === null) return
    this.#settle(claim)
    claim.isUrgent = claim.creditNs > 0
    if (claim.isUrgent) {
      this.#urgent.push(claim)
      return
    }
    claim.regainNs = claim.seenNs - claim.creditNs / claim.gain
    if (claim.isHost) this.#spentHost = claim
    else this.#spent.push(claim)
  }

  #withdraw(claim: Claim): void {
    assert(claim.queue !== null, 'a claim that is withdrawn was made by a queue')
    if (claim === this.#spentHost) {
      this.#spentHost = null
      return
    }
    if (claim.isUrgent) this.#urgent.remove(claim)
    else this.#spent.remove(claim)
  }

  /** Lets claims that have regained credit go first again. */
  #restore(): void {
    const host = this.#spentHost
    if (host !== null && host.regainNs < this.#queuesNs) {
      this.#spentHost = null
      this.#raise(host)
    }
    for (let claim = this.#spent.peek(); claim !== undefined; claim = this.#spent.peek()) {
      if (claim.regainNs >= this.#throughputNs) return
      this.#spent.remove(claim)
      this.#raise(claim)
    }
  }

  #raise(claim: Claim): void {
    assert(!claim.isUrgent, 'a claim has its credit back once')
    this.#settle(claim)
    claim.isUrgent = true
    this.#urgent.push(claim)
  }

  /** Adds up what a claim has gained. */
  #settle(claim: Claim): void {
    const countNs = claim.isHost ? this.#queuesNs : this.#throughputNs
    assert(countNs >= claim.seenNs, 'time that others have run only grows')
    const gainedNs = (countNs - claim.seenNs) * claim.gain
    claim.creditNs = Math.min(claim.creditNs + gainedNs, this.#creditNsMax())
    claim.seenNs = countNs
  }

  /** The credit that one of as many classes as are runnable may have. */
  #creditNsMax(): number {
    const othersCount = this.#urgent.size + this.#spent.size
    return Math.min(CREDIT_NS_MAX, CREDIT_NS_SUM / (othersCount + 1))
  }
}

function gainOf(shares: number): number {
  return (GAIN * shares) / SHARES_DEFAULT
}

function isBefore(a: Schedulable, b: Schedulable): boolean {
  if (a.virtualRuntime !== b.virtualRuntime) return a.virtualRuntime < b.virtualRuntime
  return a.order < b.order
}

function isSooner(a: Claim, b: Claim): boolean {
  if (a.deadlineNs !== b.deadlineNs) return a.deadlineNs < b.deadlineNs
  return a.order < b.order
}

function isRegainedSooner(a: Claim, b: Claim): boolean {
  return a.regainNs < b.regainNs
}
