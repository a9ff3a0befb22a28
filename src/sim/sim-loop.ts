import { assert } from '../base/index.ts'
import {
  type DirectorySlot,
  DOUBLE_AWAKE_NS,
  DOUBLE_DEADLINE_NS,
  DOUBLE_ENTERS,
  DOUBLE_NOW_NS,
  DOUBLE_PARKED_NS,
  DOUBLE_PARKS,
  DOUBLE_SPUN_NS,
  DOUBLE_START_NS,
  DOUBLE_TURN_END_NS,
  DOUBLE_TURNS,
  EAGAIN,
  EBUSY,
  EINTR,
  type ExecutorId,
  F_DUPFD_CLOEXEC,
  IORING_ENTER_GETEVENTS,
  IORING_SQ_CQ_OVERFLOW,
  IORING_SQ_TASKRUN,
  type Kernel,
  type KernelMemory,
  LEAVE_CONTESTED,
  type LoopHost,
  OwnSlot,
  RIGHTS_HEAD_WORDS,
  type RingEntry,
  type RingMemory,
  type RingRole,
  type RingSetup,
  SLEEP_NO,
  SLEEP_PARKED,
  SLOT_FOREIGN,
  type SubmitRing,
  WORD_ARMED,
  WORD_BACKGROUND,
  WORD_DOORBELL,
  WORD_ENTER_ERROR,
  WORD_FOREIGN,
  WORD_HOLDER,
  WORD_HOST_READY,
  WORD_LEAVE,
  WORD_LIVE,
  WORD_MORE,
  WORD_REFERENCED,
  WORD_RING_TOKEN,
  WORD_RUNNABLE,
  WORD_SLEEPING,
  WORD_TURN_SEQUENCE,
} from '../kernel/index.ts'
import type { SimCore } from './core.ts'
import { quiesce } from './quiesce.ts'
import { receiveRights } from './receive-rights.ts'
import { SimHost, type SimHostOptions } from './sim-host.ts'
import { SimRing } from './sim-ring.ts'
import type { SimStep, SimThread, StuckReason } from './threads.ts'

const TURN_NS_MIN = 1_000
const POLL_NS_MIN = 500
const POLL_NS_MAX = 2_000
const TURN_NS_MAX = 30_000

/** What a simulated event loop reports. */
export interface SimLoopEvents {
  /** Called once, when the program can't go on; without it the loop waits for the host. */
  readonly onStuck?: (reason: StuckReason) => void
  /** How many turns a program may have; no limit if not given. */
  readonly turnCountMax?: number
  /** The event loop around it. */
  readonly host?: SimHostOptions
  /** Called, and maybe again, where it sleeps and nothing keeps it alive: a real thread would end. */
  readonly onUnreferenced?: () => void
}

/** How far a thread is on its way to sleep: other threads run between any two of these. */
type ParkingStep = 'no' | 'decided' | 'published'

interface LoopRing {
  readonly memory: RingMemory
  readonly entry: RingEntry
  readonly role: RingRole
}

/**
 * The rounds of native/loop.c in virtual time, for one thread of a simulated process.
 *
 * {@link SimThreads} says when it runs. It parks by no longer being awake, until a completion is posted on its
 * first ring or its deadline has come.
 */
export class SimLoop implements LoopHost, SimThread {
  readonly id: ExecutorId
  readonly control: OwnSlot
  readonly hostFd = -1
  readonly #kernel: Kernel
  readonly #core: SimCore
  readonly #turn: () => void
  readonly #events: SimLoopEvents
  readonly #host: SimHost
  readonly #rings: LoopRing[] = []
  readonly #trackedFds = new Set<number>()
  #parking: ParkingStep = 'no'
  /** Since when it is parked, or -1. */
  #parkedNs = -1
  #isInTurn = false
  /** Whether a task queue was runnable as the last turn began. */
  #wasRunnable = false
  #isClosed = false

  constructor(
    kernel: Kernel,
    core: SimCore,
    slot: DirectorySlot,
    turn: () => void,
    events: SimLoopEvents,
  ) {
    this.#kernel = kernel
    this.#core = core
    this.control = new OwnSlot(slot)
    this.id = slot.words[WORD_HOLDER]!
    this.control.doubles[DOUBLE_START_NS] = core.clock.nowNs
    this.#turn = turn
    this.#events = events
    this.#host = new SimHost(core, this.control, events.host)
    core.threads.add(this)
    core.directory.setWaker(this.id, () => this.#beWoken())
  }

  get isAwake(): boolean {
    return this.#parkedNs < 0
  }

  get isReferenced(): boolean {
    return this.control.words[WORD_REFERENCED] !== 0
  }

  get wakeNs(): number {
    return this.control.doubles[DOUBLE_DEADLINE_NS]!
  }

  setupRing(setup: RingSetup): RingMemory | number {
    return this.#kernel.setupRing(setup)
  }

  addRing(memory: RingMemory, entry: RingEntry, role: RingRole): SubmitRing {
    assert((role === 'park') === (this.#rings.length === 0), 'the ring to park in is the first')
    const ring = { memory, entry, role }
    this.#rings.push(ring)
    return () => {
      const result = this.#enterRing(ring)
      return result < 0 ? result : undefined
    }
  }

  // Nothing outlives a simulated kernel.
  keepMemory(): void {}

  reference(): void {
    if (this.#isClosed) return
    this.#syncReference()
    this.#core.threads.interruptIdleness()
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

  openSocketPair(domain: number, type: number, fds: Int32Array): number {
    const result = this.#kernel.openSocketPair(domain, type, fds)
    if (result === 0) for (const fd of fds) this.#trackedFds.add(fd)
    return result
  }

  duplicateFd(fd: number): number {
    const copy = this.#kernel.controlFd(fd, F_DUPFD_CLOEXEC, 0)
    if (copy >= 0) this.#trackedFds.add(copy)
    return copy
  }

  receiveRights(fd: number, data: Uint8Array, rights: Int32Array): number {
    assert(rights.length > RIGHTS_HEAD_WORDS, 'there is room for a descriptor')
    const result = receiveRights(this.#core, fd, data, rights)
    const end = RIGHTS_HEAD_WORDS + (result < 0 ? 0 : rights[0]!)
    for (const received of rights.subarray(RIGHTS_HEAD_WORDS, end)) this.#trackedFds.add(received)
    return result
  }

  closeFd(fd: number): number {
    if (this.#isClosed) return 0
    this.#trackedFds.delete(fd)
    return this.#kernel.closeFd(fd)
  }

  passFd(fd: number, outlives: boolean): number {
    assert(this.#trackedFds.has(fd), 'what is passed on is tracked')
    return this.#core.transit.pass(fd, this, outlives)
  }

  takeFd(name: number): number {
    return this.#core.transit.take(name, this)
  }

  shareFd(fd: number): number {
    assert(this.#trackedFds.has(fd), 'what is shared is tracked')
    return this.#core.transit.share(fd, this)
  }

  joinFd(name: number): number {
    return this.#core.transit.join(name, this)
  }

  leaveFd(name: number, fd: number): boolean {
    return this.#core.transit.leave(name, fd, this)
  }

  lendMemory(memory: KernelMemory, offset: number, lengthBytes: number, inbox: number): number {
    return this.#core.loans.lend(this, { memory, offset, lengthBytes, inbox })
  }

  takeReturned(): number {
    return this.#core.loans.takeReturned(this)
  }

  detach(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    const { directory } = this.#core
    directory.setWaker(this.id, null)
    directory.end(this.id)
    if (this.#isInTurn) this.#core.isInTurn = false
    this.#core.threads.remove(this)
    for (const ring of this.#rings) quiesce(this.#kernel, ring, this.#trackedFds)
    this.#core.transit.end(this)
    this.#core.loans.end(this)
    for (const fd of this.#trackedFds) {
      assert(this.#kernel.closeFd(fd) === 0, 'a descriptor that is tracked is open')
    }
    directory.tell(this.id)
    this.#core.threads.interruptIdleness()
    for (const { memory } of this.#rings) this.#kernel.closeRing(memory)
    this.control.leave()
    directory.free(this.id)
  }

  step(): SimStep {
    assert(!this.#isInTurn, 'a turn ends before the next')
    assert(!this.#isClosed, 'a loop that was left has no turns')
    const { words, doubles } = this.control
    if (this.#parking !== 'no') {
      if (this.#parking === 'published') this.#park()
      else this.#publish()
      return 'rest'
    }
    this.#syncReference()
    this.#enterAll()
    // Nobody else wants the thread: the hook leaves without asking.
    if (!this.#hasWork() && this.#host.isReady) this.#host.visit(false)
    if (!this.#hasWork() && words[WORD_ARMED] === 1) {
      if (this.#rings.some(mustPoll)) this.#passPolling()
      else this.#parking = 'decided'
      return 'rest'
    }
    if (this.#host.draw()) words[WORD_HOST_READY] = 1
    this.#wasRunnable = words[WORD_RUNNABLE]! > 0
    doubles[DOUBLE_NOW_NS] = this.#core.clock.nowNs
    doubles[DOUBLE_TURNS]! += 1
    words[WORD_TURN_SEQUENCE]!++
    this.#isInTurn = true
    this.#core.isInTurn = true
    this.#turn()
    // Microtasks run as this returns: the turn ends before the next of any thread.
    return 'turn'
  }

  /** Lets the time of a turn pass, and that of the host if it comes next. */
  endTurn(): StuckReason | null {
    const { clock, prng } = this.#core
    const { words, doubles } = this.control
    this.#isInTurn = false
    this.#core.isInTurn = false
    clock.advanceTo(clock.nowNs + prng.int(TURN_NS_MIN, TURN_NS_MAX))
    doubles[DOUBLE_TURN_END_NS] = clock.nowNs
    words[WORD_TURN_SEQUENCE]!++
    const leave = words[WORD_LEAVE]!
    words[WORD_LEAVE] = 0
    if (leave !== 0) this.#host.visit(leave === LEAVE_CONTESTED)
    const isStarvation = this.#host.isStarvation(leave !== 0, leave === 0, this.#wasRunnable)
    if (isStarvation) return 'starved'
    const { turnCountMax = Number.POSITIVE_INFINITY } = this.#events
    return doubles[DOUBLE_TURNS]! > turnCountMax ? 'turns' : null
  }

  reportStuck(reason: StuckReason): boolean {
    this.#events.onStuck?.(reason)
    return this.#events.onStuck !== undefined
  }

  look(): void {
    if (this.#parkedNs < 0) return
    const main = this.#core.descriptors.get(this.#main.memory.fd)
    assert(main instanceof SimRing, 'a loop that runs has a ring to park in')
    main.collect()
    // Unlike a real thread's, its program may go on while it is parked, called by the host of this one.
    const isCalled = this.#isRunnable() || this.#rings.some((ring) => unsubmittedCount(ring) > 0)
    if (main.readyCount > 0 || isCalled) {
      this.#wake()
      return
    }
    this.#syncReference()
    if (!this.isReferenced) this.#events.onUnreferenced?.()
  }

  /** Another thread wakes this one by its event loop. */
  #beWoken(): void {
    const main = this.#core.descriptors.get(this.#main.memory.fd)
    assert(main instanceof SimRing, 'a loop that runs has a ring to park in')
    main.post(SLOT_FOREIGN, this.control.words[WORD_RING_TOKEN]!, 0, 0)
    this.#core.threads.interruptIdleness()
  }

  #hasWork(): boolean {
    return this.#isRunnable() || this.#doorbellRang() || this.#rings.some(hasCompletions)
  }

  /** Whether the executor wants a turn, by itself. */
  #isRunnable(): boolean {
    if (this.control.words[WORD_RUNNABLE]! > 0) return true
    return this.#core.clock.nowNs >= this.control.doubles[DOUBLE_DEADLINE_NS]!
  }

  /** Whether another thread has left something for this one. */
  #doorbellRang(): boolean {
    return Atomics.load(this.control.words, WORD_DOORBELL) !== 0
  }

  #enterAll(): void {
    for (const ring of this.#rings) {
      const { words, layout } = ring.memory
      const wantsEnter = words[layout.sqFlags]! & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)
      if (unsubmittedCount(ring) > 0 || wantsEnter !== 0 || mustPoll(ring)) this.#enter(ring)
    }
  }

  /** Polls until something happens, at least for a moment. */
  #passPolling(): void {
    const { clock, prng } = this.#core
    const { doubles } = this.control
    const startNs = clock.nowNs
    const dueNs = Math.min(clock.nextNs, doubles[DOUBLE_DEADLINE_NS]!)
    const pollNs = startNs + prng.int(POLL_NS_MIN, POLL_NS_MAX)
    clock.advanceTo(Number.isFinite(dueNs) ? Math.max(pollNs, dueNs) : pollNs)
    doubles[DOUBLE_SPUN_NS]! += clock.nowNs - startNs
    doubles[DOUBLE_AWAKE_NS] = clock.nowNs
  }

  get #main(): LoopRing {
    const main = this.#rings[0]
    assert(main !== undefined, 'a loop that runs has a ring to park in')
    return main
  }

  #publish(): void {
    Atomics.store(this.control.words, WORD_SLEEPING, SLEEP_PARKED)
    this.#parking = 'published'
  }

  /** Parks, unless another thread has rung since this one had last looked. */
  #park(): void {
    const { words, doubles } = this.control
    this.#parking = 'no'
    if (this.#doorbellRang()) {
      Atomics.store(words, WORD_SLEEPING, SLEEP_NO)
      return
    }
    doubles[DOUBLE_PARKS]! += 1
    this.#parkedNs = this.#core.clock.nowNs
    doubles[DOUBLE_PARKED_NS]! -= this.#parkedNs
    this.#enter(this.#main)
    this.look()
  }

  #wake(): void {
    const { words, doubles } = this.control
    Atomics.store(words, WORD_SLEEPING, SLEEP_NO)
    doubles[DOUBLE_AWAKE_NS] = this.#core.clock.nowNs
    doubles[DOUBLE_PARKED_NS]! += this.#core.clock.nowNs
    this.#parkedNs = -1
  }

  #enterRing(ring: LoopRing): number {
    const { enterFd, enterFlags } = ring.entry
    this.control.doubles[DOUBLE_ENTERS]! += 1
    const flags = IORING_ENTER_GETEVENTS | enterFlags
    return this.#kernel.enter(enterFd, unsubmittedCount(ring), 0, flags, -1)
  }

  #enter(ring: LoopRing): void {
    const result = this.#enterRing(ring)
    const isExpected = [-EINTR, -EBUSY, -EAGAIN].includes(result)
    if (result < 0 && !isExpected) this.control.words[WORD_ENTER_ERROR] = -result
  }

  #syncReference(): void {
    const { words } = this.control
    let isWanted = words[WORD_LIVE]! > 0 || words[WORD_RUNNABLE]! > 0
    for (const [index, ring] of this.#rings.entries()) {
      isWanted ||= this.#inFlightCount(ring, index) > words[WORD_BACKGROUND + index]!
    }
    words[WORD_REFERENCED] = isWanted ? 1 : 0
  }

  #inFlightCount({ memory: { words, layout } }: LoopRing, index: number): number {
    const posted = (words[layout.sqTail]! - words[layout.cqHead]!) | 0
    const { words: control } = this.control
    return posted + control[WORD_MORE + index]! + control[WORD_FOREIGN + index]!
  }
}

function unsubmittedCount({ memory: { words, layout } }: LoopRing): number {
  return (words[layout.sqTail]! - words[layout.sqHead]!) | 0
}

/** As native/queues.h has it: a device has requests that nothing else tells of. */
function mustPoll({ role, memory: { words, layout } }: LoopRing): boolean {
  return role === 'busyPoll' && words[layout.sqTail] !== words[layout.cqTail]
}

function hasCompletions({ memory: { words, layout } }: LoopRing): boolean {
  return words[layout.cqHead] !== words[layout.cqTail]
}
