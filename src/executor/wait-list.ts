import { assert, type RuntimeError } from '../base/index.ts'
import type { WaitHome, WaitOptions } from './cancellation.ts'
import { Waiter } from './waiter.ts'
import type { ListOfWaits, ShieldedWait, Waits } from './waits.ts'

/** Whose waiters stand on a {@link WaitList}. */
export interface WaitListOwner {
  /** One of them has given up, and is off the list: the waiter behind it may go now. */
  waiterLeft(): void
}

/** What can stand on a {@link WaitList}. */
export interface Listed {
  /** @internal The list it is on, else null. */
  list: { readonly owner: WaitListOwner; remove(waiter: Listed): void } | null
  /** @internal */
  before: Listed | null
  /** @internal */
  behind: Listed | null
  /** @internal */
  readonly waits: Waits
  readonly isShielded: boolean
  fail(reason: unknown): void
}

/** A waiter that stands in line on a {@link WaitList}; giving up takes it off, in O(1). */
export class ListedWaiter<T> extends Waiter<T> implements Listed {
  /** @internal */
  list: Listed['list'] = null
  /** @internal */
  before: Listed | null = null
  /** @internal */
  behind: Listed | null = null

  /** Lets the wait be ended early, like {@link Waiter.bind}, which takes the list from us. */
  bindListed(home: WaitHome, options: WaitOptions | undefined, action: string): void {
    this.bindOnly(home, options, action)
  }

  override cancel(reason: unknown): void {
    const { list } = this
    // Granted already: it keeps what it got.
    if (list === null) return
    list.remove(this)
    this.fail(reason)
    list.owner.waiterLeft()
  }
}

/**
 * A waiter for the end of something that is being closed: the close of the executor lets it come to that
 * end, and fails it only if that does not come in time.
 */
export class ShieldedWaiter<T> extends ListedWaiter<T> implements ShieldedWait {
  constructor(home: WaitHome) {
    super(home)
    this.waits.shielded.add(this)
  }

  override get isShielded(): boolean {
    return true
  }

  override fulfil(value: T): void {
    this.waits.shielded.delete(this)
    super.fulfil(value)
  }

  override fail(reason: unknown): void {
    this.waits.shielded.delete(this)
    super.fail(reason)
  }

  /** @internal */
  executorLeft(reason: RuntimeError): void {
    this.list?.remove(this)
    this.fail(reason)
  }
}

/** A waiter for the end of a descriptor: when the executor has left the loop it is gone, in any case. */
export class ClosingWaiter extends ShieldedWaiter<void> {
  override executorLeft(): void {
    this.fulfil()
  }
}

/**
 * Waiters in the order they came. O(1), no allocation.
 *
 * While anybody stands on it its executor knows it, for its close: that of who came first, where they are
 * of several.
 *
 * The owner that grants takes the first waiter off the list and fulfils it in the same step. From then on that owns the
 * grant, whatever is cancelled later, so that no wake-up is lost.
 */
export class WaitList<W extends Listed> implements ListOfWaits {
  readonly owner: WaitListOwner
  #first: W | null = null
  #last: W | null = null
  #length = 0
  /** @internal Where somebody who walks along the list is to go on: kept right as waiters leave. */
  cursor: W | null = null
  /** Where the list is known, or null. */
  #waits: Waits | null = null
  /** @internal */
  earlier: ListOfWaits | null = null
  /** @internal */
  later: ListOfWaits | null = null

  constructor(owner: WaitListOwner) {
    this.owner = owner
  }

  get length(): number {
    return this.#length
  }

  get first(): W | null {
    return this.#first
  }

  push(waiter: W): void {
    assert(waiter.list === null, 'a waiter stands on one list at a time')
    assert(waiter.behind === null, 'a waiter that comes has nobody behind it')
    const last = this.#last
    waiter.list = this
    waiter.before = last
    if (last === null) this.#first = waiter
    else last.behind = waiter
    this.#last = waiter
    if (this.#length++ === 0) this.#makeKnown(waiter.waits)
  }

  /** Takes the first, or null. */
  shift(): W | null {
    const first = this.#first
    assert((first === null) === (this.#length === 0), 'a list counts its waiters')
    if (first !== null) this.remove(first)
    return first
  }

  remove(waiter: Listed): void {
    assert(waiter.list === this, 'a waiter knows the list that it stands on')
    const before = waiter.before as W | null
    const behind = waiter.behind as W | null
    assert(this.#length > 0, 'a list counts its waiters')
    if (waiter === this.cursor) this.cursor = behind
    if (before === null) this.#first = behind
    else before.behind = behind
    if (behind === null) this.#last = before
    else behind.before = before
    waiter.list = null
    waiter.before = null
    waiter.behind = null
    if (--this.#length === 0) this.#makeUnknown()
  }

  /** @internal Nobody moves up as others are told: all are. */
  executorCloses(waits: Waits, reason: RuntimeError): void {
    let waiter = this.#first
    while (waiter !== null) {
      const behind = waiter.behind as W | null
      if (waiter.waits === waits && !waiter.isShielded) {
        this.remove(waiter)
        waiter.fail(reason)
      }
      waiter = behind
    }
    const first = this.#first
    if (first === null || first.waits === waits) return
    this.#makeUnknown()
    this.#makeKnown(first.waits)
  }

  /** @internal Checks the links, and that they are as many as are counted. O(n): for audits. */
  audit(): void {
    let count = 0
    let before: Listed | null = null
    for (let waiter: Listed | null = this.#first; waiter !== null; waiter = waiter.behind) {
      assert(waiter.list === this, 'a waiter knows the list that it stands on')
      assert(waiter.before === before, 'a waiter knows the one before it')
      before = waiter
      count++
    }
    assert(before === this.#last, 'a list knows its last waiter')
    assert(count === this.#length, 'a list counts its waiters')
  }

  #makeKnown(waits: Waits): void {
    assert(this.#waits === null, 'a list is known to one executor')
    this.#waits = waits
    waits.addList(this)
  }

  #makeUnknown(): void {
    assert(this.#waits !== null, 'a list on which somebody stood is known')
    this.#waits.removeList(this)
    this.#waits = null
  }

  /** Fails them all. */
  fail(reason: unknown): void {
    for (let waiter = this.shift(); waiter !== null; waiter = this.shift()) waiter.fail(reason)
  }
}
