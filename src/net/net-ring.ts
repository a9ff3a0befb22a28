import { RuntimeError } from '../base/index.ts'
import type { Executor, TaskQueue } from '../executor/index.ts'
import type { Lease } from '../memory/index.ts'
import type { Ring } from '../ring/index.ts'
import { ReceivePool } from './receive-pool.ts'

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
/** Above so many buffers with unread data that is copied out of them. */
const ENTRY_COUNT = 8192
const INITIAL_COUNT = 64
/** Sizes that data to be sent is copied into, and how many of each are kept for reuse. */
const BOUNCE_BYTES: readonly number[] = [4 * 1024, 64 * 1024, 256 * 1024]
const BOUNCE_KEPT: readonly number[] = [64, 16, 4]
/** Of the smallest size so many may be of the reserve: a quarter of it, as files need it too. */
const RESERVED_MAX = 64

/** What is received into, and sent from, on one ring of one executor. */
export class NetRing {
  readonly executor: Executor
  readonly ring: Ring
  readonly pool: ReceivePool
  /** Whether receives go on by themselves; found out by the first refusal. */
  isMultishot: boolean
  readonly #bounces: Lease[][] = BOUNCE_BYTES.map(() => [])
  /** Those that are of the reserve, lest whoever holds all other memory stops the writers. */
  readonly #reserved = new Set<Lease>()

  constructor(executor: Executor, ring: Ring, options: NetOptions) {
    this.executor = executor
    this.ring = ring
    this.isMultishot = options.multishot ?? true
    const entryCount = options.entryCount ?? ENTRY_COUNT
    this.pool = new ReceivePool({
      kernel: executor.reactor.kernel,
      ring,
      memory: executor.reactor.memory,
      entryCount,
      bufferBytes: options.bufferBytes ?? BUFFER_BYTES,
      initialCount: Math.min(options.initialCount ?? INITIAL_COUNT, entryCount),
    })
  }

  /**
   * Memory to copy `lengthBytes` into, or a part of them: less where memory is short.
   *
   * @throws {RuntimeError} `ERR_OUT_OF_MEMORY`
   */
  takeBounce(lengthBytes: number): Lease {
    let size = 0
    while (size < BOUNCE_BYTES.length - 1 && BOUNCE_BYTES[size]! < lengthBytes) size++
    const { memory } = this.executor.reactor
    for (; ; size--) {
      const kept = this.#bounces[size]!.pop()
      if (kept !== undefined) return kept
      try {
        return memory.allocate(BOUNCE_BYTES[size]!)
      } catch (error) {
        if (!(error instanceof RuntimeError)) throw error
        if (size > 0) continue
        if (this.#reserved.size >= RESERVED_MAX) throw error
        const bounce = memory.allocateOwn(BOUNCE_BYTES[0]!)
        this.#reserved.add(bounce)
        return bounce
      }
    }
  }

  returnBounce(bounce: Lease): void {
    if (this.#reserved.delete(bounce)) {
      bounce.release()
      return
    }
    const size = BOUNCE_BYTES.indexOf(bounce.lengthBytes)
    const kept = this.#bounces[size]!
    if (kept.length < BOUNCE_KEPT[size]!) kept.push(bounce)
    else bounce.release()
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
