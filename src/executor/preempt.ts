import { KernelError, NO_QUEUE, RuntimeError } from '../base/index.ts'
import { encodeTimeout, Operation, type Ring, writeTimespec } from '../ring/index.ts'
import type { Executor } from './executor.ts'

/** How often a busy task's {@link needPreempt} looks at the clock, at the least. */
const TICK_NS_MAX = 1_000_000
const TICK_NS_MIN = 100_000
/** How soon to ask again for a ring that was refused. */
const RETRY_NS = 100_000_000

/**
 * Decides whether the running turn should end: its slice is over, or somebody may not wait for it.
 *
 * The word it watches is the completion tail of the latency ring, which moves by itself while
 * JavaScript is busy: operations of latency-sensitive queues complete there, and so does a tick that
 * makes us look at the clock, at timers and at the host loop. The tick is armed only while
 * somebody asks. Without a completion an answer costs one atomic load: no system call, no clock.
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

  readonly #executor: Executor
  readonly #sliceNs: number
  #tick: Tick | null = null
  #turnStartNs = 0
  #retryNs = 0

  constructor(executor: Executor, sliceNs: number) {
    this.#executor = executor
    this.#sliceNs = sliceNs
  }

  beginTurn(nowNs: number): void {
    this.isDue = false
    this.#turnStartNs = nowNs
    if (this.#tick === null) return
    // Not the tail: what came since the reap is still to be seen. Without a tick under way the
    // first question of the turn must arm one, so it is made to differ.
    const ring = this.#executor.reactor.latency
    const head = ring.completionHead
    this.seen = ring.holds(this.#tick) ? head : (head - 1) | 0
  }

  /** The slow path of {@link needPreempt}: something completed since the last look. */
  check(): boolean {
    const { reactor } = this.#executor
    const nowNs = reactor.kernel.nowNs()
    const tick = this.#tick ?? this.#createTick(nowNs)
    if (tick !== null) reactor.latency.reap()
    reactor.timers.expire(nowNs)
    tick?.arm(reactor.latency, this.#tickNs())
    this.isDue =
      this.isDue ||
      nowNs - this.#turnStartNs >= Math.min(this.#sliceNs, this.#executor.latencyNsMin) ||
      this.#executor.hasUrgentQueue() ||
      reactor.host.isHostDue()
    if (tick !== null) {
      const { completionHead, unsubmittedCount } = reactor.latency
      // A tick that the kernel refused for now does not come: the next question must ask again.
      const isComing = reactor.latency.holds(tick) && unsubmittedCount === 0
      this.seen = isComing ? completionHead : (completionHead - 1) | 0
    }
    return this.isDue
  }

  /** Null while the system has no ring or memory for it: then each question looks at the clock. */
  #createTick(nowNs: number): Tick | null {
    if (nowNs < this.#retryNs) return null
    try {
      const { words, index } = this.#executor.reactor.latency.completionTail
      this.#tick = new Tick(this.#executor)
      this.words = words
      this.index = index
    } catch (error) {
      if (!(error instanceof RuntimeError || error instanceof KernelError)) throw error
      this.#retryNs = nowNs + RETRY_NS
    }
    return this.#tick
  }

  #tickNs(): number {
    const { latencyNsMin } = this.#executor
    return Math.max(TICK_NS_MIN, Math.min(TICK_NS_MAX, latencyNsMin / 2, this.#sliceNs / 4))
  }
}

/** One timeout in the latency ring. It lets the program end, and does not count as work. */
class Tick extends Operation {
  readonly #timespec: Uint32Array
  readonly #address: number

  constructor(executor: Executor) {
    super(NO_QUEUE)
    // Kept for the life of the executor.
    const buffer = executor.reactor.memory.allocate(16)
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
    ring.submit()
  }

  override complete(): void {}

  override run(): void {}
}
