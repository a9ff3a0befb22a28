import {
  assert,
  DeadlineHeap,
  type HeapEntry,
  Runnable,
  type RunQueue,
  type RuntimeError,
} from '../base/index.ts'
import { DOUBLE_DEADLINE_NS, type Kernel, type LoopControl, WORD_LIVE } from '../kernel/index.ts'
import { COUNTER_TIMERS, COUNTER_TIMERS_EXPIRED } from '../stats/index.ts'
import type { LivenessPort } from './liveness.ts'

/** Something that happens at a moment of the monotonic clock, on its home queue; never early. */
export abstract class Timer extends Runnable implements HeapEntry {
  /** @internal */
  heapIndex = -1
  /** Whether the program stays alive for it. */
  readonly keepsAlive: boolean

  constructor(home: RunQueue, options: { keepsAlive?: boolean; runsUserCode?: boolean } = {}) {
    super(home, options.runsUserCode)
    this.keepsAlive = options.keepsAlive ?? true
  }

  get isArmed(): boolean {
    return this.heapIndex !== -1
  }

  /** Takes the expiry; may mark and queue, but run no user code. */
  expire(): void {
    this.home.push(this)
  }

  /** @internal The executor closes, while this is armed: tells its waiters. Runs no user code. */
  executorCloses(_reason: RuntimeError): void {}
}

/** What {@link Timers} go by, and whom they tell. */
export interface TimersOptions {
  readonly kernel: Kernel
  readonly control: LoopControl
  /** Held while a timer that asks for it is armed. */
  readonly liveness: LivenessPort
}

/** The monotonic clock of a thread, and what happens at moments of it. */
export interface TimerPort {
  nowNs(): number
  /** `timer` must not be armed. O(log n). */
  arm(timer: Timer, deadlineNs: number): void
  /** Does nothing if it is not armed. O(log n). */
  disarm(timer: Timer): void
}

/**
 * The timers of one thread, by deadline. O(log n) to arm and disarm, no system call: the loop parks
 * no longer than to the first.
 */
export class Timers implements TimerPort {
  readonly #kernel: Kernel
  readonly #control: LoopControl
  readonly #liveness: LivenessPort
  readonly #heap = new DeadlineHeap<Timer>()

  constructor({ kernel, control, liveness }: TimersOptions) {
    this.#kernel = kernel
    this.#control = control
    this.#liveness = liveness
  }

  get size(): number {
    return this.#heap.size
  }

  nowNs(): number {
    return this.#kernel.nowNs()
  }

  /** Every timer that is armed, the one that is due first first. O(n log n). */
  armed(): Timer[] {
    return this.#heap.sorted()
  }

  arm(timer: Timer, deadlineNs: number): void {
    assert(!Number.isNaN(deadlineNs), 'a deadline is a time')
    this.#heap.push(timer, deadlineNs)
    const { doubles, counters } = this.#control
    assert(this.#heap.firstNs <= deadlineNs, 'no timer is before the first')
    if (timer.heapIndex === 0) doubles[DOUBLE_DEADLINE_NS] = deadlineNs
    counters[COUNTER_TIMERS] = this.#heap.size
    if (timer.keepsAlive) this.#liveness.hold()
  }

  /** Does nothing if it is not armed. */
  disarm(timer: Timer): void {
    if (timer.heapIndex === -1) return
    const wasFirst = timer.heapIndex === 0
    this.#heap.remove(timer)
    this.#control.counters[COUNTER_TIMERS] = this.#heap.size
    if (timer.keepsAlive) this.#liveness.letGo()
    if (wasFirst) this.#publish()
  }

  /** Expires every timer whose time has come. */
  expire(nowNs: number): void {
    for (let timer = this.#heap.pop(nowNs); timer !== null; timer = this.#heap.pop(nowNs)) {
      assert(!timer.isArmed, 'a timer that expires is taken out first')
      if (timer.keepsAlive) this.#liveness.letGo()
      this.#control.counters[COUNTER_TIMERS_EXPIRED]!++
      timer.expire()
    }
    this.#publish()
  }

  /** Checks the order of the timers, and what the hook knows of them. O(n): for audits. */
  audit(): void {
    this.#heap.audit()
    let liveCount = 0
    for (const { keepsAlive } of this.#heap) if (keepsAlive) liveCount++
    const { words, doubles, counters } = this.#control
    assert(counters[COUNTER_TIMERS] === this.#heap.size, 'timers are counted for others')
    assert(liveCount <= words[WORD_LIVE]!, 'the hook counts the timers that keep the program alive')
    assert(
      doubles[DOUBLE_DEADLINE_NS] === this.#heap.firstNs,
      'the hook parks until the first timer',
    )
  }

  #publish(): void {
    this.#control.doubles[DOUBLE_DEADLINE_NS] = this.#heap.firstNs
    this.#control.counters[COUNTER_TIMERS] = this.#heap.size
  }
}
