import { assert, nextPowerOfTwo } from '../base/index.ts'
import {
  CQE_WORDS,
  EINVAL,
  EPERM,
  IORING_CQE_F_MORE,
  IORING_ENTER_GETEVENTS,
  IORING_SETUP_CLAMP,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_IOPOLL,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SQPOLL,
  IORING_SETUP_SUBMIT_ALL,
  IORING_SETUP_TASKRUN_FLAG,
  IORING_SQ_CQ_OVERFLOW,
  IORING_SQ_TASKRUN,
  IOSQE_IO_HARDLINK,
  IOSQE_IO_LINK,
  POLLIN,
  type RingLayout,
  type RingMemory,
  type RingSetup,
  SQE_WORDS,
} from '../kernel/index.ts'
import type { BufferGroup } from './buffer-group.ts'
import { SIM_FEATURES, type SimCore } from './core.ts'
import { Description } from './descriptors.ts'
import { type RegisteredBuffer, type RequestRing, SimRequest } from './request.ts'

const ENTRY_COUNT_MAX = 32_768
const KNOWN_SETUP_FLAGS = 0x1ffff

// The layout is ours to choose: each side of each queue on a cache line of its own, as in Linux.
const SQ_HEAD = 0
const SQ_TAIL = 1
const SQ_FLAGS = 2
const CQ_HEAD = 16
const CQ_TAIL = 17
const CQ_OVERFLOW = 18
const CQES = 32

/** A completion that is not in the queue yet. */
interface HeldCompletion {
  readonly low: number
  readonly high: number
  readonly result: number
  readonly flags: number
}

/** The kernel's side of one ring. */
export class SimRing extends Description implements RequestRing {
  override readonly label = 'io_uring'
  readonly threadId: number
  readonly memory: RingMemory
  readonly core: SimCore
  readonly inFlight: Set<SimRequest> = new Set()
  buffers: RegisteredBuffer[] | null = null
  files: (Description | null)[] | null = null
  readonly countedTimeouts: Set<SimRequest> = new Set()
  readonly bufferGroups: Map<number, BufferGroup> = new Map()
  /** How many completions were posted, ever. */
  postedCount = 0

  readonly #words: Int32Array
  readonly #sqes: Int32Array
  readonly #layout: RingLayout
  readonly #flags: number
  /** Task work of a DEFER_TASKRUN ring: completions that the thread has not asked for. */
  #deferred: HeldCompletion[] = []
  #overflow: HeldCompletion[] = []
  #isEntered = false

  private constructor(core: SimCore, threadId: number, flags: number, layout: RingLayout) {
    super()
    this.threadId = threadId
    this.core = core
    this.#flags = flags
    this.#layout = layout
    const wordCount = CQES + layout.cqEntryCount * CQE_WORDS + layout.sqEntryCount
    const words = new ArrayBuffer(wordCount * 4)
    const sqes = new ArrayBuffer(layout.sqEntryCount * SQE_WORDS * 4)
    this.#words = new Int32Array(words)
    this.#sqes = new Int32Array(sqes)
    this.memory = {
      fd: core.descriptors.install(this),
      words: new Uint32Array(words),
      sqes: new Uint32Array(sqes),
      layout,
      setupFlags: flags,
      features: SIM_FEATURES,
    }
  }

  /** A ring, or `-errno`. */
  static create(core: SimCore, threadId: number, setup: RingSetup): SimRing | number {
    const { flags, entryCount, completionCount } = setup
    if (flags & IORING_SETUP_SQPOLL) return -EPERM
    if (flags & ~KNOWN_SETUP_FLAGS) return -EINVAL
    if (flags & IORING_SETUP_NO_SQARRAY && !core.options.hasNoSqArray) return -EINVAL
    if (flags & IORING_SETUP_DEFER_TASKRUN) {
      if (!core.options.hasDeferTaskrun || !(flags & IORING_SETUP_SINGLE_ISSUER)) return -EINVAL
    }
    if (entryCount < 1 || completionCount < entryCount) return -EINVAL
    if (entryCount > ENTRY_COUNT_MAX && !(flags & IORING_SETUP_CLAMP)) return -EINVAL
    const sqEntryCount = nextPowerOfTwo(Math.min(entryCount, ENTRY_COUNT_MAX))
    const cqEntryCount = nextPowerOfTwo(Math.min(completionCount, 2 * ENTRY_COUNT_MAX))
    const ring = new SimRing(core, threadId, flags, {
      sqHead: SQ_HEAD,
      sqTail: SQ_TAIL,
      sqFlags: SQ_FLAGS,
      sqEntryCount,
      sqArray: flags & IORING_SETUP_NO_SQARRAY ? -1 : CQES + cqEntryCount * CQE_WORDS,
      cqHead: CQ_HEAD,
      cqTail: CQ_TAIL,
      cqOverflow: CQ_OVERFLOW,
      cqEntryCount,
      cqes: CQES,
    })
    return ring.memory.fd < 0 ? ring.memory.fd : ring
  }

  /** Whether completions reach the queue by themselves, while the thread does something else. */
  get isImmediate(): boolean {
    return !(this.#flags & (IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_IOPOLL))
  }

  /** Whether nothing but an enter finds what has completed: no flag tells of it, and nobody is woken for it. */
  get isPolled(): boolean {
    return (this.#flags & IORING_SETUP_IOPOLL) !== 0
  }

  /** Completions in the queue that have not been reaped. */
  get readyCount(): number {
    return (this.#words[CQ_TAIL]! - this.#words[CQ_HEAD]!) | 0
  }

  get unreapedCount(): number {
    return this.readyCount + this.#deferred.length + this.#overflow.length
  }

  override readiness(): number {
    return (this.isPolled ? this.readyCount : this.unreapedCount) > 0 ? POLLIN : 0
  }

  protected override dispose(): void {
    this.core.closeRing(this)
  }

  /** io_uring_enter without the waiting: the number of entries taken. */
  enter(submitCount: number, flags: number): number {
    this.#isEntered = true
    const count = this.#submit(submitCount)
    if (flags & IORING_ENTER_GETEVENTS) this.collect()
    this.#isEntered = false
    return count
  }

  /** Runs deferred task work and moves what had overflowed into the queue. */
  collect(): void {
    const deferred = this.#deferred
    this.#deferred = []
    this.#words[SQ_FLAGS]! &= ~IORING_SQ_TASKRUN
    this.#flushOverflow()
    for (const completion of deferred) this.#write(completion)
  }

  post(low: number, high: number, result: number, flags: number): void {
    const completion = { low, high, result, flags }
    this.postedCount++
    const isInline = this.#isEntered && !this.#isDeferred(completion)
    if (this.isImmediate || isInline) this.#write(completion)
    else {
      this.#deferred.push(completion)
      if (this.#flags & IORING_SETUP_TASKRUN_FLAG && !this.isPolled)
        this.#words[SQ_FLAGS]! |= IORING_SQ_TASKRUN
    }
    this.core.expireCounts(this)
    this.core.notify(this)
  }

  postMore(request: SimRequest, result: number, flags: number): boolean {
    if (this.unreapedCount >= this.#layout.cqEntryCount || this.#overflow.length > 0) return false
    if (this.core.chance(this.core.faults.multishotEnd)) return false
    this.core.record(request, result, flags | IORING_CQE_F_MORE)
    this.post(request.userDataLow, request.userDataHigh, result, flags | IORING_CQE_F_MORE)
    return true
  }

  /** Whether an earlier completion of the same request waits: none may overtake it. */
  #isDeferred({ low, high }: HeldCompletion): boolean {
    return this.#deferred.some((other) => other.low === low && other.high === high)
  }

  #write(completion: HeldCompletion): void {
    const isFull = this.readyCount >= this.#layout.cqEntryCount
    if (isFull || this.#overflow.length > 0 || this.core.chance(this.core.faults.cqOverflow)) {
      this.#overflow.push(completion)
      this.#words[SQ_FLAGS]! |= IORING_SQ_CQ_OVERFLOW
      return
    }
    this.#store(completion)
  }

  #store({ low, high, result, flags }: HeldCompletion): void {
    const words = this.#words
    assert(this.readyCount < this.#layout.cqEntryCount, 'a full queue is never written')
    const tail = words[CQ_TAIL]!
    const base = CQES + (tail & (this.#layout.cqEntryCount - 1)) * CQE_WORDS
    words[base] = low
    words[base + 1] = high
    words[base + 2] = result
    words[base + 3] = flags
    words[CQ_TAIL] = (tail + 1) | 0
  }

  #flushOverflow(): void {
    let count = 0
    while (count < this.#overflow.length && this.readyCount < this.#layout.cqEntryCount) {
      this.#store(this.#overflow[count++]!)
    }
    this.#overflow.splice(0, count)
    if (this.#overflow.length === 0) this.#words[SQ_FLAGS]! &= ~IORING_SQ_CQ_OVERFLOW
  }

  #submit(submitCount: number): number {
    const words = this.#words
    const available = (words[SQ_TAIL]! - words[SQ_HEAD]!) | 0
    assert(available <= this.#layout.sqEntryCount, 'the submission queue is never overrun')
    const limit = Math.min(submitCount, available)
    let chain: SimRequest[] = []
    let count = 0
    while (count < limit) {
      const request = this.#take()
      count++
      chain.push(request)
      // A chain does not span submissions.
      if (request.flags & (IOSQE_IO_LINK | IOSQE_IO_HARDLINK) && count < limit) continue
      const isValid = this.core.issue(chain)
      chain = []
      if (!isValid && !(this.#flags & IORING_SETUP_SUBMIT_ALL)) break
    }
    return count
  }

  #take(): SimRequest {
    const words = this.#words
    const mask = this.#layout.sqEntryCount - 1
    const position = words[SQ_HEAD]! & mask
    const { sqArray } = this.#layout
    const index = sqArray === -1 ? position : words[sqArray + position]!
    assert(index >= 0 && index <= mask, 'the indirection array names an entry')
    const request = new SimRequest(this, this.#sqes, index)
    words[SQ_HEAD] = (words[SQ_HEAD]! + 1) | 0
    return request
  }
}
