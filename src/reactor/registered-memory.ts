import { assert, KIB } from '../base/index.ts'
import {
  ENOMEM,
  IORING_REGISTER_BUFFERS,
  IORING_UNREGISTER_BUFFERS,
  type Kernel,
} from '../kernel/index.ts'
import type { IoMemory } from '../memory/index.ts'
import type { Ring } from '../ring/index.ts'

/** The smallest piece that is registered by itself. */
const PIECE_BYTES_MIN: number = 64 * KIB
/** What is left of the limit of locked memory: rings of buffers for sockets are counted too. */
const HEADROOM_BYTES: number = 512 * KIB
// ABI: struct iovec, as four words.
const VECTOR_WORDS = 4

/**
 * The part of the first arena that the rings know as registered buffers, which spares the kernel the
 * pinning of pages per operation.
 *
 * All of it as one buffer, or as much as the limit of locked memory leaves, in pieces that are powers of
 * two, one behind the other, each half as long as the one before or less: so that a block of the arena
 * lies in one or in none. Each further ring has as many of the same pieces as fit. Where nothing fits
 * everything works without.
 */
export class RegisteredMemory {
  readonly #kernel: Kernel
  readonly #memory: IoMemory
  readonly #rings: Iterable<Ring>
  #pieces: readonly number[] = []
  #isTried = false
  #error = 0

  /** `rings`: the one that has the most of it first. */
  constructor(kernel: Kernel, memory: IoMemory, rings: Iterable<Ring>) {
    this.#kernel = kernel
    this.#memory = memory
    this.#rings = rings
  }

  /** Why some or all of it is not registered: a negative error number, else 0. */
  get error(): number {
    return this.#error
  }

  /** Registers as much as can be with all rings. Once, while nothing of it is in use; again is nothing. */
  register(): void {
    if (this.#isTried) return
    this.#isTried = true
    for (const ring of this.#rings) {
      if (ring.index === 0) this.#registerFirst(ring)
      else this.attach(ring)
    }
  }

  /** Gives a further ring what the others have. */
  attach(ring: Ring): void {
    if (this.#isTried) this.#registerMore(ring)
  }

  #registerFirst(ring: Ring): void {
    const { primary } = this.#memory
    assert(this.#pieces.length === 0, 'memory is cut into pieces once')
    this.#pieces = this.#findPieces(ring, primary.memory.bytes.length)
    ring.registeredBufferCount = this.#pieces.length
    primary.noteRegistered(this.#pieces)
  }

  /** Registers as many of the same pieces as fit. */
  #registerMore(ring: Ring): void {
    assert(ring.registeredBufferCount === 0, 'memory is registered with a ring once')
    let pieces = this.#pieces
    while (pieces.length > 0 && this.#try(ring, pieces) < 0) pieces = pieces.slice(0, -1)
    ring.registeredBufferCount = pieces.length
  }

  #findPieces(ring: Ring, sizeBytes: number): readonly number[] {
    this.#error = this.#try(ring, [sizeBytes])
    if (this.#error === 0) return [sizeBytes]
    const pieces: number[] = []
    for (let bytes = sizeBytes / 2; bytes >= PIECE_BYTES_MIN; bytes /= 2) {
      const result = this.#try(ring, [...pieces, bytes])
      if (result === 0) pieces.push(bytes)
      else if (result !== -ENOMEM) return []
    }
    // The last attempt may have failed, and left nothing.
    if (pieces.length > 0 && this.#set(ring, pieces, false) < 0) return []
    return pieces
  }

  /** Registers the pieces if there is room for them and the headroom; 0, or a negative error number. */
  #try(ring: Ring, pieces: readonly number[]): number {
    const result = this.#set(ring, pieces, true)
    return result < 0 ? result : this.#set(ring, pieces, false)
  }

  #set(ring: Ring, pieces: readonly number[], hasHeadroom: boolean): number {
    const { fd } = ring.memory
    // -ENXIO if nothing is.
    this.#kernel.register(fd, IORING_UNREGISTER_BUFFERS, null, 0)
    const count = pieces.length + (hasHeadroom ? 1 : 0)
    const vectors = new Uint32Array(count * VECTOR_WORDS)
    const { primary, reserve } = this.#memory
    let { address } = primary.memory
    for (const [index, bytes] of pieces.entries()) {
      writeVector(vectors, index, address, bytes)
      address += bytes
    }
    const endAddress = primary.memory.address + primary.memory.bytes.length
    assert(address <= endAddress, 'what is registered lies in the arena')
    // Of the reserve, since of a huge page the whole is counted.
    if (hasHeadroom) writeVector(vectors, pieces.length, reserve.memory.address, HEADROOM_BYTES)
    return Math.min(0, this.#kernel.register(fd, IORING_REGISTER_BUFFERS, vectors, count))
  }
}

function writeVector(
  words: Uint32Array,
  index: number,
  address: number,
  lengthBytes: number,
): void {
  const base = index * VECTOR_WORDS
  assert(base + VECTOR_WORDS <= words.length, 'a vector has a place for each piece')
  words[base] = address
  words[base + 1] = address / 2 ** 32
  words[base + 2] = lengthBytes
  words[base + 3] = lengthBytes / 2 ** 32
}
