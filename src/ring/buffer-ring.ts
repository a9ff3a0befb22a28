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

/** One stretch of buffers that were added together. */
interface Segment {
  readonly lease: Lease
  readonly memory: ArrayBuffer
  readonly startBytes: number
  readonly lengthBytes: number
  readonly firstBuffer: number
}

/** No buffer: what {@link BufferRing.locate} answers for memory that is not of the group. */
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
 * A buffer is with the kernel, with users (counted: the last {@link release} gives it back to the
 * kernel), or not made yet: memory is taken as it is needed, and kept. The ring of entries is
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
  readonly #segments: Segment[] = []
  readonly #addresses: number[] = []
  readonly #wholes: Uint8Array<ArrayBuffer>[] = []
  /** The view given out last for each: messages of one size then allocate none. */
  readonly #views: Uint8Array<ArrayBuffer>[] = []
  readonly #useCounts: Uint16Array
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
    this.#useCounts = new Uint16Array(entryCount)
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

  /** Takes note that a completion named `buffer`: one use of it begins. */
  receive(buffer: number): void {
    assert(this.#useCounts[buffer] === 0, 'a buffer comes from the kernel once')
    this.#useCounts[buffer] = 1
    this.#userCount++
  }

  /** Begins another use of a buffer that is with users. */
  retain(buffer: number): void {
    assert(this.#useCounts[buffer]! > 0, 'a buffer is retained by users only')
    this.#useCounts[buffer]!++
  }

  /** Ends one use; true if it was the last, and the kernel has the buffer again. */
  release(buffer: number): boolean {
    const useCount = this.#useCounts[buffer]!
    assert(useCount > 0, 'each use of a buffer ends once')
    this.#useCounts[buffer] = useCount - 1
    if (useCount > 1) return false
    this.#userCount--
    this.#publish(buffer)
    return true
  }

  /** Whether users have `buffer`. */
  isInUse(buffer: number): boolean {
    return this.#useCounts[buffer]! > 0
  }

  /** The first `lengthBytes` of a buffer; the same view again for the same length. */
  view(buffer: number, lengthBytes: number): Uint8Array<ArrayBuffer> {
    const last = this.#views[buffer]!
    if (last.length === lengthBytes) return last
    const view = this.#wholes[buffer]!.subarray(0, lengthBytes)
    this.#views[buffer] = view
    return view
  }

  /** The view given out last. */
  lastView(buffer: number): Uint8Array<ArrayBuffer> {
    return this.#views[buffer]!
  }

  /** Bytes of a buffer from somewhere within. */
  slice(buffer: number, startBytes: number, endBytes: number): Uint8Array<ArrayBuffer> {
    return this.#wholes[buffer]!.subarray(startBytes, endBytes)
  }

  /** The buffer that `data` lies in, or {@link NO_BUFFER}. */
  locate(data: Uint8Array): number {
    const memory = data.buffer
    for (const segment of this.#segments) {
      if (segment.memory !== memory) continue
      const offsetBytes = data.byteOffset - segment.startBytes
      if (offsetBytes < 0 || offsetBytes >= segment.lengthBytes) continue
      const index = Math.floor(offsetBytes / this.bufferBytes)
      const isWithin = offsetBytes + data.length <= (index + 1) * this.bufferBytes
      return isWithin ? segment.firstBuffer + index : NO_BUFFER
    }
    return NO_BUFFER
  }

  /** Where `data`, which lies in `buffer`, is for the kernel. */
  addressOf(buffer: number, data: Uint8Array): number {
    return this.#addresses[buffer]! + data.byteOffset - this.#wholes[buffer]!.byteOffset
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
    for (const { lease } of this.#segments) lease.release()
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
    const lease = this.#memory.allocate(count * bufferBytes)
    const bytes = lease.bytes as Uint8Array<ArrayBuffer>
    const firstBuffer = this.bufferCount
    this.#segments.push({
      lease,
      memory: bytes.buffer,
      startBytes: bytes.byteOffset,
      lengthBytes: count * bufferBytes,
      firstBuffer,
    })
    for (let index = 0; index < count; index++) {
      const whole = bytes.subarray(index * bufferBytes, (index + 1) * bufferBytes)
      this.#addresses.push(lease.address + index * bufferBytes)
      this.#wholes.push(whole)
      this.#views.push(whole)
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
