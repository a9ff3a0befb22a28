import { assert } from '../../base/index.ts'
import type { Lease } from '../../memory/index.ts'
import {
  encodeWrite,
  encodeWriteVectored,
  type MemoryRef,
  type Ring,
  type TransferArgs,
  writeVector,
} from '../../ring/index.ts'
import type { RangeHold } from '../ranges/range-lock.ts'
import { type BlockPlace, BlockTransfer } from './block-transfer.ts'

/** So many leases are written by one request at the most. */
const PARTS_MAX = 64
// ABI: struct iovec: address and length.
const VECTOR_BYTES = 16
const VECTOR_WORDS = 4

/** A part of a lease, pinned, that is written with those before it. */
interface Part extends MemoryRef {
  readonly lease: Lease
}

/** Writes one block of a stream, from one lease or several; a short write goes on by itself. */
export class BlockWrite extends BlockTransfer implements TransferArgs {
  readonly memory: MemoryRef = this
  /** Its place in the file, while it is written. */
  hold: RangeHold | null = null
  /** Whether it has ended, and those before it have not. */
  isDone = false
  /** What is written behind the part of its own lease. */
  readonly #more: Part[] = []
  /** What the kernel reads the places of all parts from. */
  #table: Lease | null = null

  get isWrite(): boolean {
    return true
  }

  /**
   * Takes, and pins, a part of another lease that comes next in the file; whether there was room for it. Only before it begins.
   */
  gather(lease: Lease, { fromBytes, lengthBytes }: BlockPlace): boolean {
    assert(!this.isInFlight, 'what is in flight takes no more')
    if (this.#more.length === PARTS_MAX - 1) return false
    const { memory } = this.descriptor.executor
    this.#table ??= memory.tryAllocateUnreserved(PARTS_MAX * VECTOR_BYTES)
    if (this.#table === null) return false
    lease.pin()
    this.#more.push({ lease, address: lease.address + fromBytes, lengthBytes, bufferIndex: -1 })
    this.moreBytes += lengthBytes
    return true
  }

  /** Gives back what was gathered, once it has ended. */
  scatter(): void {
    assert(!this.isInFlight, 'memory is the kernel’s until the block has ended')
    if (this.#table === null) return
    for (const { lease } of this.#more) lease.unpin()
    this.#more.length = 0
    this.moreBytes = 0
    this.#table.release()
    this.#table = null
  }

  protected get syscall(): string {
    return 'write'
  }

  protected override encode(ring: Ring, base: number): void {
    if (this.#table === null) {
      encodeWrite(ring.sqes, base, this)
      return
    }
    encodeWriteVectored(ring.sqes, base, {
      file: this.file,
      vectorAddress: this.#table.address,
      vectorCount: this.#writeTable(this.#table),
      offsetBytes: this.offsetBytes,
    })
  }

  /** Writes down where all is that is still to be written; how many places these are. */
  #writeTable({ bytes }: Lease): number {
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
    const { doneBytes } = this
    const firstBytes = doneBytes + this.lengthBytes - this.moreBytes
    // The address has moved on with what is done.
    const first = { address: this.address - doneBytes, lengthBytes: firstBytes, bufferIndex: -1 }
    let skipBytes = doneBytes
    let count = 0
    for (const { address, lengthBytes, bufferIndex } of [first, ...this.#more]) {
      if (skipBytes < lengthBytes) {
        const rest = {
          address: address + skipBytes,
          lengthBytes: lengthBytes - skipBytes,
          bufferIndex,
        }
        writeVector(words, count * VECTOR_WORDS, rest)
        count++
      }
      skipBytes = Math.max(0, skipBytes - lengthBytes)
    }
    assert(count > 0, 'something is left to be written')
    return count
  }
}
