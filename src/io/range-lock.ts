import { assert } from '../base/index.ts'
import { type Executor, Waiter, type WaitOptions } from '../executor/index.ts'

/** A stretch of a file that somebody writes, or waits to. */
export interface RangeHold {
  readonly startBytes: number
  readonly endBytes: number
  /** Whether nobody else may write any of it. */
  readonly isExclusive: boolean
}

/** A hold, and its place in the order of arrival. */
class Entry implements RangeHold {
  readonly startBytes: number
  endBytes: number
  readonly isExclusive: boolean
  previous: Entry | null = null
  next: Entry | null = null
  waiter: Waiter<void> | null = null

  constructor(startBytes: number, endBytes: number, isExclusive: boolean) {
    this.startBytes = startBytes
    this.endBytes = endBytes
    this.isExclusive = isExclusive
  }

  conflictsWith(other: RangeHold): boolean {
    if (!this.isExclusive && !other.isExclusive) return false
    return this.startBytes < other.endBytes && other.startBytes < this.endBytes
  }
}

/**
 * Who writes which part of a file: what replaces a whole block to change a part of it must be alone
 * there, or it would undo what others write to the rest.
 *
 * First come, first served, among those that conflict. O(1) while nobody is exclusive.
 */
export class RangeLock {
  readonly #executor: Executor
  #first: Entry | null = null
  #last: Entry | null = null
  #exclusiveCount = 0
  #waitingCount = 0

  constructor(executor: Executor) {
    this.#executor = executor
  }

  /** A shared hold, if that needs no wait, else null. */
  trySharing(startBytes: number, endBytes: number): RangeHold | null {
    const entry = new Entry(startBytes, endBytes, false)
    if (this.#exclusiveCount > 0 && this.#isBlocked(entry, this.#last)) return null
    this.#append(entry)
    return entry
  }

  /** Waits for a hold; {@link release} must follow. Rejects as any wait does. */
  async acquire(
    range: RangeHold,
    action: string,
    options: WaitOptions | undefined,
  ): Promise<RangeHold> {
    const entry = new Entry(range.startBytes, range.endBytes, range.isExclusive)
    if (!this.#isBlocked(entry, this.#last)) {
      this.#append(entry)
      return entry
    }
    const waiter = new Waiter<void>(this.#executor)
    waiter.bind(this.#executor, options, action, () => {
      this.#waitingCount--
      this.#remove(entry)
    })
    entry.waiter = waiter
    this.#waitingCount++
    this.#append(entry)
    await waiter.promise
    return entry
  }

  /** Gives the end of a hold free. */
  narrow(hold: RangeHold, endBytes: number): void {
    assert(hold instanceof Entry && endBytes <= hold.endBytes, 'a hold only gets smaller')
    hold.endBytes = endBytes
    if (this.#waitingCount > 0) this.#grant()
  }

  release(hold: RangeHold): void {
    assert(hold instanceof Entry && hold.waiter === null, 'what is released was granted')
    this.#remove(hold)
  }

  #append(entry: Entry): void {
    entry.previous = this.#last
    if (this.#last === null) this.#first = entry
    else this.#last.next = entry
    this.#last = entry
    if (entry.isExclusive) this.#exclusiveCount++
  }

  #remove(entry: Entry): void {
    const { previous, next } = entry
    if (previous === null) this.#first = next
    else previous.next = next
    if (next === null) this.#last = previous
    else next.previous = previous
    entry.previous = null
    entry.next = null
    if (entry.isExclusive) this.#exclusiveCount--
    if (this.#waitingCount > 0) this.#grant()
  }

  #grant(): void {
    for (let entry = this.#first; entry !== null; entry = entry.next) {
      const { waiter } = entry
      if (waiter === null || this.#isBlocked(entry, entry.previous)) continue
      entry.waiter = null
      this.#waitingCount--
      waiter.fulfil()
    }
  }

  /** Whether somebody up to `last` in the order is in the way, holding or waiting. */
  #isBlocked(entry: Entry, last: Entry | null): boolean {
    for (let other = last; other !== null; other = other.previous) {
      if (entry.conflictsWith(other)) return true
    }
    return false
  }
}
