import { assert } from '../../base/index.ts'
import type { Lease } from '../../memory/index.ts'

// ABI: struct msghdr, in words: name (two), its length, padding, vectors (two), their count (two), control (two),
// its length (two), flags, padding. struct iovec, in words: address (two), length (two).
const WORD_VECTORS = 4
const WORD_COUNT = 6
const HEADER_WORDS = 14
const VECTOR_WORDS = 4
const WORD_RANGE = 2 ** 32

/** A `struct msghdr` and its vectors, in memory that the kernel reads as a request is submitted. */
export class MessageHeader {
  readonly #lease: Lease
  readonly #words: Uint32Array
  readonly #partsMax: number
  /** The parts from this one on are not sent yet. */
  #firstPart = 0
  #partCount = 0

  /** Takes over the lease, which is aligned to words of 64 bits; see {@link messageHeaderBytes}. */
  constructor(lease: Lease, partsMax: number) {
    const { bytes } = lease
    assert(bytes.length >= messageHeaderBytes(partsMax), 'a header and its vectors fit')
    this.#lease = lease
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2)
    this.#partsMax = partsMax
  }

  /** Where it is, for the kernel. */
  get address(): number {
    return this.#lease.address
  }

  /** How many more parts it has room for. */
  get freeCount(): number {
    return this.#partsMax - this.#partCount
  }

  /** Begins anew, without parts. */
  clear(): void {
    this.#words.fill(0, 0, HEADER_WORDS)
    this.#firstPart = 0
    this.#partCount = 0
    this.#point()
  }

  /** One more piece of memory, behind the others. */
  add(address: number, lengthBytes: number): void {
    assert(this.freeCount > 0, 'a part has a vector')
    assert(lengthBytes > 0, 'a part has bytes')
    this.#write(this.#partCount, address, lengthBytes)
    this.#partCount++
    this.#words[WORD_COUNT] = this.#partCount - this.#firstPart
  }

  /** Takes off so many bytes from the beginning, which were sent. */
  skip(lengthBytes: number): void {
    let left = lengthBytes
    while (left > 0) {
      const base = this.#baseOf(this.#firstPart)
      const words = this.#words
      const partBytes = words[base + 2]! + words[base + 3]! * WORD_RANGE
      if (left < partBytes) {
        const address = words[base]! + words[base + 1]! * WORD_RANGE
        this.#write(this.#firstPart, address + left, partBytes - left)
        break
      }
      left -= partBytes
      this.#firstPart++
      assert(this.#firstPart <= this.#partCount, 'no more is sent than there was')
    }
    this.#point()
  }

  release(): void {
    this.#lease.release()
  }

  #point(): void {
    const address = this.address + this.#baseOf(this.#firstPart) * 4
    this.#words[WORD_VECTORS] = address
    this.#words[WORD_VECTORS + 1] = address / WORD_RANGE
    this.#words[WORD_COUNT] = this.#partCount - this.#firstPart
  }

  #write(part: number, address: number, lengthBytes: number): void {
    const base = this.#baseOf(part)
    this.#words[base] = address
    this.#words[base + 1] = address / WORD_RANGE
    this.#words[base + 2] = lengthBytes
    this.#words[base + 3] = lengthBytes / WORD_RANGE
  }

  #baseOf(part: number): number {
    return HEADER_WORDS + part * VECTOR_WORDS
  }
}

/** How much memory a header with so many parts takes. */
export function messageHeaderBytes(partsMax: number): number {
  return (HEADER_WORDS + partsMax * VECTOR_WORDS) * 4
}
