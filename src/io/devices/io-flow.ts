import { assert, type HeapEntry } from '../../base/index.ts'
import { SLOT_CREATED, SLOT_QUEUED } from '../../ring/index.ts'
import type { Cap } from './io-cap.ts'
import type { Candidate } from './io-model.ts'

/** What a scheduler knows of a request that waits. */
export interface Request {
  /** Where it waits, as `SLOT_QUEUED` minus its number. */
  slot: number
  readonly isWrite: boolean
  /** How much it moves at the most. */
  readonly lengthBytes: number
}

/** Whose requests a flow has: a task queue. */
export interface FlowOwner {
  readonly shares: number
  readonly isLatencySensitive: boolean
  /** A request of it waits (1), or waits no more (-1) after so many microseconds. */
  countHeld(change: 1 | -1, heldUs: number): void
  /** Its cap holds back what is first in line. */
  countLimited(): void
}

/** Where a flow stands in one order. */
export class Place<R extends Request> implements HeapEntry {
  /** @internal */
  heapIndex = -1
  readonly flow: Flow<R>

  constructor(flow: Flow<R>) {
    this.flow = flow
  }
}

/** A read up to this length is a small one. */
const SMALL_READ_BYTES_MAX = 64 * 1024
/** So many places before the first are cut off together. */
const CUT_COUNT_MIN = 64

/**
 * The requests of one task queue for one device, first in, first out, and what the queue has had of the device.
 *
 * O(1) amortised. A request that is taken out leaves its place empty.
 */
export class Flow<R extends Request> implements Candidate {
  readonly owner: FlowOwner
  readonly cap: Cap | null
  virtualUs = 0
  refusedUs = 0
  /** What its queue's shares were as it began to wait for the device: they may be others by the end. */
  waitingShares = 0
  /** Until when it counts as one that uses the device. */
  activeUntilUs = 0
  readonly byLeast: Place<R> = new Place<R>(this)
  readonly byAge: Place<R> = new Place<R>(this)
  readonly byUrgency: Place<R> = new Place<R>(this)
  readonly byCap: Place<R> = new Place<R>(this)
  /** When its cap lets its first request pass. */
  cappedUntilUs = 0
  #requests: (R | null)[] = []
  #refusedUs: number[] = []
  #head = 0
  /** The number of the request at index 0. */
  #firstNumber = 0
  #count = 0

  constructor(owner: FlowOwner, cap: Cap | null) {
    this.owner = owner
    this.cap = cap
  }

  get count(): number {
    return this.#count
  }

  get isUrgent(): boolean {
    const { isWrite, lengthBytes } = this.first
    return this.owner.isLatencySensitive && !isWrite && lengthBytes <= SMALL_READ_BYTES_MAX
  }

  /** The first in line. */
  get first(): R {
    assert(this.#count > 0, 'a flow that is asked for its first request has one')
    return this.#requests[this.#head]!
  }

  push(request: R, nowUs: number): void {
    assert(request.slot > SLOT_QUEUED, 'a request waits in one place')
    request.slot = SLOT_QUEUED - (this.#firstNumber + this.#requests.length)
    this.#requests.push(request)
    this.#refusedUs.push(nowUs)
    this.#count++
    this.owner.countHeld(1, 0)
    if (this.#count === 1) this.#settleHead()
  }

  /** Takes the first out. */
  shift(nowUs: number): R {
    const { first } = this
    this.owner.countHeld(-1, nowUs - this.refusedUs)
    this.#requests[this.#head] = null
    first.slot = SLOT_CREATED
    this.#count--
    this.#settleHead()
    return first
  }

  /** Takes any out; whether that was the first. */
  remove(request: R, nowUs: number): boolean {
    const index = SLOT_QUEUED - request.slot - this.#firstNumber
    assert(this.#requests[index] === request, 'a request that waits knows its place')
    this.owner.countHeld(-1, nowUs - this.#refusedUs[index]!)
    this.#requests[index] = null
    request.slot = SLOT_CREATED
    this.#count--
    if (index !== this.#head) return false
    this.#settleHead()
    return true
  }

  /** All that wait, in order. */
  *[Symbol.iterator](): Iterator<R> {
    for (let index = this.#head; index < this.#requests.length; index++) {
      const request = this.#requests[index]!
      if (request !== null) yield request
    }
  }

  #settleHead(): void {
    const requests = this.#requests
    if (this.#count === 0) {
      this.#firstNumber = 0
      this.#head = 0
      requests.length = 0
      this.#refusedUs.length = 0
      return
    }
    while (requests[this.#head] === null) this.#head++
    this.refusedUs = this.#refusedUs[this.#head]!
    if (this.#head < CUT_COUNT_MIN || this.#head * 2 < requests.length) return
    this.#firstNumber += this.#head
    requests.splice(0, this.#head)
    this.#refusedUs.splice(0, this.#head)
    this.#head = 0
  }
}
