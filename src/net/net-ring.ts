import type { Executor, TaskQueue } from '../executor/index.ts'
import type { Lease } from '../memory/index.ts'
import { BufferRing, type Ring } from '../ring/index.ts'
import { Inbox } from './inbox.ts'

/** Somebody who could not receive as there was no buffer. */
export interface Starved {
  /** There may be one now: tries again, unless it has no need any more. */
  feed(): void
}

/** How the sockets of a thread are set up. Internal: for tests and measurements. */
export interface NetOptions {
  readonly bufferBytes?: number
  /** How many buffers there can be, on each ring: a power of two. */
  readonly entryCount?: number
  readonly initialCount?: number
  /** False receives one at a time, as kernels before 6.0 do. */
  readonly multishot?: boolean
}

const BUFFER_BYTES = 16 * 1024
/** Above this many chunks that nobody has read, or whose reader is slow, streams wait for a buffer. */
const ENTRY_COUNT = 8192
const INITIAL_COUNT = 64
/** The group of the sockets in each ring. */
const GROUP_ID = 0
/** Sizes that data to be sent is copied into, and how many of each are kept for reuse. */
const BOUNCE_BYTES: readonly number[] = [4 * 1024, 64 * 1024, 256 * 1024]
const BOUNCE_KEPT: readonly number[] = [64, 16, 4]
const INBOXES_KEPT = 1024

/** What is received into, and sent from, on one ring of one executor. */
export class NetRing {
  readonly executor: Executor
  readonly ring: Ring
  readonly buffers: BufferRing
  /** Whether receives go on by themselves; found out by the first refusal. */
  isMultishot: boolean
  readonly #starved: Starved[] = []
  readonly #bounces: Lease[][] = BOUNCE_BYTES.map(() => [])
  readonly #inboxes: Inbox[] = []
  /** Whether there was no memory for more buffers, when last tried. */
  #isAtLimit = false

  constructor(executor: Executor, ring: Ring, options: NetOptions) {
    this.executor = executor
    this.ring = ring
    this.isMultishot = options.multishot ?? true
    const entryCount = options.entryCount ?? ENTRY_COUNT
    this.buffers = new BufferRing({
      kernel: executor.reactor.kernel,
      ring,
      memory: executor.reactor.memory,
      groupId: GROUP_ID,
      entryCount,
      bufferBytes: options.bufferBytes ?? BUFFER_BYTES,
      initialCount: Math.min(options.initialCount ?? INITIAL_COUNT, entryCount),
    })
  }

  /** Whether so many buffers hold data that a stream should keep no more than it must. */
  get isScarce(): boolean {
    const { buffers } = this
    const isWhole = this.#isAtLimit || buffers.freeCount === 0
    return isWhole && buffers.kernelCount * 4 < buffers.bufferCount
  }

  /** How many wait for a buffer. */
  get starvedCount(): number {
    return this.#starved.length
  }

  /** Ends one use of a buffer, and lets somebody who waits for one go on. */
  release(buffer: number): void {
    if (this.buffers.release(buffer) && this.#starved.length > 0) this.#feed()
  }

  /**
   * Whether to try again at once after the kernel had no buffer: some have come back since, or could be
   * made. If not, `starved` is told when one comes back.
   */
  findBuffer(starved: Starved): boolean {
    if (this.buffers.kernelCount > 0) return true
    this.#isAtLimit = !this.buffers.grow()
    if (!this.#isAtLimit) return true
    this.#starved.push(starved)
    return false
  }

  /** Waits no longer. */
  forget(starved: Starved): void {
    const index = this.#starved.indexOf(starved)
    if (index !== -1) this.#starved.splice(index, 1)
  }

  /** Memory to copy `lengthBytes` into, or a part of them. @throws `ERR_OUT_OF_MEMORY` */
  takeBounce(lengthBytes: number): Lease {
    let size = 0
    while (size < BOUNCE_BYTES.length - 1 && BOUNCE_BYTES[size]! < lengthBytes) size++
    return this.#bounces[size]!.pop() ?? this.executor.reactor.memory.allocate(BOUNCE_BYTES[size]!)
  }

  /** Where chunks wait; used again for other streams. */
  takeInbox(): Inbox {
    return this.#inboxes.pop() ?? new Inbox()
  }

  keepInbox(inbox: Inbox): void {
    if (this.#inboxes.length < INBOXES_KEPT) this.#inboxes.push(inbox)
  }

  returnBounce(bounce: Lease): void {
    const size = BOUNCE_BYTES.indexOf(bounce.lengthBytes)
    const kept = this.#bounces[size]!
    if (kept.length < BOUNCE_KEPT[size]!) kept.push(bounce)
    else bounce.release()
  }

  // All of them: one that receives nothing yet takes no buffer, and must not stand before one that would.
  #feed(): void {
    for (const next of this.#starved.splice(0)) next.feed()
  }
}

interface NetState {
  readonly options: NetOptions
  main: NetRing | null
  latency: NetRing | null
}

const states = new WeakMap<Executor, NetState>()

/** Sets the sockets of an executor up otherwise; before its first one. Internal. */
export function configureNet(executor: Executor, options: NetOptions): void {
  states.set(executor, { options, main: null, latency: null })
}

/** Where a socket used by `queue` belongs: the latency ring if the queue is sensitive. */
export function netRingFor(executor: Executor, queue: TaskQueue): NetRing {
  let state = states.get(executor)
  if (state === undefined) {
    state = { options: {}, main: null, latency: null }
    states.set(executor, state)
  }
  const { reactor } = executor
  if (queue.isLatencySensitive) {
    state.latency ??= new NetRing(executor, reactor.latency, state.options)
    return state.latency
  }
  state.main ??= new NetRing(executor, reactor.main, state.options)
  return state.main
}
