import { assert, isPowerOfTwo, RuntimeError } from '../base/index.ts'
import {
  IORING_REGISTER_PBUF_RING,
  IORING_UNREGISTER_PBUF_RING,
  type Kernel,
  kernelError,
} from '../kernel/index.ts'
import type { IoMemory, Lease } from '../memory/index.ts'
import type { Ring } from './ring.ts'

export interface BufferRingOptions {
  readonly kernel: Kernel
  readonly ring: Ring
  /** Where the buffers come from. */
  readonly memory: IoMemory
  /** Names the group in submission entries: unique in its ring. */
  readonly groupId: number
  /** How many buffers there can be: a power of two, at most 32,768. */
  readonly entryCount: number
  readonly bufferBytes: number
  /** How many there are at first; {@link BufferRing.grow} doubles. */
  readonly initialCount: number
}

/** No buffer: no number that a buffer has. */
export const NO_BUFFER = -1

// ABI: struct io_uring_buf is four words: address (two), length, id with the tail's half above it.
const ENTRY_WORDS = 4
const ENTRY_HALVES = 8
const HALF_ID = 6
/** ABI: the tail lies in the reserved half of the first entry. */
const HALF_TAIL = 7
// ABI: struct io_uring_buf_reg, in words: address (two), entries, group and flags, reserved (six).
const REGISTRATION_WORDS = 10
const ENTRIES_MAX = 32_768
const PAGE_BYTES = 4096
const SEGMENT_BYTES_MAX: number = 16 * 1024 * 1024

/**
 * Buffers that a ring's operations pick from when data has come, rather than hold while they wait.
 *
 * A buffer is with the kernel, with a user until {@link release}, or not made yet: memory is taken as it
 * is needed, and kept. The ring of entries is
 * ordinary memory of ours, never the kernel's own mapping (CVE-2024-0582). O(1). Linux 5.19.
 */
export class BufferRing {
  readonly groupId: number
  readonly bufferBytes: number
  readonly entryCount: number
  readonly #kernel: Kernel
  readonly #ring: Ring
  readonly #memory: IoMemory
  readonly #lease: Lease
  readonly #words: Uint32Array
  readonly #halves: Uint16Array
  readonly #mask: number
  readonly #segments: Lease[] = []
  readonly #addresses: number[] = []
  readonly #wholes: Uint8Array[] = []
  /** Which buffers users have. */
  readonly #isUsed: Uint8Array
  #tail = 0
  #userCount = 0

  /** @throws {KernelError} where the kernel refuses it; {@link RuntimeError} `ERR_OUT_OF_MEMORY`. */
  constructor(options: BufferRingOptions) {
    const { kernel, ring, memory, groupId, entryCount, bufferBytes, initialCount } = options
    assert(isPowerOfTwo(entryCount) && entryCount <= ENTRIES_MAX, 'entries are a power of two')
    assert(initialCount > 0 && initialCount <= entryCount, 'some buffers, and no more than fit')
    this.#kernel = kernel
    this.#ring = ring
    this.#memory = memory
    this.groupId = groupId
    this.entryCount = entryCount
    this.bufferBytes = bufferBytes
    this.#mask = entryCount - 1
    this.#isUsed = new Uint8Array(entryCount)
    // Leases are aligned to their size: at least a page makes the ring begin on one.
    this.#lease = memory.allocate(Math.max(PAGE_BYTES, entryCount * ENTRY_WORDS * 4))
    const { bytes } = this.#lease
    bytes.fill(0)
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, entryCount * ENTRY_WORDS)
    this.#halves = new Uint16Array(bytes.buffer, bytes.byteOffset, entryCount * ENTRY_HALVES)
    const result = this.#register(IORING_REGISTER_PBUF_RING)
    if (result < 0) {
      this.#lease.release()
      throw kernelError(result, { syscall: 'io_uring_register' })
    }
    this.#addSegment(initialCount)
  }

  /** Buffers that there are. */
  get bufferCount(): number {
    return this.#addresses.length
  }

  /** Buffers that the kernel may fill, or has filled without our having seen it. */
  get kernelCount(): number {
    return this.bufferCount - this.#userCount
  }

  /** Buffers that hold data for users. */
  get userCount(): number {
    return this.#userCount
  }

  /** Buffers that could still be made. */
  get freeCount(): number {
    return this.entryCount - this.bufferCount
  }

  /** Takes note that a completion named `buffer`, which its user has from now on. */
  receive(buffer: number): void {
    assert(this.#isUsed[buffer] === 0, 'a buffer comes from the kernel once')
    this.#isUsed[buffer] = 1
    this.#userCount++
  }

  /** Gives the kernel a buffer back. */
  release(buffer: number): void {
    assert(this.#isUsed[buffer] === 1, 'a buffer goes back to the kernel once')
    this.#isUsed[buffer] = 0
    this.#userCount--
    this.#publish(buffer)
  }

  /** Bytes of a buffer, where they lie. */
  view(buffer: number, startBytes: number, endBytes: number): Uint8Array {
    return this.#wholes[buffer]!.subarray(startBytes, endBytes)
  }

  /** A copy of bytes of a buffer. */
  copy(buffer: number, startBytes: number, endBytes: number): Uint8Array {
    return this.#wholes[buffer]!.slice(startBytes, endBytes)
  }

  /** Where a buffer is for the kernel. */
  addressOf(buffer: number): number {
    return this.#addresses[buffer]!
  }

  /** Makes more buffers, as many again; false if there is no room for any, or no memory. */
  grow(): boolean {
    const count = Math.min(
      this.bufferCount,
      this.freeCount,
      Math.max(1, SEGMENT_BYTES_MAX / this.bufferBytes),
    )
    if (count === 0) return false
    try {
      this.#addSegment(count)
    } catch (error) {
      if (error instanceof RuntimeError) return false
      throw error
    }
    return true
  }

  /** Takes the buffers from the kernel, which must have no operation left that may use them. */
  close(): void {
    this.#register(IORING_UNREGISTER_PBUF_RING)
    for (const segment of this.#segments) segment.release()
    this.#lease.release()
  }

  #register(opcode: number): number {
    const words = new Uint32Array(REGISTRATION_WORDS)
    if (opcode === IORING_REGISTER_PBUF_RING) {
      words[0] = this.#lease.address
      words[1] = this.#lease.address / 2 ** 32
      words[2] = this.entryCount
    }
    words[3] = this.groupId
    return this.#kernel.register(this.#ring.memory.fd, opcode, words, 1)
  }

  #addSegment(count: number): void {
    const { bufferBytes } = this
    const segment = this.#memory.allocate(count * bufferBytes)
    const { address, bytes } = segment
    const firstBuffer = this.bufferCount
    this.#segments.push(segment)
    for (let index = 0; index < count; index++) {
      this.#addresses.push(address + index * bufferBytes)
      this.#wholes.push(bytes.subarray(index * bufferBytes, (index + 1) * bufferBytes))
      this.#publish(firstBuffer + index)
    }
  }

  #publish(buffer: number): void {
    const entry = this.#tail & this.#mask
    const base = entry * ENTRY_WORDS
    const address = this.#addresses[buffer]!
    this.#words[base] = address
    this.#words[base + 1] = address / 2 ** 32
    this.#words[base + 2] = this.bufferBytes
    // Not as a word: above the first entry's id lies the tail.
    this.#halves[entry * ENTRY_HALVES + HALF_ID] = buffer
    this.#tail = (this.#tail + 1) & 0xffff
    // ORDER: release, pairs with the kernel's acquire of the tail; the entry before it is written.
    Atomics.store(this.#halves, HALF_TAIL, this.#tail)
  }
}
