import type { BuddyAllocator } from './buddy.ts'
import { Lease, type LeaseOwner } from './lease.ts'

/** One stretch of memory that the kernel may touch, and who has which part of it. */
export class Arena implements LeaseOwner {
  readonly memory: Uint8Array<ArrayBuffer>
  readonly address: number
  readonly allocator: BuddyAllocator
  /** Its index among the rings' registered buffers, or -1. */
  bufferIndex = -1
  /** Pieces that are leased, or still with the kernel. */
  leasedCount = 0

  constructor(memory: Uint8Array<ArrayBuffer>, address: number, allocator: BuddyAllocator) {
    this.memory = memory
    this.address = address
    this.allocator = allocator
  }

  /** A lease on `lengthBytes`, or null where no such piece is free. */
  tryLease(lengthBytes: number): Lease | null {
    const offset = this.allocator.allocate(lengthBytes)
    if (offset === -1) return null
    this.leasedCount++
    return new Lease(this, offset, 0, lengthBytes)
  }

  addressOf(offset: number): number {
    return this.address + offset
  }

  bufferIndexOf(_offset: number): number {
    return this.bufferIndex
  }

  viewOf(offset: number, startBytes: number, lengthBytes: number): Uint8Array {
    return this.memory.subarray(offset + startBytes, offset + startBytes + lengthBytes)
  }

  free(offset: number, _lease: Lease): void {
    this.allocator.free(offset)
    this.leasedCount--
  }
}
