import { assert } from '../base/index.ts'
import type { WaitHome, WaitOptions } from './cancellation.ts'
import { Waiter } from './waiter.ts'

/** Whose waiters stand on a {@link WaitList}. */
export interface WaitListOwner {
  /** One of them has given up, and is off the list: who stood behind it may go now. */
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
    this.bind(home, options, action, nothing)
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
 * Waiters in the order they came. O(1), no allocation.
 *
 * Who grants takes the first off the list and fulfils it in the same step. From then on it owns the
 * grant, whatever is cancelled later, so that no wake-up is lost.
 */
export class WaitList<W extends Listed> {
  readonly owner: WaitListOwner
  #first: W | null = null
  #last: W | null = null
  #length = 0

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
    const last = this.#last
    waiter.list = this
    waiter.before = last
    if (last === null) this.#first = waiter
    else last.behind = waiter
    this.#last = waiter
    this.#length++
  }

  /** Takes the first, or null. */
  shift(): W | null {
    const first = this.#first
    if (first !== null) this.remove(first)
    return first
  }

  remove(waiter: Listed): void {
    assert(waiter.list === this, 'a waiter knows the list that it stands on')
    const before = waiter.before as W | null
    const behind = waiter.behind as W | null
    if (before === null) this.#first = behind
    else before.behind = behind
    if (behind === null) this.#last = before
    else behind.before = before
    waiter.list = null
    waiter.before = null
    waiter.behind = null
    this.#length--
  }

  /** Fails them all. */
  fail(reason: unknown): void {
    for (let waiter = this.shift(); waiter !== null; waiter = this.shift()) waiter.fail(reason)
  }
}

function nothing(): void {}
