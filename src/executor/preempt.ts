import { assert, KernelError, NO_QUEUE, RuntimeError } from '../base/index.ts'
import type { Kernel, LoopHost } from '../kernel/index.ts'
import type { IoMemory } from '../memory/index.ts'
import type { Timers } from '../reactor/index.ts'
import { encodeTimeout, Operation, type Ring, writeTimespec } from '../ring/index.ts'

/** How often a busy task's {@link needPreempt} looks at the clock, at the least. */
const TICK_NS_MAX = 1_000_000
const TICK_NS_MIN = 100_000
/** How soon to ask again for a ring that was refused. */
const RETRY_NS = 100_000_000

/** The part of a reactor that preemption looks at. */
export interface PreemptionSources {
  readonly kernel: Kernel
  readonly memory: IoMemory
  readonly timers: Timers
  readonly host: LoopHost
  /** Whether events of the host loop show in the latency ring, or are known of already. */
  readonly isHostWatched: boolean
  /** Made when first asked for. */
  readonly latency: Ring
  /** Lets events of the host loop show there, with its next submission. */
  watchHost(): void
  /** Whether one has shown since the last call. */
  takeHostEvent(): boolean
}

/** The queues, and Node's loop, that may be waiting for the running turn to end. */
export interface PreemptionRivals {
  /** The smallest latency class among the queues, or Infinity. */
  readonly latencyNsMin: number
  /** The latency class of Node's loop while that waits for its turn, else Infinity. */
  readonly hostLatencyNs: number
  /** Node's loop has something to do. */
  hostIsReady(): void
  /** Whether a queue other than the running one is runnable and has a claim to go first. */
  hasUrgentQueue(): boolean
}

/**
 * Decides whether the running turn should end: its slice is over, or somebody may not wait for it.
 *
 * The word it watches is the completion tail of the latency ring, which moves by itself while
 * JavaScript is busy: operations of latency-sensitive queues complete there, a poll of the host loop's
 * descriptor, and a tick that makes us look at the clock, at timers and at what else the host loop
 * has to do. Both are armed only while somebody asks. Without a completion an answer costs one atomic load: no system call, no clock.
 */
export class Preemption {
  /** @internal The words watched; a placeholder until the first question. */
  words: Int32Array = new Int32Array(1)
  /** @internal */
  index = 0
  /** @internal The tail as last seen; different at first, so that the first question sets all up. */
  seen = -1
  /** @internal Whether this turn should end, once it is known. */
  isDue = false

  readonly #sources: PreemptionSources
  readonly #rivals: PreemptionRivals
  readonly #sliceNs: number
  #tick: Tick | null = null
  #turnStartNs = 0
  #retryNs = 0

  constructor(sources: PreemptionSources, rivals: PreemptionRivals, sliceNs: number) {
    this.#sources = sources
    this.#rivals = rivals
    assert(sliceNs > 0, 'a slice lasts')
    this.#sliceNs = sliceNs
  }

  /** Leases that it keeps as long as the executor lives. */
  get leasedCount(): number {
    return this.#tick === null ? 0 : 1
  }

  beginTurn(nowNs: number): void {
    this.isDue = false
    this.#turnStartNs = nowNs
    if (this.#tick === null) return
    // What came before the turn is known.
    this.#sources.takeHostEvent()
    // Not the tail: what came since the reap is still to be seen. Without a tick or a watch under way
    // the first question of the turn must arm it, so it is made to differ.
    const ring = this.#sources.latency
    const head = ring.completionHead
    const isComing = ring.holds(this.#tick) && this.#sources.isHostWatched
    this.seen = isComing ? head : (head - 1) | 0
  }

  /** The slow path of {@link needPreempt}: something completed since the last look. */
  check(): boolean {
    const { kernel, timers, host } = this.#sources
    const nowNs = kernel.nowNs()
    const tick = this.#tick ?? this.#createTick(nowNs)
    if (tick !== null) this.#sources.latency.reap()
    timers.expire(nowNs)
    if (this.#sources.takeHostEvent() || host.isHostDue()) this.#rivals.hostIsReady()
    if (tick !== null) this.#arm(tick)
    const { latencyNsMin, hostLatencyNs } = this.#rivals
    const sliceNs = Math.min(this.#sliceNs, latencyNsMin, hostLatencyNs)
    this.isDue = this.isDue || nowNs - this.#turnStartNs >= sliceNs || this.#rivals.hasUrgentQueue()
    if (tick !== null) {
      const { latency } = this.#sources
      const { completionHead, unsubmittedCount } = latency
      // A tick that the kernel refused for now does not come: the next question must ask again.
      const isComing = latency.holds(tick) && unsubmittedCount === 0
      this.seen = isComing ? completionHead : (completionHead - 1) | 0
    }
    return this.isDue
  }

  /** Null while the system has no ring or memory for it: then each question looks at the clock. */
  #createTick(nowNs: number): Tick | null {
    if (nowNs < this.#retryNs) return null
    try {
      const { words, index } = this.#sources.latency.completionTail
      this.#tick = new Tick(this.#sources.memory)
      this.words = words
      this.index = index
    } catch (error) {
      if (!(error instanceof RuntimeError || error instanceof KernelError)) throw error
      this.#retryNs = nowNs + RETRY_NS
    }
    return this.#tick
  }

  #arm(tick: Tick): void {
    const { latency } = this.#sources
    tick.arm(latency, this.#tickNs())
    this.#sources.watchHost()
    if (latency.unsubmittedCount > 0) latency.submit()
  }

  #tickNs(): number {
    const { latencyNsMin } = this.#rivals
    return Math.max(TICK_NS_MIN, Math.min(TICK_NS_MAX, latencyNsMin / 2, this.#sliceNs / 4))
  }
}

/** What {@link needPreempt} asks: the preemption of this thread's executor, if it has one. */
let watched: Preemption | null = null
/** Finds what to ask where that depends on the caller; {@link watched} is null then. */
let find: (() => Preemption | null) | null = null

/** Lets {@link needPreempt} ask `preemption` from now on, or what `finder`, once given, finds. */
export function watchPreemption(
  preemption: Preemption | null,
  finder: (() => Preemption | null) | null = find,
): void {
  watched = preemption
  find = finder
}

/**
 * Whether the running task should `await yieldNow()`: its slice is over, or work that may not wait
 * has become ready (a latency-sensitive queue's I/O or timer, Node's own timers).
 *
 * Any thread; false where no executor runs. One atomic load, about 5 ns: no system call, no clock.
 *
 * Source: glommio's `need_preempt`, which does not cover timers and sockets; this does.
 *
 * @example Count without holding up others
 * ```ts run
 * import { needPreempt, yieldNow } from 'percore'
 *
 * let sum = 0
 * for (let i = 0; i < 1e6; i++) {
 *   sum += i
 *   if (needPreempt()) await yieldNow()
 * }
 * ```
 */
export function needPreempt(): boolean {
  const watch = watched ?? (find === null ? null : find())
  if (watch === null) return false
  if (watch.isDue) return true
  // ORDER: the kernel moves the tail under our feet; a plain load could be hoisted out of a loop.
  return Atomics.load(watch.words, watch.index) !== watch.seen && watch.check()
}

/** One timeout in the latency ring. It lets the program end, and does not count as work. */
class Tick extends Operation {
  readonly #timespec: Uint32Array
  readonly #address: number

  constructor(memory: IoMemory) {
    super(NO_QUEUE)
    // Kept for the life of the executor.
    const buffer = memory.allocateOwn(16)
    this.#timespec = new Uint32Array(buffer.bytes.buffer, buffer.bytes.byteOffset, 4)
    this.#address = buffer.address
  }

  arm(ring: Ring, ns: number): void {
    if (ring.holds(this)) return
    const base = ring.tryBegin()
    if (base < 0) return
    writeTimespec(this.#timespec, 0, ns)
    encodeTimeout(ring.sqes, base, { timespecAddress: this.#address, absolute: false })
    ring.commitBackground(this)
  }

  override complete(): void {}

  override run(): void {}
}
