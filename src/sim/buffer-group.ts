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
  #head = 0

  constructor(memory: AddressSpace, address: number, entryCount: number) {
    this.#memory = memory
    this.#address = address
    this.#mask = entryCount - 1
  }

  /** Buffers to take. */
  get availableCount(): number {
    return (this.#view(TAIL_OFFSET, 2).getUint16(0, true) - this.#head) & 0xffff
  }

  /** The next buffer, or null; it stays in until {@link take}. */
  peek(): ProvidedBuffer | null {
    if (this.availableCount === 0) return null
    const entry = this.#view((this.#head & this.#mask) * ENTRY_BYTES, ENTRY_BYTES)
    return {
      address: Number(entry.getBigUint64(0, true)),
      lengthBytes: entry.getUint32(8, true),
      id: entry.getUint16(12, true),
    }
  }

  take(): void {
    this.#head = (this.#head + 1) & 0xffff
  }

  #view(offset: number, lengthBytes: number): DataView {
    const bytes = this.#memory.view(this.#address + offset, lengthBytes)!
    return new DataView(bytes.buffer, bytes.byteOffset, lengthBytes)
  }
}
