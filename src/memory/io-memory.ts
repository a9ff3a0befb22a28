import { assert, GIB, MIB, nextPowerOfTwo, RuntimeError } from '../base/index.ts'
import type { Kernel } from '../kernel/index.ts'
import { Arena } from './arena.ts'
import { BuddyAllocator } from './buddy.ts'
import type { Lease } from './lease.ts'

/** The smallest piece: holds a socket address, a timespec, a short message. */
const BLOCK_BYTES_MIN = 512
const GROWTH_BYTES: number = 16 * MIB
/** The largest power of two that a block can have. */
const BLOCK_BYTES_MAX: number = GIB

export interface IoMemoryOptions {
  readonly kernel: Kernel
  /** The first arena, which is registered with the rings: a power of two. */
  readonly sizeBytes: number
  /** What all arenas together may reach. */
  readonly sizeBytesMax: number
}

/**
 * The memory of one executor that the kernel may touch: aligned, at stable addresses, reused.
 *
 * The first arena is to be registered with the rings; when it is exhausted more are added, which
 * are not, up to a limit. O(log n) per buffer. Belongs to one thread.
 */
export class IoMemory {
  readonly #kernel: Kernel
  readonly #sizeBytesMax: number
  readonly #arenas: Arena[] = []

  constructor(options: IoMemoryOptions) {
    this.#kernel = options.kernel
    this.#sizeBytesMax = options.sizeBytesMax
    this.#addArena(options.sizeBytes)
  }

  /** The arena to register. */
  get primary(): Arena {
    return this.#arenas[0]!
  }

  /** Bytes in use, rounded up to blocks. */
  get usedBytes(): number {
    let bytes = 0
    for (const arena of this.#arenas) bytes += arena.allocator.usedBytes
    return bytes
  }

  /** Bytes of all arenas. */
  get sizeBytes(): number {
    let bytes = 0
    for (const arena of this.#arenas) bytes += arena.allocator.sizeBytes
    return bytes
  }

  /** Leases not yet released, or still with the kernel. */
  get leasedCount(): number {
    let count = 0
    for (const arena of this.#arenas) count += arena.leasedCount
    return count
  }

  /**
   * A buffer of exactly `lengthBytes`, aligned to its size rounded up to a power of two (at most the
   * arena's), so that every buffer from 4 KiB up suits direct I/O. Its contents are whatever was there.
   *
   * @throws {RuntimeError} `ERR_OUT_OF_MEMORY` when the limit is reached, or for more than 1 GiB.
   */
  allocate(lengthBytes: number): Lease {
    if (lengthBytes > BLOCK_BYTES_MAX) throw this.#exhausted(lengthBytes)
    for (const arena of this.#arenas) {
      const lease = arena.tryLease(lengthBytes)
      if (lease !== null) return lease
    }
    const lease = this.#addArena(this.#growthFor(lengthBytes)).tryLease(lengthBytes)
    assert(lease !== null, 'an arena is made large enough')
    return lease
  }

  #exhausted(bytes: number): RuntimeError {
    return new RuntimeError(
      'ERR_OUT_OF_MEMORY',
      `Cannot allocate I/O memory as its limit is ${this.#sizeBytesMax} bytes: ${this.usedBytes} are in use, ${bytes} more are needed`,
    )
  }

  /** As much as usual, or as the limit leaves, if that holds what is asked for. */
  #growthFor(lengthBytes: number): number {
    const leftBytes = this.#sizeBytesMax - this.sizeBytes
    const neededBytes = Math.max(BLOCK_BYTES_MIN, nextPowerOfTwo(lengthBytes))
    if (neededBytes > leftBytes) throw this.#exhausted(lengthBytes)
    const usualBytes = Math.min(GROWTH_BYTES, 2 ** Math.floor(Math.log2(leftBytes)))
    return Math.max(usualBytes, neededBytes)
  }

  #addArena(bytes: number): Arena {
    let memory: Uint8Array<ArrayBuffer>
    try {
      memory = this.#kernel.allocate(bytes)
    } catch (cause) {
      throw new RuntimeError(
        'ERR_OUT_OF_MEMORY',
        `Cannot allocate ${bytes} bytes of I/O memory as the process has none left`,
        { cause },
      )
    }
    const allocator = new BuddyAllocator(bytes, BLOCK_BYTES_MIN)
    const arena = new Arena(memory, this.#kernel.addressOf(memory), allocator)
    this.#arenas.push(arena)
    return arena
  }
}
