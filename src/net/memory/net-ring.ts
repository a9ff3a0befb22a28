import type { Executor, TaskQueue } from '../../executor/index.ts'
import type { Ring } from '../../ring/index.ts'
import type { Counters } from '../../stats/index.ts'
import { INBOX_BUFFER_BYTES_MAX } from './inbox.ts'
import { LARGE_GROUP, ReceivePool, SMALL_GROUP } from './receive-pool.ts'
import { SendMemory } from './send-memory.ts'
import type { SendLimits } from './send-plan.ts'

/** How the sockets of a thread are set up. Internal: for tests and measurements. */
export interface NetOptions {
  readonly bufferBytes?: number
  /** How many buffers there can be, on each ring: a power of two. */
  readonly entryCount?: number
  readonly initialCount?: number
  /** What a large buffer holds, for busy streams: 16 times the others if not given, and none if 0. */
  readonly largeBytes?: number
  /** How many of those the first busy stream makes. */
  readonly largeInitialCount?: number
  /** False receives one at a time, as kernels before 6.0 do. */
  readonly multishot?: boolean
  /** Whether one completion may fill several buffers, where the kernel can do that; false if not given. */
  readonly bundles?: boolean
  /** From how many bytes on leases are sent without the kernel's copy, where it can; never if not given. */
  readonly zeroCopyBytesMin?: number
}

const BUFFER_BYTES = 16 * 1024
/** Above so many buffers with unread data that is copied out of them. */
const ENTRY_COUNT = 8192
const INITIAL_COUNT = 64
const LARGE_FACTOR = 16
/** Busy streams beyond what these serve receive into small ones. */
const LARGE_COUNT_MAX = 64
const LARGE_COUNT_FIRST = 4

/** What is received into, and sent from, on one ring of one executor. */
export class NetRing {
  readonly executor: Executor
  readonly ring: Ring
  readonly pool: ReceivePool
  /** The large buffers; null before the first busy stream, and where there is no memory for any. */
  #largePool: ReceivePool | null = null
  /** How long they are, or 0 if there are none to be. */
  #largeBytes: number
  readonly #largeInitialCount: number
  /** Whether receives go on by themselves. */
  readonly isMultishot: boolean
  /** Whether a receive may fill several buffers. */
  readonly isBundling: boolean
  readonly sendMemory: SendMemory
  readonly sendLimits: SendLimits
  /** Where the executor counts. */
  readonly home: Counters

  constructor(executor: Executor, ring: Ring, { options, sendMemory }: NetState) {
    this.executor = executor
    this.ring = ring
    this.sendMemory = sendMemory
    this.home = executor.io.control
    this.isMultishot = options.multishot ?? executor.io.capabilities.hasMultishotReceive
    const { opcodes, features } = executor.io.capabilities
    this.isBundling = options.bundles === true && features.includes('RECVSEND_BUNDLE')
    // Not by itself: over loopback the kernel copies all the same, and the memory comes back later.
    const { zeroCopyBytesMin = Number.POSITIVE_INFINITY } = options
    const canSendZeroCopy = opcodes.includes('SEND_ZC')
    this.sendLimits = {
      zeroCopyBytesMin: canSendZeroCopy ? zeroCopyBytesMin : Number.POSITIVE_INFINITY,
    }
    const entryCount = options.entryCount ?? ENTRY_COUNT
    const bufferBytes = options.bufferBytes ?? BUFFER_BYTES
    this.#largeBytes =
      options.largeBytes ?? Math.min(LARGE_FACTOR * bufferBytes, INBOX_BUFFER_BYTES_MAX)
    this.#largeInitialCount = options.largeInitialCount ?? LARGE_COUNT_FIRST
    this.pool = new ReceivePool({
      kernel: executor.kernel,
      ring,
      memory: executor.memory,
      groupId: SMALL_GROUP,
      entryCount,
      bufferBytes,
      initialCount: Math.min(options.initialCount ?? INITIAL_COUNT, entryCount),
    })
  }

  /** Where a receive of that size has its buffers from. */
  poolOf(isLarge: boolean): ReceivePool {
    return isLarge ? this.#largePool! : this.pool
  }

  /** Whether one more stream can receive into a large buffer. */
  hasLargeRoom(): boolean {
    if (this.#largePool === null && this.#largeBytes > 0) this.#openLargePool()
    return this.#largePool?.makeRoom() === true
  }

  /** How many large buffers there are. */
  get largeBufferCount(): number {
    return this.#largePool?.buffers.bufferCount ?? 0
  }

  /** Buffers of both sizes that hold data for users. */
  get userCount(): number {
    return this.pool.buffers.userCount + (this.#largePool?.buffers.userCount ?? 0)
  }

  #openLargePool(): void {
    const { executor, ring } = this
    try {
      this.#largePool = new ReceivePool({
        kernel: executor.kernel,
        ring,
        memory: executor.memory,
        groupId: LARGE_GROUP,
        entryCount: LARGE_COUNT_MAX,
        bufferBytes: this.#largeBytes,
        initialCount: this.#largeInitialCount,
        isSpare: true,
      })
    } catch {
      // For want of memory: all streams do with small ones, as before.
      this.#largeBytes = 0
    }
  }
}

/** What the rings of one executor share. */
interface NetState {
  readonly options: NetOptions
  readonly sendMemory: SendMemory
  /** By the index of the ring; what is missing has had no socket yet. */
  readonly rings: NetRing[]
}

const states = new WeakMap<Executor, NetState>()

/** Sets the sockets of an executor up otherwise; before its first one. Internal. */
export function configureNet(executor: Executor, options: NetOptions): void {
  makeState(executor, options)
}

/** Where a socket used by `queue` belongs: beside the ring of that queue's operations. */
export function netRingFor(executor: Executor, queue: TaskQueue): NetRing {
  const state = states.get(executor) ?? makeState(executor, {})
  const ring = executor.io.ringFor(queue)
  let net = state.rings[ring.index]
  if (net === undefined) {
    net = new NetRing(executor, ring, state)
    state.rings[ring.index] = net
  }
  return net
}

function makeState(executor: Executor, options: NetOptions): NetState {
  const sendMemory = new SendMemory(executor.memory)
  const state: NetState = { options, sendMemory, rings: [] }
  states.set(executor, state)
  return state
}
