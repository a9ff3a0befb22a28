import { assert } from '../base/index.ts'
import type { KernelMemory } from '../kernel/index.ts'
import { COUNTER_MEMORY_REGISTERED, type Counters } from '../stats/index.ts'
import type { BuddyAllocator } from './buddy.ts'
import { Lease, type LeaseOwner, type MemoryPlace } from './lease.ts'
import { markLent } from './lent.ts'
import type { MemoryChecks } from './memory-checks.ts'

/** ABI: the smallest piece, shared with native/memory.c: a socket address, a timespec, a short message. */
export const BLOCK_BYTES_MIN = 512

/**
 * One stretch of memory that the kernel may touch, and which parts of it are taken.
 *
 * Leases of users show an ArrayBuffer for each block, made when it is first looked at and kept with
 * the block, so that a clone copies nobody else's data. A block whose ArrayBuffer a holder has
 * detached (transferred, or given to a byte stream) belongs to whoever has it then, and is used again
 * only once that has been collected. O(log n) per lease.
 */
export class Arena implements LeaseOwner {
  readonly memory: KernelMemory
  readonly allocator: BuddyAllocator
  /** Lends the same blocks to percore itself, without ArrayBuffers of their own. */
  readonly inside: LeaseOwner
  readonly #checks: MemoryChecks
  /** By order, then by place among the blocks of that size: what users look through. */
  readonly #shares: (Uint8Array | undefined)[][] = []
  /** Blocks that others have detached. */
  readonly #lost: number[] = []
  #lostIndex = 0
  /** Blocks in use whose ArrayBuffer others have detached, which have another one since. */
  readonly #detached = new Set<number>()
  #leasedCount = 0
  readonly #home: Counters
  /** Of what is in use, how much is counted. */
  #countedBytes = 0
  /** Where each registered buffer of the rings ends; they lie one behind the other, from 0 on. */
  #registeredEnds: readonly number[] = []

  constructor(
    memory: KernelMemory,
    allocator: BuddyAllocator,
    { checks, home }: { readonly checks: MemoryChecks; readonly home: Counters },
  ) {
    assert(memory.bytes.length === allocator.sizeBytes, 'all of an arena is cut into blocks')
    this.memory = memory
    this.allocator = allocator
    this.inside = new Inside(this)
    this.#checks = checks
    this.#home = home
  }

  /** Pieces that are leased, or still with the kernel. */
  get leasedCount(): number {
    return this.#leasedCount
  }

  /** How many bytes from the beginning on the rings know as registered buffers. */
  get registeredBytes(): number {
    return this.#registeredEnds.at(-1) ?? 0
  }

  /** Takes note of what was registered with the rings: buffers one behind the other, by their lengths. */
  noteRegistered(lengths: readonly number[]): void {
    let endBytes = 0
    this.#registeredEnds = lengths.map((lengthBytes) => {
      endBytes += lengthBytes
      return endBytes
    })
    assert(endBytes <= this.allocator.sizeBytes, 'what is registered lies within the arena')
    this.#home.counters[COUNTER_MEMORY_REGISTERED] = endBytes
  }

  /** A lease on `lengthBytes` by way of `owner`, which is this or {@link inside}; null where none is free. */
  tryLease(lengthBytes: number, owner: LeaseOwner): Lease | null {
    if (this.#lost.length > 0) this.#recoverNext()
    let offset = this.allocator.allocate(lengthBytes)
    while (offset === -1) {
      if (!this.#recoverAny()) return null
      offset = this.allocator.allocate(lengthBytes)
    }
    this.#leasedCount++
    this.#count(1)
    const lease = new Lease(owner, offset, 0, lengthBytes)
    this.#checks.noteLeased(lease)
    return lease
  }

  addressOf(offset: number): number {
    return this.memory.address + offset
  }

  bufferIndexOf(offset: number): number {
    const ends = this.#registeredEnds
    for (let index = 0; index < ends.length; index++) {
      if (offset >= ends[index]!) continue
      // The block may be larger than what was registered of it.
      const endBytes = offset + blockBytesOf(this.allocator.orderAt(offset))
      return endBytes <= ends[index]! ? index : -1
    }
    return -1
  }

  viewOf(offset: number, startBytes: number, lengthBytes: number): Uint8Array {
    const order = this.allocator.orderAt(offset)
    const blockBytes = blockBytesOf(order)
    while (this.#shares.length <= order) this.#shares.push([])
    const shares = this.#shares[order]!
    let whole = shares[offset / blockBytes]
    if (whole === undefined || whole.length === 0) {
      if (whole !== undefined) this.#detached.add(offset)
      whole = markLent(this.memory.share(offset, blockBytes))
      shares[offset / blockBytes] = whole
    }
    // The common lease is on a whole block, whose view is there already.
    if (startBytes === 0 && lengthBytes === blockBytes) return whole
    return whole.subarray(startBytes, startBytes + lengthBytes)
  }

  placeOf(offset: number): MemoryPlace {
    return { memory: this.memory, offsetBytes: offset }
  }

  free(offset: number, lease: Lease): void {
    this.#leasedCount--
    this.#checks.noteFreed(lease)
    this.#giveBack(offset)
    this.#count(-1)
  }

  /** Whether what begins at an address is a part of it. */
  contains(address: number): boolean {
    const offset = address - this.memory.address
    return offset >= 0 && offset < this.allocator.sizeBytes
  }

  #giveBack(offset: number): void {
    const order = this.allocator.orderAt(offset)
    const blockBytes = blockBytesOf(order)
    const shares = this.#shares[order]
    const whole = shares?.[offset / blockBytes]
    if (whole !== undefined) {
      const isLost = whole.length === 0 || this.#detached.delete(offset)
      if (this.#checks.empties) {
        this.memory.empty(whole)
        shares![offset / blockBytes] = undefined
      }
      if (isLost) {
        this.#detached.delete(offset)
        this.#lose(offset)
        return
      }
    }
    if (this.#checks.poisons) this.#checks.poison(this.memory.bytes, offset, blockBytes)
    this.allocator.free(offset)
  }

  /** One lease more or less, and what is in use now. */
  #count(leaseChange: 1 | -1): void {
    const { counters } = this.#home
    const { usedBytes } = this.allocator
    counters[24]! += usedBytes - this.#countedBytes // COUNTER_MEMORY_USED
    counters[25]! += leaseChange // COUNTER_LEASES
    this.#countedBytes = usedBytes
  }

  // Those of other sizes that begin there are counted with it, so they are let go as well.
  #lose(offset: number): void {
    this.#lost.push(offset)
    for (let order = 0; order < this.#shares.length; order++) {
      const index = offset / blockBytesOf(order)
      if (Number.isInteger(index)) delete this.#shares[order]![index]
    }
  }

  /** Looks at one of the lost blocks, in turn; true if it is free again. */
  #recoverNext(): boolean {
    this.#lostIndex = (this.#lostIndex + 1) % this.#lost.length
    const offset = this.#lost[this.#lostIndex]!
    if (this.memory.shareCount(offset) > 0) return false
    this.#lost[this.#lostIndex] = this.#lost.at(-1)!
    this.#lost.pop()
    this.allocator.free(offset)
    return true
  }

  /** Looks at all of them, until one is. */
  #recoverAny(): boolean {
    for (let count = this.#lost.length; count > 0; count--) {
      if (this.#recoverNext()) return true
    }
    return false
  }
}

class Inside implements LeaseOwner {
  readonly #arena: Arena

  constructor(arena: Arena) {
    this.#arena = arena
  }

  addressOf(offset: number): number {
    return this.#arena.addressOf(offset)
  }

  bufferIndexOf(offset: number): number {
    return this.#arena.bufferIndexOf(offset)
  }

  viewOf(offset: number, startBytes: number, lengthBytes: number): Uint8Array {
    const { bytes } = this.#arena.memory
    return bytes.subarray(offset + startBytes, offset + startBytes + lengthBytes)
  }

  placeOf(offset: number): MemoryPlace {
    return this.#arena.placeOf(offset)
  }

  free(offset: number, lease: Lease): void {
    this.#arena.free(offset, lease)
  }
}

/** By a shift: a power of two costs a call each time that its exponent is no constant. An arena has 2^30 bytes at most. */
function blockBytesOf(order: number): number {
  return BLOCK_BYTES_MIN << order
}
