import type { IoMemory, Lease } from '../../memory/index.ts'
import type { RawAddress } from './address-book.ts'

// ABI: the longest address of the internet, of IPv6, has 28 bytes: each lies in a row of 32.
const ROW_BYTES = 32
const ROW_WORDS: number = ROW_BYTES / 4
const NAME_BYTES_MAX = 28
const ROW_COUNT = 128

/**
 * Where the kernel reads who a datagram goes to, close together: a header in a buffer of its own each would miss the caches.
 *
 * A row is a send's until its last completion. O(1), no allocation.
 */
export class SendNames {
  readonly #memory: IoMemory
  #lease: Lease | null = null
  #words: Uint32Array = new Uint32Array(0)
  #address = 0
  /** Rows that nobody has; what was given back last is in the caches. */
  readonly #free: number[] = []

  constructor(memory: IoMemory) {
    this.#memory = memory
  }

  /** Rows that sends have. */
  get takenCount(): number {
    return this.#lease === null ? 0 : ROW_COUNT - this.#free.length
  }

  /** Where `name` lies now; 0 where all rows are taken, there is no memory for any, or it is longer. */
  take(name: RawAddress): number {
    if (name.lengthBytes > NAME_BYTES_MAX) return 0
    if (this.#lease === null && !this.#allocate()) return 0
    const row = this.#free.pop()
    if (row === undefined) return 0
    const { words } = name
    const base = row * ROW_WORDS
    for (let word = 0; word < words.length; word++) this.#words[base + word] = words[word]!
    return this.#address + row * ROW_BYTES
  }

  give(address: number): void {
    this.#free.push((address - this.#address) / ROW_BYTES)
  }

  #allocate(): boolean {
    const lease = this.#memory.tryAllocateUnreserved(ROW_COUNT * ROW_BYTES)
    if (lease === null) return false
    const { bytes, address } = lease
    this.#lease = lease
    this.#address = address
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, ROW_COUNT * ROW_WORDS)
    for (let row = ROW_COUNT - 1; row >= 0; row--) this.#free.push(row)
    return true
  }
}
