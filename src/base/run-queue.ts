import { assert, unreachable } from './assert.ts'

const ENTRY_COUNT_MIN = 64

/**
 * Something that a turn of its task queue will settle: a finished operation, an expired timer, a
 * waiter that got its permit, a task about to start.
 *
 * In one queue at a time.
 */
export abstract class Runnable {
  /** The queue it settles in: that of the work that waits for it. */
  home: RunQueue

  /** Whether {@link run} calls user code at once, rather than settling a promise; fixed while queued. */
  runsUserCode: boolean

  constructor(home: RunQueue, runsUserCode = false) {
    this.home = home
    this.runsUserCode = runsUserCode
  }

  /** Settles it; called by a turn only. */
  abstract run(): void
}

/**
 * First in, first out, of {@link Runnable}s; says when it turns from empty to not empty and back.
 *
 * O(1), no allocation but growth. An array rather than a linked list: one store per entry, and what
 * is queued needs no field for it.
 */
export abstract class RunQueue {
  #entries: (Runnable | null)[] = new Array<Runnable | null>(ENTRY_COUNT_MIN).fill(null)
  #mask = ENTRY_COUNT_MIN - 1
  #head = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  /** @internal The first in line, which stays in. */
  peek(): Runnable | null {
    return this.#entries[this.#head]!
  }

  /** Puts `runnable` last. */
  push(runnable: Runnable): void {
    const length = this.#length
    if (length > this.#mask) this.#grow()
    this.#entries[(this.#head + length) & this.#mask] = runnable
    this.#length = length + 1
    if (length === 0) this.becameRunnable()
  }

  /** Takes the first, or null. */
  pop(): Runnable | null {
    const head = this.#head
    const runnable = this.#entries[head]!
    if (runnable === null) return null
    this.#entries[head] = null
    this.#head = (head + 1) & this.#mask
    if (--this.#length === 0) this.becameEmpty()
    return runnable
  }

  /** Checks that what is queued is there once, in a row, and nothing else. O(n): for audits. */
  audit(): void {
    const found = new Set<Runnable>()
    for (const [index, runnable] of this.#entries.entries()) {
      const place = (index - this.#head) & this.#mask
      assert((runnable !== null) === place < this.#length, 'what is queued stands in a row')
      if (runnable === null) continue
      assert(runnable.home === this, 'what is queued is at home there')
      assert(!found.has(runnable), 'what is queued is in one place')
      found.add(runnable)
    }
  }

  #grow(): void {
    assert(this.#length === this.#entries.length, 'only a full queue grows')
    const old = this.#entries
    const entries = new Array<Runnable | null>(old.length * 2).fill(null)
    for (let i = 0; i < old.length; i++) entries[i] = old[(this.#head + i) & this.#mask]!
    this.#entries = entries
    this.#mask = entries.length - 1
    this.#head = 0
  }

  protected abstract becameRunnable(): void
  protected abstract becameEmpty(): void
}

/** The home of what the runtime itself waits for: nothing is ever settled there. */
class NoQueue extends RunQueue {
  override push(): void {
    unreachable('an internal operation takes its completion itself')
  }
  protected override becameRunnable(): void {}
  protected override becameEmpty(): void {}
}

export const NO_QUEUE: RunQueue = new NoQueue()
