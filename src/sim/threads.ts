import { assert, type Prng } from '../base/index.ts'
import type { SimClock } from './clock.ts'
import { clearImmediate, clearTimeout, setImmediate, setTimeout } from './host-timers.ts'

/** Promises that are not ours may need some rounds of the host loop before they move ours. */
const IDLE_ROUNDS_MAX = 8
/** How often to look whether the host has given us something to do, when nobody says so. */
const IDLE_POLL_MS = 1
/** For how long a thread is without a processor, by the fault of that name. */
const PAUSE_NS_MIN = 1_000
const PAUSE_NS_MAX = 20_000_000

/** Why a simulated program can't go on. */
export type StuckReason =
  /** Nothing is runnable, nothing is in the kernel's hands, no timer is armed. */
  | 'idle'
  /** It has had more turns than it may. */
  | 'turns'
  /** Its task queues keep Node's loop from running, or the other way round: percore's fault. */
  | 'starved'

/** What a thread of a simulated process did when it was let run. */
export type SimStep =
  /** It runs a turn, whose microtasks are still to come. */
  | 'turn'
  /** It went a step towards sleep: another may run in between. */
  | 'rest'

/** Somebody to call back between two steps. */
interface Interrupt {
  /** How many are to come before that. */
  stepCount: number
  readonly callback: () => void
}

/** A thread of a simulated process: its event loop. */
export interface SimThread {
  /** Whether it is to be let run: it does not sleep. */
  readonly isAwake: boolean
  /** Whether it keeps the program alive. */
  readonly isReferenced: boolean
  /** When it wakes up by itself, or Infinity. */
  readonly wakeNs: number
  /** Lets it run up to its next turn, or towards sleep. */
  step(): SimStep
  /** Ends the turn that it runs; why the program can't go on if that shows, else null. */
  endTurn(): StuckReason | null
  /** Wakes up if there is something to wake up for. */
  look(): void
  /** Called where no thread can go on; false if nobody wants to know. */
  reportStuck(reason: StuckReason): boolean
}

/**
 * The threads of one simulated process, which take turns on this one: the next is drawn from the seed.
 *
 * A turn per `setImmediate`, so that microtasks drain in between as they do in a real loop. When all threads
 * sleep virtual time passes, up to what wakes one. A thread is interrupted between turns, and
 * between its steps towards sleep, which is where wake-ups get lost.
 */
export class SimThreads {
  readonly #clock: SimClock
  readonly #prng: Prng
  readonly #pauseProbability: number
  readonly #threads: SimThread[] = []
  /** Until when threads are without a processor. */
  readonly #pausedNs = new Map<SimThread, number>()
  #interrupts: Interrupt[] = []
  #freezeCount = 0
  #running: SimThread | null = null
  #immediate: NodeJS.Immediate | null = null
  #timer: NodeJS.Timeout | null = null
  #idleRounds = 0

  constructor(clock: SimClock, prng: Prng, pauseProbability = 0) {
    this.#clock = clock
    this.#prng = prng
    this.#pauseProbability = pauseProbability
  }

  add(thread: SimThread): void {
    this.#threads.push(thread)
    this.schedule()
  }

  remove(thread: SimThread): void {
    const index = this.#threads.indexOf(thread)
    assert(index >= 0, 'a thread ends once')
    this.#threads.splice(index, 1)
    this.#pausedNs.delete(thread)
    if (this.#running === thread) this.#running = null
    if (this.#hasMore) return
    if (this.#immediate !== null) clearImmediate(this.#immediate)
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#immediate = null
    this.#timer = null
  }

  /**
   * Stands still, virtual time with it, until what it returns is called: meanwhile something real goes on, such as the
   * loading of a module, which takes a time that no seed decides.
   */
  freeze(): () => void {
    this.#freezeCount++
    return () => {
      assert(this.#freezeCount > 0, 'what is frozen thaws once')
      if (--this.#freezeCount === 0) this.schedule()
    }
  }

  /** Calls back, between two steps, once threads have gone so many of them, or none can go on. */
  interrupt(stepCount: number, callback: () => void): void {
    assert(stepCount >= 0, 'nothing is interrupted in the past')
    this.#interrupts.push({ stepCount, callback })
    this.schedule()
  }

  /** Sees to it that somebody runs soon. */
  schedule(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#immediate ??= setImmediate(this.#pump)
  }

  /** The same, where nobody would run for a while. */
  interruptIdleness(): void {
    if (this.#timer !== null) this.schedule()
  }

  readonly #pump = (): void => {
    this.#immediate = null
    this.#timer = null
    if (this.#freezeCount > 0) return
    const last = this.#running
    this.#running = null
    const stuck = last?.endTurn() ?? null
    let isIdle = false
    try {
      isIdle = !this.#run()
    } finally {
      if (this.#hasMore) this.#continue(isIdle, stuck, last)
    }
  }

  get #hasMore(): boolean {
    return this.#threads.length > 0 || this.#interrupts.length > 0
  }

  /** Lets threads run up to one's turn; false if none can ever go on. */
  #run(): boolean {
    for (;;) {
      this.#countStep()
      if (this.#threads.length === 0) return true
      for (const thread of this.#threads) thread.look()
      const thread = this.#pick()
      if (thread === null) {
        if (!this.#pass() && !this.#interruptIdle()) return false
        continue
      }
      if (this.#isPaused(thread)) continue
      this.#running = thread
      if (thread.step() === 'turn') return true
      this.#running = null
    }
  }

  #pick(): SimThread | null {
    const awake = this.#threads.filter((thread) => thread.isAwake && this.#isRunning(thread))
    if (awake.length === 0) return null
    // A thread of its own uses no random number.
    return awake.length === 1 ? awake[0]! : awake[this.#prng.int(0, awake.length - 1)]!
  }

  /** Whether it has a processor: it is not paused, or no longer. */
  #isRunning(thread: SimThread): boolean {
    const untilNs = this.#pausedNs.get(thread)
    if (untilNs === undefined) return true
    if (untilNs > this.#clock.nowNs) return false
    this.#pausedNs.delete(thread)
    return true
  }

  /** Whether it loses its processor instead of going on. */
  #isPaused(thread: SimThread): boolean {
    if (this.#pauseProbability === 0 || !this.#prng.chance(this.#pauseProbability)) return false
    const pauseNs = this.#prng.int(PAUSE_NS_MIN, PAUSE_NS_MAX)
    this.#pausedNs.set(thread, this.#clock.nowNs + pauseNs)
    return true
  }

  #countStep(): void {
    if (this.#interrupts.length === 0) return
    const isDue = ({ stepCount }: Interrupt): boolean => stepCount === 0
    const due = this.#interrupts.filter(isDue)
    this.#interrupts = this.#interrupts.filter((interrupt) => !isDue(interrupt))
    for (const interrupt of this.#interrupts) interrupt.stepCount--
    for (const { callback } of due) callback()
  }

  /** Calls back those who would wait for steps for ever; false if there are none. */
  #interruptIdle(): boolean {
    for (const interrupt of this.#interrupts) interrupt.stepCount = 0
    return this.#interrupts.length > 0
  }

  /** Lets time pass until something happens; false if nothing ever will. */
  #pass(): boolean {
    const untilNs = this.#threads.map((thread) => this.#pausedNs.get(thread) ?? thread.wakeNs)
    const nextNs = Math.min(this.#clock.nextNs, ...untilNs)
    if (nextNs === Number.POSITIVE_INFINITY) return false
    this.#clock.advanceTo(nextNs)
    return true
  }

  #continue(isIdle: boolean, stuck: StuckReason | null, last: SimThread | null): void {
    this.#idleRounds = isIdle ? this.#idleRounds + 1 : 0
    if (stuck !== null && last!.reportStuck(stuck)) return
    if (this.#idleRounds < IDLE_ROUNDS_MAX) {
      this.schedule()
    } else if (!this.#threads[0]!.reportStuck('idle')) {
      this.#timer = setTimeout(this.#pump, IDLE_POLL_MS)
      if (!this.#threads.some(({ isReferenced }) => isReferenced)) this.#timer.unref()
    }
  }
}
