import { assert, Heap } from '../../base/index.ts'
import { DeviceShare, EPOCH_US } from './device-share.ts'
import type { Cap } from './io-cap.ts'
import { Flow, type FlowOwner, type Place, type Request } from './io-flow.ts'
import {
  type Buckets,
  bucketsWaitUs,
  bucketWaitUs,
  type CostLine,
  costLineOf,
  costUs,
  type DeviceLimits,
  fillOwnBucket,
  fractionOf,
  hasHadLess,
  hasWaitedLonger,
  leftWindowUs,
  pickNext,
  windowAdmits,
  windowPartUs,
  windowUsOf,
} from './io-model.ts'
import { BURST_US_MIN, LookAhead } from './look-ahead.ts'

/** How many requests keep a device at its limits busy. */
export const DEPTH = 32
/** How far a queue with a latency class may be ahead of others, at 1000 shares. */
const LEAD_US = 20_000
/** What a queue that had nothing waiting keeps of what it has had less than others. */
const FORGIVEN_US = 20_000
/** A request waits no longer than that, once it was refused, whoever is before it. */
export const STARVATION_US = 1_000_000
/** How long a queue counts as one that uses the device; */
const ACTIVE_US = 100_000
/** and one with a latency class, whose reads may be rare and are not to find the device full. */
const LATENCY_ACTIVE_US = 10_000_000
const SHARES_MAX = 1000

/** A request, as a scheduler sees it. */
export interface ScheduledRequest extends Request {
  /** Whether it takes time of the device, as those of the page cache do not, or not now. */
  readonly isMetered: boolean
}

/** What a scheduler has done for it. */
export interface SchedulerPort<R extends ScheduledRequest> {
  /** Submits a request that has waited. */
  issue(request: R): void
}

export interface SchedulerOptions<R extends ScheduledRequest> {
  readonly port: SchedulerPort<R>
  /** Null where the device was not measured: then only caps hold anything back. */
  readonly limits: DeviceLimits | null
  /** The words that threads share. */
  readonly words: Int32Array
}

/**
 * Which request for a device is next, and when, among the task queues of one executor, and with those of other threads.
 *
 * While one queue alone uses the device everything passes. Else requests cost time of the device, by its measured limits, and
 * wait in their queue's flow until there is room in the bucket that all threads share, and in the window of what is in
 * flight; the order is {@link pickNext}'s. No clock of its own: whoever calls it tells the time. O(log queues).
 *
 * Source: Seastar's I/O scheduler (facts of its documentation): costs by bandwidth and operations, a bucket that shards
 * share, queues by what they have had; see docs/models/io-scheduler.md.
 */
export class DeviceScheduler<R extends ScheduledRequest> {
  /** Device time of requests in flight. */
  inFlightUs = 0
  /** When {@link pump} is to be called at the latest; Infinity while nothing waits. */
  nextUs: number = Number.POSITIVE_INFINITY
  /** How many requests wait. */
  queuedCount = 0
  /** Device time of those. */
  #queuedUs = 0
  readonly #port: SchedulerPort<R>
  readonly #share: DeviceShare
  readonly #read: CostLine | null
  readonly #write: CostLine | null
  readonly #leastWindowUs: number
  readonly #lookAhead = new LookAhead()
  readonly #least = new Heap<Place<R>>((a, b) => hasHadLess(a.flow, b.flow))
  readonly #oldest = new Heap<Place<R>>((a, b) => hasWaitedLonger(a.flow, b.flow))
  readonly #urgent = new Heap<Place<R>>((a, b) => hasHadLess(a.flow, b.flow))
  readonly #capped = new Heap<Place<R>>((a, b) => a.flow.cappedUntilUs < b.flow.cappedUntilUs)
  /** Flows that use the device; those that do not any more are dropped at each look. */
  #active: Flow<R>[] = []
  #solo: Flow<R> | null = null
  #lookUs = 0
  /** What the queue that was picked last has had. */
  #virtualUs = 0
  /** Until when our part of the device is taken, where others want theirs. */
  #ownFullUs = 0
  #waitingShares = 0
  #isPumping = false

  constructor({ port, limits, words }: SchedulerOptions<R>) {
    this.#port = port
    this.#share = new DeviceShare(words)
    this.#read = limits === null ? null : costLineOf(limits.read)
    this.#write = limits === null ? null : costLineOf(limits.write)
    this.#leastWindowUs = limits === null ? 0 : windowUsOf(limits, DEPTH, BURST_US_MIN)
  }

  /** A flow for a task queue; it is the caller's to keep with the queue. */
  createFlow(owner: FlowOwner, cap: Cap | null): Flow<R> {
    return new Flow<R>(owner, cap)
  }

  /** Whether a request passes since its queue was alone at the last look: no more than a comparison, by any clock. */
  passesAlone(flow: Flow<R>, request: R, nowUs: number): boolean {
    if (flow !== this.#solo || nowUs >= this.#lookUs) return false
    this.inFlightUs += this.#costUs(request)
    return true
  }

  /** Whether a request may pass now; if not it waits, or was submitted by the port meanwhile. */
  offer(flow: Flow<R>, request: R, nowUs: number): boolean {
    const requestUs = this.#costUs(request)
    if (flow.cap === null && (requestUs === 0 || this.#isAlone(flow, nowUs))) {
      this.inFlightUs += requestUs
      return true
    }
    if (requestUs > 0) this.#touch(flow, nowUs)
    this.#queue(flow, request, nowUs)
    this.pump(nowUs)
    return false
  }

  /** Takes out a request that waits. */
  withdraw(flow: Flow<R>, request: R, nowUs: number): void {
    assert(this.queuedCount > 0, 'what is withdrawn waits')
    const isCapped = flow.byCap.heapIndex >= 0
    this.#uncount(this.#costUs(request))
    if (!flow.remove(request, nowUs)) return
    // What is next in the flow may be another kind of request, or nothing.
    if (isCapped && flow.count > 0) return
    if (isCapped) this.#capped.remove(flow.byCap)
    else this.#leaveOrders(flow)
    if (!isCapped && flow.count > 0) this.#enterOrders(flow)
  }

  /** A request has ended; `lengthBytes` as it was when it was submitted. */
  completed(request: R): void {
    const requestUs = this.#costUs(request)
    this.#lookAhead.completed(requestUs)
    this.inFlightUs -= requestUs
    // Sums of fractions.
    if (this.inFlightUs < 1e-6) this.inFlightUs = 0
  }

  /** Submits what there is room for. */
  pump(nowUs: number): void {
    if (this.#isPumping) return
    this.#isPumping = true
    if (this.queuedCount > 0) this.#lookAhead.look(nowUs)
    try {
      this.nextUs = this.#pump(nowUs)
    } finally {
      this.#isPumping = false
    }
    assert(this.queuedCount === 0 || this.nextUs < Infinity, 'what waits is looked at again')
  }

  /** All requests that wait, each of which may be withdrawn meanwhile. */
  queued(): R[] {
    const flows = [...this.#least, ...this.#capped].map(({ flow }) => flow)
    return flows.flatMap((flow) => [...flow])
  }

  /** Checks that all is in order. O(requests): for audits. */
  audit(): void {
    for (const heap of [this.#least, this.#oldest, this.#urgent, this.#capped]) heap.audit()
    assert(this.#least.size === this.#oldest.size, 'who waits has a place in both orders')
    assert(this.#urgent.size <= this.#least.size, 'who is urgent waits')
    assert(this.queued().length === this.queuedCount, 'what waits is counted')
  }

  #pump(nowUs: number): number {
    this.#releaseCapped(nowUs)
    for (let place = this.#least.peek(); place !== undefined; place = this.#least.peek()) {
      const choice = { nowUs, starvationUs: STARVATION_US, leadUs: LEAD_US }
      const flow = pickNext(
        { least: place.flow, oldest: this.#oldest.peek()!.flow, urgent: this.#urgent.peek()?.flow },
        choice,
      )
      const waitUs = this.#waitUs(flow, nowUs)
      // Whatever the words of a device say, they are looked at again in an epoch.
      if (waitUs > 0) return Math.min(nowUs + Math.min(waitUs, EPOCH_US), this.#cappedUs)
      this.#issue(flow, nowUs)
    }
    return this.#cappedUs
  }

  /** One that waited is gone. */
  #uncount(requestUs: number): void {
    this.queuedCount--
    // Sums of fractions.
    this.#queuedUs = this.queuedCount === 0 ? 0 : Math.max(0, this.#queuedUs - requestUs)
  }

  /**
   * How far ahead the device may be taken. A latency class is not to wait for what that is, so no more than the least beside
   * one. Else, however late the thread is, no more than half of all that is asked for, since nobody can choose among
   * requests that do not wait.
   */
  #burstUs(nowUs: number): number {
    if (this.#share.isLatencyExpected(nowUs)) return BURST_US_MIN
    const halfUs = Math.floor((this.inFlightUs + this.#queuedUs) / 2)
    return Math.max(BURST_US_MIN, Math.min(this.#lookAhead.burstUs, halfUs))
  }

  /** What may be in flight: at least what is taken ahead, twice. */
  #windowUs(nowUs: number): number {
    return Math.max(this.#leastWindowUs, 2 * this.#burstUs(nowUs))
  }

  get #cappedUs(): number {
    return this.#capped.peek()?.flow.cappedUntilUs ?? Number.POSITIVE_INFINITY
  }

  /** How long the first request of a flow waits for the device; a completion may come before. */
  #waitUs(flow: Flow<R>, nowUs: number): number {
    const request = flow.first
    const requestUs = this.#costUs(request)
    if (requestUs === 0 || this.#isAlone(flow, nowUs)) return 0
    this.#announce(nowUs)
    // What is urgent has room of its own in the bucket, and does not wait for what is in flight.
    if (flow.isUrgent)
      return bucketWaitUs(this.#share.fullUs(nowUs), nowUs, 2 * this.#burstUs(nowUs))
    const othersUs = this.#share.othersInFlightUs(nowUs)
    const windowUs = windowPartUs(this.#windowUs(nowUs), this.#fraction(nowUs), othersUs)
    if (!windowAdmits(this.inFlightUs, requestUs, windowUs)) return EPOCH_US
    return bucketsWaitUs(this.#buckets(nowUs, requestUs))
  }

  #issue(flow: Flow<R>, nowUs: number): void {
    const request = flow.first
    const requestUs = this.#costUs(request)
    // While its own shares are among those that wait.
    const fraction = requestUs > 0 ? this.#fraction(nowUs) : 1
    assert(fraction > 0, 'who waits has a part of the device')
    this.#leaveOrders(flow)
    flow.shift(nowUs)
    this.#uncount(requestUs)
    this.#virtualUs = Math.max(this.#virtualUs, flow.virtualUs)
    flow.virtualUs += (requestUs * SHARES_MAX) / flow.owner.shares
    flow.cap?.take(nowUs, request.lengthBytes)
    if (requestUs > 0) {
      this.#ownFullUs = fillOwnBucket(this.#buckets(nowUs, requestUs), requestUs / fraction)
      this.#share.take(nowUs, requestUs)
      this.inFlightUs += requestUs
      this.#share.announceInFlight(nowUs, this.inFlightUs)
    }
    if (flow.count > 0) this.#enter(flow, nowUs)
    this.#port.issue(request)
  }

  #queue(flow: Flow<R>, request: R, nowUs: number): void {
    flow.push(request, nowUs)
    if (this.queuedCount === 0) this.#lookAhead.begin(nowUs)
    this.queuedCount++
    this.#queuedUs += this.#costUs(request)
    if (flow.count > 1) return
    // Who was away has saved nothing up; who was for a moment, between two batches of completions, has lost nothing.
    flow.virtualUs = Math.max(flow.virtualUs, this.#virtualUs - FORGIVEN_US)
    this.#enter(flow, nowUs)
  }

  /** Puts a flow that has requests where it waits: for its cap, or for the device. */
  #enter(flow: Flow<R>, nowUs: number): void {
    const waitUs = flow.cap?.waitUs(nowUs) ?? 0
    if (waitUs === 0) {
      this.#enterOrders(flow)
    } else {
      flow.cappedUntilUs = nowUs + waitUs
      flow.owner.countLimited()
      this.#capped.push(flow.byCap)
    }
  }

  #enterOrders(flow: Flow<R>): void {
    this.#least.push(flow.byLeast)
    this.#oldest.push(flow.byAge)
    if (flow.isUrgent) this.#urgent.push(flow.byUrgency)
    // Whole, as in the words that threads share: sums of fractions would drift.
    flow.waitingShares = Math.round(flow.owner.shares)
    this.#waitingShares += flow.waitingShares
  }

  #leaveOrders(flow: Flow<R>): void {
    this.#least.remove(flow.byLeast)
    this.#oldest.remove(flow.byAge)
    if (flow.byUrgency.heapIndex >= 0) this.#urgent.remove(flow.byUrgency)
    this.#waitingShares -= flow.waitingShares
    assert(this.#waitingShares >= 0, 'who leaves takes the shares away that it came with')
  }

  #releaseCapped(nowUs: number): void {
    for (
      let place = this.#capped.peek();
      place !== undefined && place.flow.cappedUntilUs <= nowUs;
      place = this.#capped.peek()
    ) {
      this.#capped.remove(place)
      this.#enter(place.flow, nowUs)
    }
  }

  /** Whether that queue alone uses the device, which is looked at once in an epoch, and when another one comes. */
  #isAlone(flow: Flow<R>, nowUs: number): boolean {
    if (nowUs < this.#lookUs) {
      if (flow === this.#solo) return true
      if (this.#solo === null && flow.activeUntilUs > nowUs) return false
    }
    this.#touch(flow, nowUs)
    this.#active = this.#active.filter(({ activeUntilUs }) => activeUntilUs > nowUs)
    this.#share.announce(nowUs, 0)
    this.#solo = flow.cap === null && this.#findAlone(flow, nowUs) ? flow : null
    this.#lookUs = nowUs + EPOCH_US
    if (this.#solo !== null) this.#share.announce(nowUs, flow.owner.shares)
    return this.#solo !== null
  }

  #findAlone(flow: Flow<R>, nowUs: number): boolean {
    if (this.#active.some((other) => other !== flow) || this.#share.hasOthers(nowUs)) return false
    return flow.owner.isLatencySensitive || !this.#share.isLatencyExpected(nowUs)
  }

  /** Notes that a flow uses the device. */
  #touch(flow: Flow<R>, nowUs: number): void {
    const { isLatencySensitive } = flow.owner
    if (flow.activeUntilUs <= nowUs && !this.#active.includes(flow)) this.#active.push(flow)
    const activeUs = isLatencySensitive ? LATENCY_ACTIVE_US : ACTIVE_US
    flow.activeUntilUs = nowUs + activeUs
    if (isLatencySensitive) this.#share.expectLatency(nowUs, activeUs)
  }

  #announce(nowUs: number): void {
    this.#share.announce(nowUs, this.#waitingShares)
    this.#share.announceInFlight(nowUs, this.inFlightUs)
  }

  #buckets(nowUs: number, requestUs: number): Buckets {
    const burstUs = this.#burstUs(nowUs)
    const fullUs = this.#share.fullUs(nowUs)
    const leftUs = leftWindowUs(this.#windowUs(nowUs), this.#share.othersInFlightUs(nowUs))
    const isLeft = windowAdmits(this.inFlightUs, requestUs, leftUs)
    return { fullUs, ownFullUs: this.#ownFullUs, nowUs, burstUs, isLeft }
  }

  /** Our part of the device, of all that wait for it. */
  #fraction(nowUs: number): number {
    this.#announce(nowUs)
    return fractionOf(this.#waitingShares, this.#waitingShares + this.#share.othersShares(nowUs))
  }

  #costUs({ isMetered, isWrite, lengthBytes }: R): number {
    const line = isWrite ? this.#write : this.#read
    return line === null || !isMetered ? 0 : costUs(line, lengthBytes)
  }
}
