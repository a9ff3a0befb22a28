import { assert } from '../../base/index.ts'
import { SCM_RIGHTS, SOL_SOCKET } from '../../kernel/index.ts'
import type { Lease } from '../../memory/index.ts'

// ABI: struct msghdr, in words: name (two), its length, padding, vectors (two), their count (two), control (two),
// its length (two), flags, padding. struct iovec, in words: address (two), length (two).
const WORD_VECTORS = 4
const WORD_COUNT = 6
const HEADER_WORDS = 14
const VECTOR_WORDS = 4
const WORD_CONTROL = 8
const WORD_CONTROL_BYTES = 10
// ABI: struct cmsghdr, in words: length (two), level, type; its data follow.
const CONTROL_HEAD_WORDS = 4
const WORD_RANGE = 2 ** 32

/** How many descriptors a header has room for: so many that one of all parts is as large as it was without them. */
export const RIGHTS_SENT_MAX = 32
const CONTROL_WORDS = CONTROL_HEAD_WORDS + RIGHTS_SENT_MAX

/** A `struct msghdr`, its vectors and its control data, in memory that the kernel reads as a request is submitted. */
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

  /** Sends descriptors along with the first byte. */
  setRights(fds: readonly number[]): void {
    assert(fds.length > 0 && fds.length <= RIGHTS_SENT_MAX, 'a header has room for descriptors')
    const words = this.#words
    const base = this.#baseOf(this.#partsMax)
    const lengthBytes = (CONTROL_HEAD_WORDS + fds.length) * 4
    words[base] = lengthBytes
    words[base + 1] = 0
    words[base + 2] = SOL_SOCKET
    words[base + 3] = SCM_RIGHTS
    words.set(fds, base + CONTROL_HEAD_WORDS)
    const address = this.address + base * 4
    words[WORD_CONTROL] = address
    words[WORD_CONTROL + 1] = address / WORD_RANGE
    words[WORD_CONTROL_BYTES] = lengthBytes
  }

  /** Takes off so many bytes from the beginning, which were sent. */
  skip(lengthBytes: number): void {
    let left = lengthBytes
    // Descriptors went with the first of them.
    if (left > 0) this.#words[WORD_CONTROL_BYTES] = 0
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

/** How much memory a header with so many parts takes, and with descriptors. */
export function messageHeaderBytes(partsMax: number): number {
  return (HEADER_WORDS + partsMax * VECTOR_WORDS + CONTROL_WORDS) * 4
}
