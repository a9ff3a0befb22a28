import { assert, isDebugging, NO_QUEUE, RuntimeError } from '../base/index.ts'
import {
  type Capabilities,
  DOUBLE_NOW_NS,
  DOUBLE_QUIET_NS,
  DOUBLE_SPIN_NS,
  ENOSPC,
  EXECUTOR_COUNT_MAX,
  HEADER_AWAKE_COUNT,
  HEADER_CPU_COUNT,
  HEADER_CPU_QUOTA,
  type Kernel,
  kernelError,
  type LoopControl,
  type LoopHost,
  POLLIN,
  WORD_ARMED,
  WORD_HOST_READY,
} from '../kernel/index.ts'
import { IoMemory, MemoryChecks } from '../memory/index.ts'
import {
  encodeCancel,
  encodePoll,
  Operation,
  type OperationName,
  type Ring,
} from '../ring/index.ts'
import { COUNTER_OWN_POLLS } from '../stats/index.ts'
import { Doorbell } from './doorbell.ts'
import type { IoPort } from './io-port.ts'
import { Liveness } from './liveness.ts'
import { Loans } from './loans.ts'
import { RegisteredFiles } from './registered-files.ts'
import { RegisteredMemory } from './registered-memory.ts'
import { RetryTimer } from './retry-timer.ts'
import { RingSet } from './ring-set.ts'
import { noteCpuQuota } from './spin-quota.ts'
import { Timers } from './timers.ts'

export interface ReactorOptions {
  readonly kernel: Kernel
  /** Submission entries of each ring: a power of two. */
  readonly ringEntryCount: number
  /** The arena to be registered: a power of two. */
  readonly memoryBytes: number
  readonly memoryBytesMax: number
  readonly spin: SpinLimits
}

/** How long a thread spins before it parks. */
export interface SpinLimits {
  /** Each time; Infinity for always. */
  readonly forNs: number
  /** Else until for so long nothing has come from the kernel or another thread. */
  readonly quietNs: number
}

/**
 * Rings, timers and I/O memory of one thread, and its place in the event loop.
 *
 * Completions only mark and queue; which task runs, and when, is the executor's to decide.
 */
export class Reactor implements IoPort {
  readonly kernel: Kernel
  /** What the kernel offers. */
  readonly capabilities: Capabilities
  readonly control: LoopControl
  readonly host: LoopHost
  readonly timers: Timers
  /** What else keeps the program alive. */
  readonly liveness: Liveness
  readonly memory: IoMemory
  /** What of it the rings have registered. */
  readonly registered: RegisteredMemory
  /** Files that the rings know by index, which spares a look-up per operation. */
  readonly files: RegisteredFiles
  readonly rings: RingSet
  /** For everything that may wait for the end of a turn; the one to park in. */
  readonly main: Ring
  /** By which other threads tell that they have left something. */
  readonly doorbell: Doorbell
  /** Memory that it lends to other threads, or has borrowed. */
  readonly loans: Loans
  /** When the event loop was left, or null. */
  leftNs: number | null = null
  /** What wakes a parked thread by the main ring: events of the host loop, and completions of the other ring that tells. */
  readonly #wakers: ReadinessPoll[]
  /** A second poll of the host loop's descriptor, in the latency ring, whose completions come by themselves. */
  readonly #hostWatch: HostWatch

  /** @throws {RuntimeError} `ERR_URING_UNAVAILABLE`, `ERR_MEMLOCK_LIMIT`, `ERR_OUT_OF_MEMORY`. */
  constructor(options: ReactorOptions, turn: () => void) {
    const { kernel } = options
    this.kernel = kernel
    this.host = attachLoop(kernel, turn)
    this.control = this.host.control
    const { forNs, quietNs } = options.spin
    assert(forNs === 0 || quietNs === 0, 'a thread spins by one policy')
    this.control.doubles[DOUBLE_SPIN_NS] = forNs
    this.control.doubles[DOUBLE_QUIET_NS] = quietNs
    if (forNs + quietNs > 0) noteCpuQuota(kernel)
    this.liveness = new Liveness(this.control, this.host)
    this.timers = new Timers({ kernel, control: this.control, liveness: this.liveness })
    try {
      this.capabilities = kernel.capabilities(this.host)
      this.memory = this.#createMemory(options)
      const { control, host } = this
      this.rings = new RingSet({ kernel, control, host, entryCount: options.ringEntryCount })
      this.main = this.rings.main
    } catch (error) {
      this.host.detach()
      throw error
    }
    this.doorbell = new Doorbell({ kernel, host: this.host, main: this.main })
    this.loans = new Loans({ kernel, host: this.host, doorbell: this.doorbell })
    this.registered = new RegisteredMemory(kernel, this.memory, this.rings)
    this.files = new RegisteredFiles(kernel, this.rings, this.capabilities)
    this.#wakers = [new ReadinessPoll(this.host.hostFd, this.control, true)]
    this.#hostWatch = new HostWatch(this.host.hostFd, this.control)
  }

  /** The latency ring, whose completions {@link needPreempt} sees; made when first asked for. */
  get latency(): Ring {
    return this.rings.find('notify') ?? this.#addRing('notify')
  }

  pollRing(): Ring {
    return this.rings.find('busyPoll') ?? this.#addRing('busyPoll')
  }

  /**
   * Whether this thread spins before it parks, and there is a CPU for that: by all CPUs of the process and by its quota, as
   * `directory_is_crowded()` of native/directory.c has it, which knows the CPU of a pinned thread as well.
   */
  get maySpin(): boolean {
    const { doubles } = this.control
    if (doubles[DOUBLE_SPIN_NS]! === 0 && doubles[DOUBLE_QUIET_NS]! === 0) return false
    const { words } = this.kernel.directory.slot(0)
    const [cpuCount, quota] = [words[HEADER_CPU_COUNT]!, words[HEADER_CPU_QUOTA]!]
    const limit = quota > 0 ? Math.min(cpuCount, quota) : cpuCount
    // Without a count nobody is ever found to be too many.
    return limit <= 0 || words[HEADER_AWAKE_COUNT]! <= limit
  }

  /** Whether operations of latency-sensitive queues have completed that nobody has looked at yet. */
  get hasUrgentCompletions(): boolean {
    const ring = this.rings.find('notify')
    return ring !== null && ring.readyCount > 0
  }

  /** Operations between submission and terminal completion, on all rings, but for our own polls. O(slots). */
  get inFlightCount(): number {
    const count = this.rings.inFlightCount - this.control.counters[COUNTER_OWN_POLLS]!
    assert(count >= 0, 'polls of our own are in flight like all others')
    return count
  }

  /** Brings the counters of the rings up to date, for who reads them within a turn. */
  syncCounters(): void {
    this.rings.syncCounters()
  }

  ringFor(queue: { readonly isLatencySensitive: boolean }): Ring {
    return queue.isLatencySensitive ? this.latency : this.main
  }

  ringOf(operation: Operation): Ring | null {
    return this.rings.ringOf(operation)
  }

  /** Hands completions of all rings to their operations, and returns how many there were. */
  reap(): number {
    return this.rings.reap()
  }

  cancel(operation: Operation): boolean {
    const ring = this.ringOf(operation)
    if (ring === null || ring.isClosed) return false
    if (ring.withdraw(operation)) return true
    // Before there is room for the entry it may end, and its slot be another's.
    this.cancelByName(ring, ring.nameOf(operation))
    return false
  }

  cancelByName(ring: Ring, name: OperationName): void {
    // Of what a device has no cancel takes anything back, and its ring takes no entry for one (-EINVAL).
    if (ring.isClosed || ring.role === 'busyPoll') return
    assert(name.generation >= 0, 'what is cancelled by name was in flight')
    const base = ring.tryBegin()
    if (base < 0) {
      new RetryTimer(() => this.cancelByName(ring, name)).schedule(this.timers)
      return
    }
    encodeCancel(ring.sqes, base, name)
    ring.commitUnwatched()
  }

  /** Whether events of the host loop show in the latency ring, or are known of already. */
  get isHostWatched(): boolean {
    if (this.control.words[WORD_HOST_READY] !== 0 || this.host.hostFd < 0) return true
    return this.latency.holds(this.#hostWatch)
  }

  /**
   * Lets events of the host loop show in the latency ring, while JavaScript is busy, with its next
   * submission.
   */
  watchHost(): void {
    if (!this.isHostWatched) this.#hostWatch.arm(this.latency)
  }

  /** Whether such an event has shown since the last call. */
  takeHostEvent(): boolean {
    const { hasFired } = this.#hostWatch
    this.#hostWatch.hasFired = false
    return hasFired
  }

  cancelAgain(operation: Operation): void {
    const ring = this.ringOf(operation)
    if (ring !== null) this.cancelByName(ring, ring.nameOf(operation))
  }

  /** What is in flight on all rings now. O(slots). */
  inFlight(): Operation[] {
    return this.rings.inFlight()
  }

  /** Makes events of the host loop, and of a ring that tells of them, wake a parked thread. */
  arm(): void {
    const { words } = this.control
    if (words[WORD_ARMED] === 1 || this.main.isClosed) return
    // First, since making room may bring the completion of a poll, which takes that back.
    words[WORD_ARMED] = 1
    if (this.#wakers.every((poll) => poll.arm(this.main))) return
    // A thread that is not armed does not park: the host looks for itself, and the next turn tries again.
    words[WORD_ARMED] = 0
    words[WORD_HOST_READY] = 1
  }

  registerMemory(): void {
    this.registered.register()
  }

  /** Checks rings, timers and files, and what the hook knows of them. O(slots and timers): for audits. */
  audit(): void {
    this.rings.audit()
    this.timers.audit()
    this.files.audit()
    this.doorbell.audit()
    const own: readonly Operation[] = [...this.#wakers, this.#hostWatch]
    const ownCount = own.filter((poll) => this.ringOf(poll) !== null).length
    assert(ownCount === this.control.counters[COUNTER_OWN_POLLS], 'polls of our own are counted')
    const { words } = this.control
    assert(words[WORD_ARMED] === 0 || words[WORD_ARMED] === 1, 'the hook knows whether it may park')
    const isWoken = this.#wakers.every((poll) => poll.isNeedless || this.ringOf(poll) !== null)
    assert(words[WORD_ARMED] === 0 || isWoken, 'a thread that may park is woken by every ring')
  }

  /** Cancels and forgets everything in flight, and leaves the event loop. */
  close(): void {
    assert(this.leftNs === null, 'a loop is left once')
    this.leftNs = this.kernel.nowNs()
    this.rings.close()
    this.loans.leave()
    this.host.detach()
  }

  #createMemory({ kernel, memoryBytes, memoryBytesMax }: ReactorOptions): IoMemory {
    const { control } = this
    const isSimulated = kernel.name === 'sim'
    return new IoMemory({
      kernel,
      sizeBytes: memoryBytes,
      sizeBytesMax: memoryBytesMax,
      home: control,
      checks: new MemoryChecks({
        poisons: isSimulated || isDebugging,
        empties: isDebugging,
        tracks: isSimulated || isDebugging,
        // As of the last turn: the clock itself is not asked per lease.
        nowNs: () => control.doubles[DOUBLE_NOW_NS]!,
      }),
      onMemory: (memory) => this.host.keepMemory(memory),
    })
  }

  #addRing(role: 'notify' | 'busyPoll'): Ring {
    this.main.assertOpen()
    const ring = this.rings.add(role)
    this.registered.attach(ring)
    this.files.attach(ring)
    if (role === 'notify') {
      this.#wakers.push(new ReadinessPoll(ring.memory.fd, this.control, false))
      this.control.words[WORD_ARMED] = 0
    }
    return ring
  }
}

function attachLoop(kernel: Kernel, turn: () => void): LoopHost {
  const host = kernel.attachLoop(turn)
  if (host === -ENOSPC) {
    throw new RuntimeError(
      'ERR_LIMIT_EXCEEDED',
      `Cannot attach an executor as a process must have at most ${EXECUTOR_COUNT_MAX} at a time: it has`,
    )
  }
  if (typeof host === 'number') throw kernelError(host, { syscall: 'mmap' })
  return host
}

/** Polls a descriptor for our own sake: in the background, and once, so that it is level-triggered. */
abstract class BackgroundPoll extends Operation {
  readonly #fd: number
  protected readonly control: LoopControl

  constructor(fd: number, control: LoopControl) {
    super(NO_QUEUE)
    this.#fd = fd
    this.control = control
  }

  /** Whether there is nothing to wait for: a simulated host has no descriptor. */
  get isNeedless(): boolean {
    return this.#fd < 0
  }

  /** False where the ring refuses for now. */
  arm(ring: Ring): boolean {
    if (ring.holds(this) || this.isNeedless) return true
    const base = ring.tryBegin()
    if (base < 0) return false
    const target = { fd: this.#fd, registered: false }
    encodePoll(ring.sqes, base, { target, events: POLLIN, multishot: false })
    ring.commitBackground(this)
    this.control.counters[COUNTER_OWN_POLLS]! += 1
    return true
  }

  override complete(): void {
    assert(this.control.counters[COUNTER_OWN_POLLS]! > 0, 'a poll of our own was counted')
    this.control.counters[COUNTER_OWN_POLLS]! -= 1
  }

  override run(): void {}
}

/** Wakes the parked thread when a descriptor becomes readable. */
class ReadinessPoll extends BackgroundPoll {
  readonly #isHost: boolean

  constructor(fd: number, control: LoopControl, isHost: boolean) {
    super(fd, control)
    this.#isHost = isHost
  }

  override complete(): void {
    super.complete()
    const { words } = this.control
    words[WORD_ARMED] = 0
    if (this.#isHost) words[WORD_HOST_READY] = 1
  }
}

/** Tells a running turn of the host loop's events; whoever is between turns has the other poll for that. */
class HostWatch extends BackgroundPoll {
  hasFired = false

  override complete(): void {
    super.complete()
    this.hasFired = true
  }
}
