import { assert } from '../../base/index.ts'
import { type Executor, Waiter, type WaitOptions } from '../../executor/index.ts'
import { type Cohort, Cohorts } from './cohort.ts'
import { join, Obstacle, settle } from './obstacle.ts'
import { add, clip, replace, Segment } from './segments.ts'

/** A stretch of a file that an operation writes, or waits to. */
export interface RangeHold {
  readonly startBytes: number
  readonly endBytes: number
  /** Whether nobody else may write any of it. */
  readonly isExclusive: boolean
}

/** A hold, or a wait for one; in the way of those that come after it until it is released. */
class Claim extends Obstacle implements RangeHold {
  readonly startBytes: number
  endBytes: number
  readonly isExclusive: boolean
  previous: Claim | null = null
  next: Claim | null = null
  waiter: ClaimWaiter | null = null
  /** The exclusive claims that were there before an exclusive one, which waits for them. */
  exclusivesBefore: Segment | null = null
  /** Those that a shared one came with. */
  cohort: Cohort | null = null
  hasGivenUp = false

  constructor({ startBytes, endBytes, isExclusive }: RangeHold) {
    super()
    assert(startBytes <= endBytes, 'a range ends behind where it begins')
    this.startBytes = startBytes
    this.endBytes = endBytes
    this.isExclusive = isExclusive
  }

  override blocker(): Obstacle {
    return this
  }

  override within(startBytes: number, endBytes: number): Obstacle | null {
    if (this.isClear || startBytes >= this.endBytes) return null
    // Claims behind this one now wait for what it waited for, as far as that is in their range.
    if (this.hasGivenUp) return clip(this.exclusivesBefore, startBytes, endBytes)
    return this
  }
}

/** Claims in the order they came. */
class ClaimList {
  first: Claim | null = null
  last: Claim | null = null
  length = 0

  push(claim: Claim): void {
    claim.previous = this.last
    if (this.last === null) this.first = claim
    else this.last.next = claim
    this.last = claim
    this.length++
  }

  remove(claim: Claim): void {
    const { previous, next } = claim
    if (previous === null) this.first = next
    else previous.next = next
    if (next === null) this.last = previous
    else next.previous = previous
    claim.previous = null
    claim.next = null
    this.length--
  }
}

/** How many segments of what is over are borne before a tree is made anew. */
const STALE_COUNT_MAX = 64

/**
 * Which operation writes which part of a file: what replaces a whole block to change a part of it must be alone
 * there, or it would undo what others write to the rest.
 *
 * First come, first served, among those that conflict; a hold of no length conflicts with nobody. O(1)
 * while nobody is exclusive; else amortized O(log n) for each claim, n being how many there are, from its
 * coming to its release or giving up. Giving up costs as much once more for each claim that waits for
 * this very one.
 *
 * Each claim finds in two trees what is in its way, keeps that as one obstacle, and waits until it is
 * clear. A tree is replaced and never changed, so that later claims are not in the way of earlier ones.
 * Shared claims get into theirs only once an exclusive one comes that touches some of them and not all:
 * one that takes all of them in waits for their cohort.
 */
export class RangeLock {
  readonly #executor: Executor
  readonly #exclusives = new ClaimList()
  readonly #shared = new ClaimList()
  /** The last exclusive claim of each stretch; it waits for those before it, so that these don't matter. */
  #exclusiveTree: Segment | null = null
  /** The shared claims of each stretch that are not outside. */
  #sharedTree: Segment = emptyTree()
  /** The first shared claim that is not in the tree, all behind it being outside as well. */
  #firstOutside: Claim | null = null
  /** That one and those behind it, for a claim that waits for all of them. */
  #cohorts = new Cohorts()
  #insertedExclusives = 0
  #insertedShared = 0

  constructor(executor: Executor) {
    this.#executor = executor
  }

  /** A shared hold, if that needs no wait, else null; then {@link acquire} may still not wait. */
  trySharing(startBytes: number, endBytes: number): RangeHold | null {
    const isFree = this.#exclusiveTree === null || startBytes === endBytes
    if (!isFree && this.#exclusiveTree!.mayBlock(startBytes, endBytes)) return null
    const claim = new Claim({ startBytes, endBytes, isExclusive: false })
    this.#enter(claim)
    return claim
  }

  /** Waits for a hold; {@link release} must follow. Rejects as any wait does. */
  acquire(range: RangeHold, action: string, options: WaitOptions | undefined): Promise<RangeHold> {
    const claim = new Claim(range)
    const front = this.#inFrontOf(claim)
    if (front === null || settle(front)) {
      claim.exclusivesBefore = null
      this.#enter(claim)
      return Promise.resolve(claim)
    }
    const waiter = new ClaimWaiter(this.#executor, this, claim)
    claim.watch(front)
    try {
      waiter.bind(this.#executor, options, action, nothing)
    } catch (error) {
      claim.letGo()
      return Promise.reject(error)
    }
    claim.waiter = waiter
    this.#enter(claim)
    return waiter.promise
  }

  /** The same for what nobody may cancel, the task that it is called by included. */
  acquireShielded(range: RangeHold): Promise<RangeHold> {
    const claim = new Claim(range)
    const front = this.#inFrontOf(claim)
    if (front === null || settle(front)) {
      claim.exclusivesBefore = null
      this.#enter(claim)
      return Promise.resolve(claim)
    }
    claim.watch(front)
    claim.waiter = new ClaimWaiter(this.#executor, this, claim)
    this.#enter(claim)
    return claim.waiter.promise
  }

  /** Gives the end of an exclusive hold free. */
  narrow(hold: RangeHold, endBytes: number): void {
    assert(hold instanceof Claim && hold.isExclusive, 'only an exclusive hold gets smaller')
    assert(hold.startBytes <= endBytes && endBytes <= hold.endBytes, 'a hold only gets smaller')
    hold.endBytes = endBytes
    this.#grant(hold)
  }

  release(hold: RangeHold): void {
    assert(hold instanceof Claim && hold.waiter === null, 'what is released was granted')
    assert(!hold.isClear, 'a hold is released once')
    this.#leave(hold)
    hold.isClear = true
    this.#grant(hold)
  }

  /** What a claim has to wait for, maybe cleared meanwhile. */
  #inFrontOf(claim: Claim): Obstacle | null {
    const { startBytes, endBytes } = claim
    if (startBytes === endBytes) return null
    const exclusives = clip(this.#exclusiveTree, startBytes, endBytes)
    if (!claim.isExclusive) return exclusives
    claim.exclusivesBefore = exclusives
    return join(exclusives, this.#sharedWithin(startBytes, endBytes))
  }

  #sharedWithin(startBytes: number, endBytes: number): Obstacle | null {
    if (this.#shared.length === 0) return null
    const isStale = this.#insertedShared > 2 * this.#shared.length + STALE_COUNT_MAX
    if (isStale) {
      this.#sharedTree = emptyTree()
      this.#insertedShared = 0
      this.#firstOutside = this.#shared.first
    }
    const outside = this.#cohorts
    const hasAll = startBytes <= outside.startBytes && outside.endBytes <= endBytes
    const hasNone = outside.endBytes <= startBytes || endBytes <= outside.startBytes
    if (isStale || !(hasAll || hasNone)) this.#insertOutside()
    const inTree = this.#insertedShared === 0 ? null : clip(this.#sharedTree, startBytes, endBytes)
    return hasAll ? join(inTree, this.#cohorts.seal()) : inTree
  }

  /** A claim that waits for a cohort goes on doing so: later claims find its members in the tree. */
  #insertOutside(): void {
    for (let claim = this.#firstOutside; claim !== null; claim = claim.next) {
      if (claim.startBytes === claim.endBytes) continue
      this.#sharedTree = add(this.#sharedTree, claim.startBytes, claim.endBytes, claim)
      this.#insertedShared++
    }
    this.#firstOutside = null
    this.#cohorts = new Cohorts()
  }

  #enter(claim: Claim): void {
    if (!claim.isExclusive) {
      this.#shared.push(claim)
      this.#firstOutside ??= claim
      if (claim.startBytes === claim.endBytes) return
      claim.cohort = this.#cohorts.open
      claim.cohort.add(claim.startBytes, claim.endBytes)
      return
    }
    this.#exclusives.push(claim)
    if (this.#insertedExclusives > 2 * this.#exclusives.length + STALE_COUNT_MAX) {
      this.#exclusiveTree = null
      this.#insertedExclusives = 0
      for (let each = this.#exclusives.first; each !== null; each = each.next) this.#insert(each)
    } else {
      this.#insert(claim)
    }
  }

  #insert(claim: Claim): void {
    if (claim.startBytes === claim.endBytes) return
    const segment = new Segment(claim.startBytes, claim.endBytes, { own: claim })
    this.#exclusiveTree = replace(this.#exclusiveTree, segment)
    this.#insertedExclusives++
  }

  #leave(claim: Claim): void {
    if (claim.isExclusive) {
      this.#exclusives.remove(claim)
      if (this.#exclusives.length > 0) return
      this.#exclusiveTree = null
      this.#insertedExclusives = 0
    } else {
      if (this.#firstOutside === claim) this.#firstOutside = claim.next
      this.#shared.remove(claim)
      if (this.#shared.length > 0) return
      this.#cohorts.forgetSealed()
      if (this.#insertedShared === 0) return
      this.#sharedTree = emptyTree()
      this.#insertedShared = 0
    }
  }

  /** @internal Its waiter does not wait any more. */
  giveUp(claim: Claim): void {
    claim.waiter = null
    claim.letGo()
    this.#leave(claim)
    // What a shared claim waited for is found in the tree by the claims behind it as well.
    if (claim.isExclusive) claim.hasGivenUp = true
    else claim.isClear = true
    this.#grant(claim)
  }

  /** Lets claims go on that waited for one, as far as nothing else is in their way. */
  #grant(claim: Claim): void {
    const cleared: Obstacle[] = [claim]
    if (claim.cohort?.leave()) cleared.push(claim.cohort)
    for (const obstacle of cleared) {
      for (const watcher of obstacle.takeWatchers()) {
        // A watcher settled before it may have reached it, and have given it what to watch next.
        if (watcher.watched !== null) continue
        if (watcher instanceof Claim) grantTo(watcher)
        else if (settle(watcher)) cleared.push(watcher)
      }
    }
  }
}

/** The operation that waits for a claim to be granted. */
class ClaimWaiter extends Waiter<RangeHold> {
  readonly #lock: RangeLock
  readonly #claim: Claim

  constructor(executor: Executor, lock: RangeLock, claim: Claim) {
    super(executor)
    this.#lock = lock
    this.#claim = claim
  }

  // Rather than a closure each to bind with, which outlive collections of the garbage where many wait.
  override cancel(reason: unknown): void {
    if (!this.isWaiting) return
    this.#lock.giveUp(this.#claim)
    this.fail(reason)
  }
}

function nothing(): void {}

function grantTo(claim: Claim): void {
  const { waiter } = claim
  assert(waiter !== null, 'a claim that watches something waits')
  claim.waiter = null
  claim.exclusivesBefore = null
  waiter.fulfil(claim)
}

function emptyTree(): Segment {
  return new Segment(0, Infinity, { own: null })
}
