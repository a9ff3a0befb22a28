import { assert } from '../base/index.ts'
import {
  DOUBLE_DEADLINE_NS,
  DOUBLE_ENTERS,
  DOUBLE_NOW_NS,
  DOUBLE_PARKED_NS,
  DOUBLE_PARKS,
  DOUBLE_TURN_END_NS,
  DOUBLE_TURNS,
  EAGAIN,
  EBUSY,
  EINTR,
  ETIME,
  IORING_ENTER_GETEVENTS,
  IORING_SQ_CQ_OVERFLOW,
  IORING_SQ_TASKRUN,
  type Kernel,
  LEAVE_CONTESTED,
  type LoopControl,
  type LoopHost,
  type RingEntry,
  type RingMemory,
  type RingSetup,
  SLEEP_NO,
  SLEEP_PARKED,
  type SubmitRing,
  WORD_ARMED,
  WORD_BACKGROUND,
  WORD_DOORBELL,
  WORD_ENTER_ERROR,
  WORD_FOREIGN,
  WORD_HOST_READY,
  WORD_LEAVE,
  WORD_LIVE,
  WORD_MORE,
  WORD_REFERENCED,
  WORD_RUNNABLE,
  WORD_SLEEPING,
  WORD_TURN_SEQUENCE,
} from '../kernel/index.ts'
import type { SimCore } from './core.ts'
import { clearImmediate, clearTimeout, setImmediate, setTimeout } from './host-timers.ts'
import { quiesce } from './quiesce.ts'
import { SimHost, type SimHostOptions } from './sim-host.ts'

const EDEADLK = 35
/** Promises that are not ours may need some rounds of the host loop before they move ours. */
const IDLE_ROUNDS_MAX = 8
/** How often to look whether the host has given us something to do, when nobody says so. */
const IDLE_POLL_MS = 1
const TURN_NS_MIN = 1_000
const TURN_NS_MAX = 30_000

/** Why a simulated program can't go on. */
export type StuckReason =
  /** Nothing is runnable, nothing is in the kernel's hands, no timer is armed. */
  | 'idle'
  /** It has had more turns than it may. */
  | 'turns'
  /** Its task queues keep Node's loop from running, or the other way round: percore's fault. */
  | 'starved'

/** What a simulated event loop reports. */
export interface SimLoopEvents {
  /** Called once, when the program can't go on; without it the loop waits for the host. */
  readonly onStuck?: (reason: StuckReason) => void
  /** How many turns a program may have; no limit if not given. */
  readonly turnCountMax?: number
  /** The event loop around it. */
  readonly host?: SimHostOptions
}

interface LoopRing {
  readonly memory: RingMemory
  readonly entry: RingEntry
}

/**
 * The rounds of native/loop.c in virtual time.
 *
 * A round per `setImmediate`, so that microtasks drain in between as they do in the real one. The
 * thread parks by letting virtual time pass, up to the first completion or deadline.
 */
export class SimLoop implements LoopHost {
  readonly hostFd = -1
  readonly #kernel: Kernel
  readonly #core: SimCore
  readonly #control: LoopControl
  readonly #turn: () => void
  readonly #events: SimLoopEvents
  readonly #host: SimHost
  readonly #rings: LoopRing[] = []
  readonly #trackedFds = new Set<number>()
  #immediate: NodeJS.Immediate | null = null
  #timer: NodeJS.Timeout | null = null
  #idleRounds = 0
  /** Whether a task queue was runnable as the last turn began. */
  #wasRunnable = false
  #isClosed = false

  constructor(
    kernel: Kernel,
    core: SimCore,
    control: LoopControl,
    turn: () => void,
    events: SimLoopEvents,
  ) {
    this.#kernel = kernel
    this.#core = core
    this.#control = control
    this.#turn = turn
    this.#events = events
    this.#host = new SimHost(core, control, events.host)
    this.#schedule()
  }

  setupRing(setup: RingSetup): RingMemory | number {
    return this.#kernel.setupRing(setup)
  }

  addRing(memory: RingMemory, entry: RingEntry): SubmitRing {
    const ring = { memory, entry }
    this.#rings.push(ring)
    return () => {
      const result = this.#enterRing(ring, 0, -1)
      return result < 0 ? result : undefined
    }
  }

  // Nothing outlives a simulated kernel.
  keepMemory(): void {}

  reference(): void {
    if (this.#isClosed) return
    this.#syncReference()
    if (this.#timer !== null) this.#schedule()
  }

  isHostDue(): boolean {
    return this.#host.draw()
  }

  trackFd(fd: number, tracked: boolean): void {
    if (tracked) this.#trackedFds.add(fd)
    else this.#trackedFds.delete(fd)
  }

  openSocket(domain: number, type: number, protocol: number): number {
    const fd = this.#kernel.openSocket(domain, type, protocol)
    if (fd >= 0) this.#trackedFds.add(fd)
    return fd
  }

  closeFd(fd: number): number {
    if (this.#isClosed) return 0
    this.#trackedFds.delete(fd)
    return this.#kernel.closeFd(fd)
  }

  detach(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#core.isInTurn = false
    if (this.#immediate !== null) clearImmediate(this.#immediate)
    if (this.#timer !== null) clearTimeout(this.#timer)
    for (const ring of this.#rings) quiesce(this.#kernel, ring, this.#trackedFds)
    for (const fd of this.#trackedFds) {
      assert(this.#kernel.closeFd(fd) === 0, 'a descriptor that is tracked is open')
    }
    for (const { memory } of this.#rings) this.#kernel.closeRing(memory)
  }

  #schedule(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#immediate ??= setImmediate(this.#pump)
  }

  readonly #pump = (): void => {
    this.#immediate = null
    this.#timer = null
    if (this.#isClosed) return
    const isStarvation = this.#core.isInTurn && this.#endTurn()
    let isIdle = false
    try {
      isIdle = !this.#round()
    } finally {
      if (!this.#isClosed) this.#continue(isIdle, isStarvation)
    }
  }

  #continue(isIdle: boolean, isStarvation: boolean): void {
    const { onStuck, turnCountMax = Number.POSITIVE_INFINITY } = this.#events
    const isOverdue = this.#control.doubles[DOUBLE_TURNS]! > turnCountMax
    this.#idleRounds = isIdle ? this.#idleRounds + 1 : 0
    if (isStarvation && onStuck !== undefined) {
      onStuck('starved')
    } else if (this.#idleRounds < IDLE_ROUNDS_MAX && !isOverdue) {
      this.#schedule()
    } else if (onStuck !== undefined) {
      onStuck(isOverdue ? 'turns' : 'idle')
    } else {
      this.#timer = setTimeout(this.#pump, IDLE_POLL_MS)
      if (this.#control.words[WORD_REFERENCED] === 0) this.#timer.unref()
    }
  }

  /** One round; false if nothing can happen any more. */
  #round(): boolean {
    const { words, doubles } = this.#control
    this.#syncReference()
    this.#enterAll()
    // Nobody else wants the thread: the hook leaves without asking.
    if (!this.#hasWork() && this.#host.isReady) this.#host.visit(false)
    while (!this.#hasWork() && words[WORD_ARMED] === 1) {
      if (!this.#park()) return false
    }
    if (this.#host.draw()) words[WORD_HOST_READY] = 1
    this.#wasRunnable = words[WORD_RUNNABLE]! > 0
    doubles[DOUBLE_NOW_NS] = this.#core.clock.nowNs
    doubles[DOUBLE_TURNS]! += 1
    words[WORD_TURN_SEQUENCE]!++
    this.#core.isInTurn = true
    this.#turn()
    // Microtasks run as this returns: the turn ends with the next round.
    return true
  }

  /** Lets the time of a turn pass, and that of the host if it comes next; true if one starves the other. */
  #endTurn(): boolean {
    const { clock, prng } = this.#core
    const { words } = this.#control
    this.#core.isInTurn = false
    clock.advanceTo(clock.nowNs + prng.int(TURN_NS_MIN, TURN_NS_MAX))
    this.#control.doubles[DOUBLE_TURN_END_NS] = clock.nowNs
    words[WORD_TURN_SEQUENCE]!++
    const leave = words[WORD_LEAVE]!
    words[WORD_LEAVE] = 0
    if (leave !== 0) this.#host.visit(leave === LEAVE_CONTESTED)
    return this.#host.isStarvation(leave !== 0, leave === 0, this.#wasRunnable)
  }

  #hasWork(): boolean {
    if (this.#control.words[WORD_RUNNABLE]! > 0) return true
    if (this.#core.clock.nowNs >= this.#control.doubles[DOUBLE_DEADLINE_NS]!) return true
    if (this.#doorbellRang()) return true
    return this.#rings.some(hasCompletions)
  }

  /** Whether another thread has left something for this one. */
  #doorbellRang(): boolean {
    return Atomics.load(this.#control.words, WORD_DOORBELL) !== 0
  }

  #enterAll(): void {
    for (const ring of this.#rings) {
      const { words, layout } = ring.memory
      const wantsEnter = words[layout.sqFlags]! & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)
      if (unsubmittedCount(ring) > 0 || wantsEnter !== 0) this.#enter(ring, 0, -1)
    }
  }

  /** Lets time pass until something is to be done; false if that is never. */
  #park(): boolean {
    const { words, doubles } = this.#control
    const [main, ...others] = this.#rings
    assert(main !== undefined, 'a loop that runs has a ring to park in')
    for (const ring of others) if (unsubmittedCount(ring) > 0) this.#enter(ring, 0, -1)
    if (this.#rings.some(hasCompletions)) return true
    const { clock } = this.#core
    const startNs = clock.nowNs
    const limitNs = doubles[DOUBLE_DEADLINE_NS]! - startNs
    Atomics.store(words, WORD_SLEEPING, SLEEP_PARKED)
    // As in C: published first, looked once more then.
    if (this.#doorbellRang()) {
      Atomics.store(words, WORD_SLEEPING, SLEEP_NO)
      return true
    }
    doubles[DOUBLE_PARKS]! += 1
    const result = this.#enter(main, 1, limitNs < 1e18 ? Math.max(0, limitNs) : -1)
    Atomics.store(words, WORD_SLEEPING, SLEEP_NO)
    doubles[DOUBLE_PARKED_NS]! += clock.nowNs - startNs
    return result !== -EDEADLK
  }

  #enterRing(ring: LoopRing, waitCount: number, timeoutNs: number): number {
    const { enterFd, enterFlags, waitFlags } = ring.entry
    const flags = IORING_ENTER_GETEVENTS | enterFlags | (waitCount > 0 ? waitFlags : 0)
    this.#control.doubles[DOUBLE_ENTERS]! += 1
    return this.#kernel.enter(enterFd, unsubmittedCount(ring), waitCount, flags, timeoutNs)
  }

  #enter(ring: LoopRing, waitCount: number, timeoutNs: number): number {
    const result = this.#enterRing(ring, waitCount, timeoutNs)
    const isExpected = [-ETIME, -EINTR, -EBUSY, -EAGAIN, -EDEADLK].includes(result)
    if (result < 0 && !isExpected) this.#control.words[WORD_ENTER_ERROR] = -result
    return result
  }

  #syncReference(): void {
    const { words } = this.#control
    let isWanted = words[WORD_LIVE]! > 0 || words[WORD_RUNNABLE]! > 0
    for (const [index, ring] of this.#rings.entries()) {
      isWanted ||= this.#inFlightCount(ring, index) > words[WORD_BACKGROUND + index]!
    }
    words[WORD_REFERENCED] = isWanted ? 1 : 0
  }

  #inFlightCount({ memory: { words, layout } }: LoopRing, index: number): number {
    const posted = (words[layout.sqTail]! - words[layout.cqHead]!) | 0
    const { words: control } = this.#control
    return posted + control[WORD_MORE + index]! + control[WORD_FOREIGN + index]!
  }
}

function unsubmittedCount({ memory: { words, layout } }: LoopRing): number {
  return (words[layout.sqTail]! - words[layout.sqHead]!) | 0
}

function hasCompletions({ memory: { words, layout } }: LoopRing): boolean {
  return words[layout.cqHead] !== words[layout.cqTail]
}
