import { assert, NS_PER_MS, NS_PER_S, type RunQueue, RuntimeError } from '../base/index.ts'
import { RING_COUNT_MAX, WORD_CLOSING, WORD_RUNNABLE } from '../kernel/index.ts'
import { type Reactor, Timer, type TimerPort } from '../reactor/index.ts'
import type { Operation } from '../ring/index.ts'
import { guardRejections } from './close-guard.ts'
import { createDeferred } from './deferred.ts'
import { setImmediate } from './host-immediate.ts'
import type { LiveTask, Waits } from './waits.ts'

/** How long what is told of a close may take to end. */
export const DRAIN_NS_MAX: number = NS_PER_S
/** How often to look whether it has. */
const LOOK_NS = NS_PER_MS
/** A request that is just being tried again may escape a cancel: another follows after so long. */
const CANCEL_AGAIN_NS = 50 * NS_PER_MS
/** So many looks in a row must find nothing: what one turn settles goes on behind it. */
const QUIET_LOOKS = 2

/** What a {@link Closing} needs of the executor that closes. */
export interface ClosingPort {
  readonly name: string
  readonly waits: Waits
  readonly defaultQueue: RunQueue
  nowNs(): number
  /** A queue all of which is to be settled by the caller, or null; called once the loop is left. */
  takeRunnable(): RunQueue | null
  /** Leaves the event loop. */
  leave(): void
}

/**
 * The close of one executor: all waits are cancelled and get some time to end, then the loop is left.
 *
 * Waits are found in what there is anyway: slots of the rings, the heap of timers, lists of
 * waiters, tasks. O(n) in them, and O(1) for each look whether they have ended, amortised.
 */
export class Closing {
  readonly promise: Promise<void>
  readonly #port: ClosingPort
  readonly #reactor: Reactor
  readonly #reason: RuntimeError
  readonly #resolve: () => void
  /** Tasks that wait for the close, so that it does not wait for them. */
  readonly #callers = new Set<LiveTask>()
  readonly #unguard: () => void
  /** Operations that were told, and maybe have not ended. */
  #told: Operation[] = []
  #endNs = Number.POSITIVE_INFINITY
  #cancelNs = Number.POSITIVE_INFINITY
  #quietCount = 0

  constructor(port: ClosingPort, reactor: Reactor) {
    const deferred = createDeferred<void>()
    this.promise = deferred.promise
    this.#resolve = deferred.resolve as () => void
    this.#port = port
    this.#reactor = reactor
    this.#reason = new RuntimeError(
      'ERR_EXECUTOR_CLOSED',
      `Cannot go on as executor '${port.name}' was closed`,
    )
    this.#unguard = guardRejections(this.#reason)
  }

  /** A task that calls close() is not waited for: it may be waiting itself, for the close. */
  addCaller(task: LiveTask | null): void {
    if (task !== null) this.#callers.add(task)
  }

  /** Tells everybody. User code runs at the end only, in listeners of the tasks' signals. */
  tell(): void {
    const { waits } = this.#port
    const reactor = this.#reactor
    const reason = this.#reason
    assert(waits.closeReason === null, 'an executor closes once')
    waits.closeReason = reason
    for (const operation of reactor.inFlight()) {
      operation.executorCloses(reason)
      if (operation.isAwaited) this.#told.push(operation)
    }
    for (const timer of reactor.timers.armed()) timer.executorCloses(reason)
    for (const list of waits.lists()) list.executorCloses(waits, reason)
    for (const wait of [...waits.loose]) wait.executorCloses(reason)
    for (const task of waits.tasks()) task.requestCancel(reason)
  }

  /** Lets what was told come to its end, then leaves: in a later turn. */
  drain(): void {
    const nowNs = this.#port.nowNs()
    assert(this.#port.waits.closeReason === this.#reason, 'who waits is told before the drain')
    assert(this.#endNs === Number.POSITIVE_INFINITY, 'a drain begins once')
    this.#endNs = nowNs + DRAIN_NS_MAX
    this.#cancelNs = nowNs + CANCEL_AGAIN_NS
    new Look(this.#port.defaultQueue, () => this.#look()).arm(this.#reactor.timers, nowNs)
  }

  /** Called once the loop is left: settles what has not ended in time. */
  finish(): void {
    const { waits } = this.#port
    const reactor = this.#reactor
    const reason = this.#reason
    const left = waits.tasks().filter((task) => !this.#callers.has(task))
    // Before anything is settled, which they might take for a reason to try again.
    for (const task of left) task.isLeft = true
    for (const wait of [...waits.shielded]) wait.executorLeft(reason)
    assert(waits.shielded.size === 0, 'nobody is shielded from the end')
    for (const operation of reactor.inFlight()) operation.executorLeft(reason)
    this.#settleQueued()
    // Behind the continuations of what was settled, which may be the ends of tasks.
    setImmediate(() => {
      for (const task of left) task.abandon(reason)
      this.#unguard()
      this.#resolve()
    })
  }

  /** When to look again, or null if the loop has been left. */
  #look(): number | null {
    assert(this.#endNs < Number.POSITIVE_INFINITY, 'a drain has an end')
    const nowNs = this.#port.nowNs()
    this.#quietCount = this.#isQuiet() ? this.#quietCount + 1 : 0
    if (this.#quietCount >= QUIET_LOOKS || nowNs >= this.#endNs) {
      this.#port.leave()
      return null
    }
    if (nowNs >= this.#cancelNs) {
      this.#cancelNs = nowNs + CANCEL_AGAIN_NS
      for (const operation of this.#told) this.#reactor.cancelAgain(operation)
    }
    return this.#quietCount > 0 ? nowNs : Math.min(nowNs + LOOK_NS, this.#endNs)
  }

  /** Whether nothing that we know of is still on its way. */
  #isQuiet(): boolean {
    const { waits } = this.#port
    if (waits.shielded.size > 0 || this.#hasLiveTask()) return false
    // Also of queues that were removed, which what their code has left behind is still settled in.
    if (this.#reactor.control.words[WORD_RUNNABLE]! > 0) return false
    return !this.#hasOperation()
  }

  #hasLiveTask(): boolean {
    let task = this.#port.waits.newestTask
    while (task !== null && this.#callers.has(task)) task = task.olderTask
    return task !== null
  }

  #hasOperation(): boolean {
    const reactor = this.#reactor
    const { words } = reactor.control
    for (let ring = 0; ring < RING_COUNT_MAX; ring++) {
      if (words[WORD_CLOSING + ring]! > 0) return true
    }
    const told = this.#told
    while (told.length > 0 && reactor.ringOf(told[told.length - 1]!) === null) told.pop()
    if (told.length > 0) return true
    // What code that cleans up has begun since.
    for (const operation of reactor.inFlight()) if (operation.isAwaited) told.push(operation)
    return told.length > 0
  }

  #settleQueued(): void {
    const port = this.#port
    for (let queue = port.takeRunnable(); queue !== null; queue = port.takeRunnable()) {
      for (let next = queue.pop(); next !== null; next = queue.pop()) next.run()
    }
  }
}

/** Keeps the program alive while it looks again and again. */
class Look extends Timer {
  readonly #look: () => number | null
  #timers: TimerPort | null = null

  constructor(home: RunQueue, look: () => number | null) {
    super(home, { keepsAlive: true, runsUserCode: true })
    this.#look = look
  }

  arm(timers: TimerPort, deadlineNs: number): void {
    this.#timers = timers
    timers.arm(this, deadlineNs)
  }

  override run(): void {
    const nextNs = this.#look()
    if (nextNs !== null) this.arm(this.#timers!, nextNs)
  }
}
