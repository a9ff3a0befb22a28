/**
 * The watchdog of a process: a thread that looks whether the turns of executors end.
 *
 * It finds those that are to be watched in the process directory, reads their control blocks and, but for the moment in
 * which a stack is taken, touches nothing of their threads. It ends when nobody is watched any more, when another has taken
 * its place, or with the thread that started it.
 */
import { writeSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { NS_PER_MS } from '../base/index.ts'
import {
  currentKernel,
  type DirectorySlot,
  DOUBLE_NOW_NS,
  DOUBLE_STALL_BUDGET_NS,
  type ExecutorId,
  HEADER_CAPTURING,
  HEADER_WATCHDOG,
  hostNowNs,
  WORD_DOORBELL,
  WORD_HOLDER,
  WORD_QUEUE,
  WORD_STALL_REPORTED,
  WORD_THREAD,
  WORD_TURN_SEQUENCE,
} from '../kernel/index.ts'
import { EXECUTOR_NAME_INDEX, nameOfQueue, readName } from '../stats/index.ts'
import { StackCapture } from './stall-capture.ts'
import { formatStall, NO_STACK_YET, type WatchdogData } from './stall-report.ts'

const STDERR = 2
/** How long after its budget a turn counts as one that may never end. */
const PATIENCE_MS = 1000
const POLL_MS_MAX = 100

const { directory } = currentKernel()
const header = directory.slot(0).words
const { ownerId } = workerData as WatchdogData

/** One executor that is watched. */
class Watch {
  readonly #index: number
  readonly #slot: DirectorySlot
  readonly #capture: StackCapture
  /** The turn seen last, and the stalled one. */
  #seen = 0
  #stalled = 0
  #queue = -1
  #stack = NO_STACK_YET
  /** The last turn whose report was written here. */
  #written = 0

  constructor(index: number, slot: DirectorySlot) {
    this.#index = index
    this.#slot = slot
    this.#capture = new StackCapture(slot.words[WORD_THREAD]!, header)
  }

  /** Looks once; returns when to look again, in milliseconds. */
  look(): number {
    const { words, doubles } = this.#slot
    const budgetMs = doubles[DOUBLE_STALL_BUDGET_NS]! / NS_PER_MS
    // Twice per budget, so that no turn that is over it goes unseen.
    const pollMs = Math.max(1, Math.min(POLL_MS_MAX, budgetMs / 2))
    // ORDER: the hook writes the time before the sequence. What a reader on another thread sees may
    // lag all the same, hence no judgement on a turn at its first sight.
    const sequence = Atomics.load(words, WORD_TURN_SEQUENCE)
    if (sequence !== this.#stalled) this.#capture.end()
    if (sequence % 2 === 0) return pollMs
    const overdueMs = this.#elapsedMs() - budgetMs
    if (sequence === this.#stalled) {
      if (overdueMs >= PATIENCE_MS) this.#writeOnce(sequence)
      return pollMs
    }
    const isFirstSight = sequence !== this.#seen
    this.#seen = sequence
    if (isFirstSight || overdueMs < 0) return Math.max(1, Math.min(pollMs, Math.ceil(-overdueMs)))
    this.#stalled = sequence
    this.#queue = words[WORD_QUEUE]!
    if (this.#queue >= 0) this.#report(sequence)
    return pollMs
  }

  end(): void {
    this.#capture.end()
  }

  #report(sequence: number): void {
    this.#stack = NO_STACK_YET
    try {
      this.#capture.begin(sequence, (stack) => {
        this.#stack = stack
        // A busy machine may answer after the report was due: it is written again, with the stack.
        if (this.#written === sequence) this.#write()
      })
    } catch (error) {
      this.#stack = `(no stack: ${(error as Error).message})`
    }
    // There may be no other turn to measure this one for a while.
    Atomics.or(this.#slot.words, WORD_DOORBELL, 1)
    directory.wake(this.#index)
  }

  /** Writes the report of a turn that may never end, unless its thread reports it just now. */
  #writeOnce(sequence: number): void {
    const { words } = this.#slot
    // ORDER: the thread that exchanges first reports to standard error; paired with the executor's.
    if (this.#queue < 0 || Atomics.exchange(words, WORD_STALL_REPORTED, sequence) === sequence)
      return
    this.#written = sequence
    this.#write()
  }

  #write(): void {
    const { counters, doubles } = this.#slot
    const stall = {
      executor: readName(counters, EXECUTOR_NAME_INDEX),
      queue: nameOfQueue(counters, this.#queue) ?? `number ${this.#queue}`,
      durationMs: this.#elapsedMs(),
      budgetMs: doubles[DOUBLE_STALL_BUDGET_NS]! / NS_PER_MS,
      stack: this.#stack,
      ongoing: true,
      isWritten: true,
    }
    try {
      writeSync(STDERR, formatStall(stall))
    } catch {
      // Standard error is closed or full: nobody reads it.
    }
  }

  #elapsedMs(): number {
    // The clock of the loop hook: both are CLOCK_MONOTONIC.
    return (hostNowNs() - this.#slot.doubles[DOUBLE_NOW_NS]!) / NS_PER_MS
  }
}

const watches = new Map<ExecutorId, Watch>()
let timer: NodeJS.Timeout | undefined
let waitMs = POLL_MS_MAX

// One that was ended in the middle of it has left it.
Atomics.store(header, HEADER_CAPTURING, 0)
parentPort!.on('message', look)
look()

/** Looks at all that are to be watched, and again when the next of them wants it. O(executors). */
function look(): void {
  clearTimeout(timer)
  if (Atomics.load(header, HEADER_WATCHDOG) !== ownerId || !goesOn()) {
    end()
    return
  }
  // It also keeps this thread alive, until the one that started it ends.
  timer = setTimeout(look, waitMs)
}

/** Looks at all; false once nobody is watched any more, and the next to be watched starts a watchdog of its own. */
function goesOn(): boolean {
  waitMs = lookAtAll()
  if (watches.size > 0) return true
  // ORDER: given back first, looked once more then: who begins to be watched does both the other way round.
  if (Atomics.compareExchange(header, HEADER_WATCHDOG, ownerId, 0) !== ownerId) return false
  waitMs = lookAtAll()
  return watches.size > 0 && Atomics.compareExchange(header, HEADER_WATCHDOG, 0, ownerId) === 0
}

function lookAtAll(): number {
  let nextMs = POLL_MS_MAX
  const found = new Set<ExecutorId>()
  const { usedCount } = directory
  for (let index = 1; index < usedCount; index++) {
    const slot = directory.slot(index)
    const id = Atomics.load(slot.words, WORD_HOLDER)
    if (id <= 0 || slot.doubles[DOUBLE_STALL_BUDGET_NS]! === 0) continue
    found.add(id)
    let watch = watches.get(id)
    if (watch === undefined) {
      watch = new Watch(index, slot)
      watches.set(id, watch)
    }
    nextMs = Math.min(nextMs, watch.look())
  }
  for (const [id, watch] of watches) {
    if (found.has(id)) continue
    watch.end()
    watches.delete(id)
  }
  return nextMs
}

/** Leaves nothing to wait for: the thread ends. */
function end(): void {
  for (const watch of watches.values()) watch.end()
  parentPort!.close()
}
