import { assert, GIB, KIB, MIB, nextPowerOfTwo, RuntimeError } from '../base/index.ts'
import type { Kernel, KernelMemory } from '../kernel/index.ts'
import { COUNTER_MEMORY_LIMIT, COUNTER_MEMORY_SIZE, type Counters } from '../stats/index.ts'
import { Arena, BLOCK_BYTES_MIN } from './arena.ts'
import { BuddyAllocator } from './buddy.ts'
import type { Lease } from './lease.ts'
import type { MemoryChecks } from './memory-checks.ts'
import { Segment } from './segment.ts'

const GROWTH_BYTES: number = 16 * MIB
/** The largest power of two that a block can have. */
const BLOCK_BYTES_MAX: number = GIB
/** What only percore itself takes from: room for two thousand addresses, paths and times at once. */
const RESERVE_BYTES: number = MIB
/** So much at most is taken from the reserve first, which keeps small things together. */
const SMALL_BYTES_MAX: number = 4 * KIB
/** Buffers that sockets receive into take so much of the limit at most. */
const SEGMENTS_SHARE = 3 / 4

export interface IoMemoryOptions {
  readonly kernel: Kernel
  /** The first arena, which is registered with the rings: a power of two. */
  readonly sizeBytes: number
  /** What all arenas together may reach, but for the reserve. */
  readonly sizeBytesMax: number
  readonly checks: MemoryChecks
  /** Where it counts. */
  readonly home: Counters
  /** Told of each stretch of memory before anything is lent from it. */
  readonly onMemory?: (memory: KernelMemory) => void
}

/**
 * The memory of one executor that the kernel may touch: aligned, at stable addresses, reused.
 *
 * Nothing is mapped before it is asked for. The first arena is to be registered with the rings; when it is exhausted more are added,
 * which are not, up to a limit. Beside them is a reserve of 1 MiB that neither users nor buffers of sockets get
 * any of: paths, addresses, what is copied for a file and some of what is sent find room there, however
 * much others hold.
 * Memory is committed as it is touched. O(log n) per lease. Belongs to one thread.
 */
export class IoMemory {
  readonly checks: MemoryChecks
  readonly #kernel: Kernel
  readonly #sizeBytes: number
  readonly #home: Counters
  readonly #sizeBytesMax: number
  readonly #onMemory: (memory: KernelMemory) => void
  readonly #arenas: Arena[] = []
  #reserve: Arena | null = null
  /** What sockets have to receive into. */
  #segmentBytes = 0
  /** Why there was no other arena, when that was tried last. */
  #growthFailure: unknown = null

  constructor(options: IoMemoryOptions) {
    this.checks = options.checks
    this.#kernel = options.kernel
    this.#home = options.home
    this.#sizeBytes = options.sizeBytes
    this.#sizeBytesMax = options.sizeBytesMax
    this.#onMemory = options.onMemory ?? ((): void => {})
    this.#home.counters[COUNTER_MEMORY_LIMIT] = options.sizeBytesMax
  }

  /** The arena to register. @throws {RuntimeError} `ERR_OUT_OF_MEMORY`, `ERR_UNSUPPORTED` */
  get primary(): Arena {
    if (this.#arenas.length === 0) this.#addArena(this.#sizeBytes)
    return this.#arenas[0]!
  }

  /** What only percore itself takes from; its pages are small ones. @throws as {@link primary}. */
  get reserve(): Arena {
    this.#reserve ??= this.#createArena(RESERVE_BYTES)
    return this.#reserve
  }

  /** How many bytes of the first arena the rings know as registered buffers. */
  get registeredBytes(): number {
    return this.#arenas[0]?.registeredBytes ?? 0
  }

  /** Whether that is all of it. */
  get isRegistered(): boolean {
    const [first] = this.#arenas
    return first !== undefined && first.registeredBytes === first.allocator.sizeBytes
  }

  /** Bytes in use, rounded up to blocks; the reserve's included. */
  get usedBytes(): number {
    let bytes = this.#reserve?.allocator.usedBytes ?? 0
    for (const arena of this.#arenas) bytes += arena.allocator.usedBytes
    return bytes
  }

  /** Bytes of all arenas, without the reserve. */
  get sizeBytes(): number {
    let bytes = 0
    for (const arena of this.#arenas) bytes += arena.allocator.sizeBytes
    return bytes
  }

  /** What {@link sizeBytes} may reach. */
  get sizeBytesMax(): number {
    return this.#sizeBytesMax
  }

  /** Leases not yet released, or still with the kernel. */
  get leasedCount(): number {
    let count = this.#reserve?.leasedCount ?? 0
    for (const arena of this.#arenas) count += arena.leasedCount
    return count
  }

  /**
   * A lease for users on exactly `lengthBytes`, aligned to its size rounded up to a power of two (at most
   * the arena's), so that every one from 4 KiB up suits direct I/O. It holds whatever was there.
   *
   * @throws {RuntimeError} `ERR_OUT_OF_MEMORY` when the limit is reached, or for more than 1 GiB.
   */
  allocate(lengthBytes: number): Lease {
    return this.#tryArenas(lengthBytes, false) ?? this.#refuse(lengthBytes)
  }

  /** The same, but null rather than an error. */
  tryAllocate(lengthBytes: number): Lease | null {
    return this.#tryArenas(lengthBytes, false)
  }

  /**
   * The same for percore itself, which may use the reserve. Its bytes are for nobody else to see, as
   * their ArrayBuffer is the whole arena's.
   *
   * @throws {RuntimeError} `ERR_OUT_OF_MEMORY`
   */
  allocateOwn(lengthBytes: number): Lease {
    if (lengthBytes <= SMALL_BYTES_MAX) {
      const lease = this.#tryReserve(lengthBytes)
      if (lease !== null) return lease
    }
    return (
      this.#tryArenas(lengthBytes, true) ??
      this.#tryReserve(lengthBytes) ??
      this.#refuse(lengthBytes)
    )
  }

  /** Memory for percore itself that is not of the reserve; null if there is none. */
  tryAllocateUnreserved(lengthBytes: number): Lease | null {
    return this.#tryArenas(lengthBytes, true)
  }

  /** Memory for percore itself that is of the reserve; null if there is none. */
  tryAllocateReserved(lengthBytes: number): Lease | null {
    return this.#tryReserve(lengthBytes)
  }

  /**
   * Memory for buffers that sockets receive into: at most three quarters of the limit in all. Without its
   * first ones a socket receives nothing at all: these are of the reserve, if need be.
   *
   * @throws {RuntimeError} `ERR_OUT_OF_MEMORY`
   */
  allocateSegment(lengthBytes: number, isFirst: boolean): Segment {
    const isWithin = this.#segmentBytes + lengthBytes <= this.#sizeBytesMax * SEGMENTS_SHARE
    let lease = isWithin ? this.#tryArenas(lengthBytes, true) : null
    if (lease === null && isFirst) lease = this.#tryReserve(lengthBytes)
    lease ??= this.#refuse(lengthBytes)
    this.#segmentBytes += lengthBytes
    const { address } = lease
    const arena = this.#arenas.find((candidate) => candidate.contains(address)) ?? this.reserve
    return new Segment(arena.memory, lease, () => {
      this.#segmentBytes -= lengthBytes
    })
  }

  #tryReserve(lengthBytes: number): Lease | null {
    try {
      const { reserve } = this
      return reserve.tryLease(lengthBytes, reserve.inside)
    } catch (error) {
      return this.#noteFailure(error)
    }
  }

  /** A lease of the arenas that there are, or of another one; null if the limit is reached. */
  #tryArenas(lengthBytes: number, isOwn: boolean): Lease | null {
    if (lengthBytes > BLOCK_BYTES_MAX) return null
    for (const arena of this.#arenas) {
      const lease = arena.tryLease(lengthBytes, isOwn ? arena.inside : arena)
      if (lease !== null) return lease
    }
    const arena = this.#tryGrow(lengthBytes)
    if (arena === null) return null
    const lease = arena.tryLease(lengthBytes, isOwn ? arena.inside : arena)
    assert(lease !== null, 'an arena is made large enough')
    return lease
  }

  /** As much more as usual, or as the limit leaves; null if that does not hold what is asked for. */
  #tryGrow(lengthBytes: number): Arena | null {
    const neededBytes = Math.max(BLOCK_BYTES_MIN, nextPowerOfTwo(lengthBytes))
    try {
      if (this.#arenas.length === 0 && this.primary.allocator.sizeBytes >= neededBytes)
        return this.primary
    } catch (error) {
      return this.#noteFailure(error)
    }
    const leftBytes = this.#sizeBytesMax - this.sizeBytes
    if (neededBytes > leftBytes) return null
    const usualBytes = Math.min(GROWTH_BYTES, 2 ** Math.floor(Math.log2(leftBytes)))
    try {
      return this.#addArena(Math.max(usualBytes, neededBytes))
    } catch (error) {
      return this.#noteFailure(error)
    }
  }

  #addArena(sizeBytes: number): Arena {
    const arena = this.#createArena(sizeBytes)
    this.#arenas.push(arena)
    this.#home.counters[COUNTER_MEMORY_SIZE]! += sizeBytes
    return arena
  }

  #noteFailure(error: unknown): null {
    if (!(error instanceof RuntimeError) || error.code !== 'ERR_OUT_OF_MEMORY') throw error
    this.#growthFailure = error.cause
    return null
  }

  #createArena(sizeBytes: number): Arena {
    let memory: KernelMemory
    try {
      memory = this.#kernel.allocate(sizeBytes)
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause
      throw noneLeft(sizeBytes, cause)
    }
    this.#onMemory(memory)
    const parts = { checks: this.checks, home: this.#home }
    return new Arena(memory, new BuddyAllocator(sizeBytes, BLOCK_BYTES_MIN), parts)
  }

  #refuse(lengthBytes: number): never {
    const cause = this.#growthFailure
    this.#growthFailure = null
    if (cause !== null) throw noneLeft(lengthBytes, cause)
    throw new RuntimeError(
      'ERR_OUT_OF_MEMORY',
      `Cannot allocate I/O memory as its limit is ${this.#sizeBytesMax} bytes: ${this.usedBytes} are in use, ${lengthBytes} more are needed${this.checks.describeHolders()}`,
    )
  }
}

function noneLeft(lengthBytes: number, cause: unknown): RuntimeError {
  return new RuntimeError(
    'ERR_OUT_OF_MEMORY',
    `Cannot allocate ${lengthBytes} bytes of I/O memory as the process has none left`,
    { cause },
  )
}
