import type { AddressSpace } from './address-space.ts'

// ABI: struct io_uring_buf: address, length, identity; the tail is in what entry 0 has left over.
const ENTRY_BYTES = 16
const TAIL_OFFSET = 14

/** A provided buffer that the kernel may fill. */
export interface ProvidedBuffer {
  readonly address: number
  readonly lengthBytes: number
  readonly id: number
}

/** A ring of provided buffers: user space moves the tail, the kernel takes from the head. */
export class BufferGroup {
  readonly #memory: AddressSpace
  readonly #address: number
  readonly #mask: number
  /** Whether buffers are filled piece by piece: what is left of one is in its entry. */
  readonly #isIncremental: boolean
  #head = 0

  constructor(memory: AddressSpace, address: number, entryCount: number, isIncremental: boolean) {
    this.#isIncremental = isIncremental
    this.#memory = memory
    this.#address = address
    this.#mask = entryCount - 1
  }

  /** Buffers to take. */
  get availableCount(): number {
    return (this.#view(TAIL_OFFSET, 2).getUint16(0, true) - this.#head) & 0xffff
  }

  /** The next buffer, or one behind it, or null; it stays in until {@link take}. */
  peek(index = 0): ProvidedBuffer | null {
    if (this.availableCount <= index) return null
    const entry = this.#entry(index)
    return {
      address: Number(entry.getBigUint64(0, true)),
      lengthBytes: entry.getUint32(8, true),
      id: entry.getUint16(12, true),
    }
  }

  /** Takes so much of the next buffer; true if that goes on, with what is left of it. */
  take(lengthBytes: number): boolean {
    const entry = this.#entry(0)
    const leftBytes = entry.getUint32(8, true) - lengthBytes
    if (this.#isIncremental && leftBytes > 0) {
      entry.setBigUint64(0, entry.getBigUint64(0, true) + BigInt(lengthBytes), true)
      entry.setUint32(8, leftBytes, true)
      return true
    }
    this.#head = (this.#head + 1) & 0xffff
    return false
  }

  #entry(index: number): DataView {
    return this.#view(((this.#head + index) & this.#mask) * ENTRY_BYTES, ENTRY_BYTES)
  }

  #view(offset: number, lengthBytes: number): DataView {
    const bytes = this.#memory.view(this.#address + offset, lengthBytes)!
    return new DataView(bytes.buffer, bytes.byteOffset, lengthBytes)
  }
}
