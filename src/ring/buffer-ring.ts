import { assert, isPowerOfTwo, RuntimeError } from '../base/index.ts'
import {
  EINVAL,
  ENOMEM,
  IORING_REGISTER_PBUF_RING,
  IORING_UNREGISTER_PBUF_RING,
  IOU_PBUF_RING_INC,
  type Kernel,
  kernelError,
} from '../kernel/index.ts'
import type { IoMemory, Lease, MemoryPlace, Segment } from '../memory/index.ts'
import { BufferPieces } from './buffer-pieces.ts'
import type { Ring } from './ring.ts'

export interface BufferRingOptions {
  readonly kernel: Kernel
  readonly ring: Ring
  /** Where the buffers come from. */
  readonly memory: IoMemory
  /** Names the group in submission entries: unique in its ring. */
  readonly groupId: number
  /** How many buffers there can be: a power of two, at most 32,768; fewer if locked memory is short. */
  readonly entryCount: number
  readonly bufferBytes: number
  /** How many there are at first; {@link BufferRing.grow} doubles. */
  readonly initialCount: number
  /** Whether it rather fails to begin than takes of the reserve of memory; false if not given. */
  readonly isSpare?: boolean
  /**
   * Whether a buffer is filled piece by piece, where the kernel can; false if not given. Linux 6.12. For a ring that one request at a
   * time receives into: completions say how much came, not where, and those of several requests may not come in the order in
   * which these were served.
   */
  readonly incremental?: boolean
}

/** Bytes of a buffer that a completion has filled. */
export interface BufferPiece {
  readonly buffer: number
  readonly startBytes: number
  readonly endBytes: number
}

/** No buffer: no number that a buffer has. */
export const NO_BUFFER = -1

// ABI: struct io_uring_buf is four words: address (two), length, id with the tail's half above it.
const ENTRY_WORDS = 4
const ENTRY_HALVES = 8
const HALF_ID = 6
/** ABI: the tail lies in the reserved half of the first entry. */
const HALF_TAIL = 7
/** ABI: above the group's number. */
const GROUP_INCREMENTAL: number = IOU_PBUF_RING_INC << 16
// ABI: struct io_uring_buf_reg, in words: address (two), entries, group and flags, reserved (six).
const REGISTRATION_WORDS = 10
const ENTRIES_MAX = 32_768
const PAGE_BYTES = 4096
const SEGMENT_BYTES_MAX: number = 16 * 1024 * 1024
/** Where memory is short, a ring begins with so few. */
const FIRST_COUNT_MIN = 4

/**
 * Buffers that a ring's operations pick from when data has come, rather than hold while they wait.
 *
 * A completion has filled pieces of them: {@link take}. A buffer is with the kernel, with users until each of its pieces
 * was {@link release}d, or not made yet: memory is taken as it is needed, and kept. Users see a buffer through an ArrayBuffer of its own, made at the first look and
 * kept; where they have detached it, it is lost until that has been collected. The ring of entries is
 * ordinary memory of ours, never the kernel's own mapping (CVE-2024-0582). O(1). Linux 5.19.
 */
export class BufferRing {
  readonly groupId: number
  readonly bufferBytes: number
  readonly entryCount: number
  /** Whether buffers are filled piece by piece. */
  readonly isIncremental: boolean
  readonly #pieces: BufferPieces
  readonly #kernel: Kernel
  readonly #ring: Ring
  readonly #memory: IoMemory
  readonly #lease: Lease
  readonly #words: Uint32Array
  readonly #halves: Uint16Array
  readonly #mask: number
  readonly #segments: Segment[] = []
  readonly #addresses: number[] = []
  /** What each holds, for ourselves. */
  readonly #wholes: Uint8Array[] = []
  /** What users see of each, or null. */
  readonly #shares: (Uint8Array | null)[] = []
  /** Which buffers users have detached. */
  readonly #lost: number[] = []
  #lostIndex = 0
  /** Buffers whose users have detached the ArrayBuffer that they saw, and see another one since. */
  readonly #detached = new Set<number>()
  /** How many pieces of each users have. */
  readonly #pieceCounts: Uint16Array
  /** Which of them the kernel goes on filling. */
  readonly #isOpen: Uint8Array
  #tail = 0
  #userCount = 0

  /**
   * @throws {RuntimeError} `ERR_MEMLOCK_LIMIT`, `ERR_OUT_OF_MEMORY`; {@link KernelError} where the kernel
   * refuses it otherwise.
   */
  constructor(options: BufferRingOptions) {
    const { kernel, ring, memory, groupId, entryCount, bufferBytes, initialCount } = options
    assert(isPowerOfTwo(entryCount) && entryCount <= ENTRIES_MAX, 'entries are a power of two')
    assert(initialCount > 0 && initialCount <= entryCount, 'some buffers, and no more than fit')
    this.#kernel = kernel
    this.#ring = ring
    this.#memory = memory
    this.groupId = groupId
    this.bufferBytes = bufferBytes
    // Leases are aligned to their size: at least a page makes the ring begin on one.
    this.#lease = memory.allocateOwn(Math.max(PAGE_BYTES, entryCount * ENTRY_WORDS * 4))
    const { bytes } = this.#lease
    bytes.fill(0)
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, entryCount * ENTRY_WORDS)
    this.#halves = new Uint16Array(bytes.buffer, bytes.byteOffset, entryCount * ENTRY_HALVES)
    const { count, isIncremental } = this.#register(entryCount, options.incremental === true)
    this.entryCount = count
    this.isIncremental = isIncremental
    this.#pieces = new BufferPieces(count, bufferBytes, isIncremental)
    this.#mask = this.entryCount - 1
    this.#pieceCounts = new Uint16Array(this.entryCount)
    this.#isOpen = new Uint8Array(this.entryCount)
    this.#begin(Math.min(initialCount, this.entryCount), options.isSpare === true)
    ring.bufferRings.add(this)
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

  /** Buffers that users have given back, but keep the memory of: among {@link userCount}. */
  get lostCount(): number {
    return this.#lost.length
  }

  /** Buffers that could still be made. */
  get freeCount(): number {
    return this.entryCount - this.bufferCount
  }

  /**
   * Takes what a completion has filled, by its result and flags: the piece that it comes to is a user's from then on.
   * False if it has filled nothing; {@link takeNext} then comes to further pieces.
   */
  take(result: number, flags: number): boolean {
    const hasPiece = this.#pieces.begin(result, flags)
    if (hasPiece) this.#hand()
    return hasPiece
  }

  /** Takes the next piece of the same completion; false if it has no more. */
  takeNext(): boolean {
    const hasPiece = this.#pieces.next()
    if (hasPiece) this.#hand()
    return hasPiece
  }

  /** The piece that was taken last: its buffer, where it begins in that, and where it ends. */
  get piece(): BufferPiece {
    return this.#pieces
  }

  /**
   * Lets a piece go; with the last one the kernel has the buffer back, unless a user has detached it: then it is lost for now, or used
   * all the same without `mayLose`, for one that was detached by whoever looked at it too late.
   */
  release(buffer: number, mayLose = true): void {
    const pieceCount = this.#pieceCounts[buffer]!
    assert(pieceCount > 0, 'a piece is let go of once')
    if (pieceCount > 1 || this.#isOpen[buffer] === 1) {
      this.#pieceCounts[buffer] = pieceCount - 1
      return
    }
    const isDetached = this.#shares[buffer]?.length === 0 || this.#detached.has(buffer)
    this.#check(buffer, isDetached)
    if (isDetached) {
      this.#shares[buffer] = null
      this.#detached.delete(buffer)
      if (mayLose) {
        this.#lost.push(buffer)
        return
      }
    }
    this.#giveBack(buffer)
  }

  /** One more piece of a buffer that a user has: what is in it is told apart by the user. */
  retain(buffer: number): void {
    const pieceCount = this.#pieceCounts[buffer]!
    assert(pieceCount > 0 && pieceCount < 0xffff, 'who divides a buffer has it')
    this.#pieceCounts[buffer] = pieceCount + 1
  }

  /** Looks at one of the lost buffers, in turn: true if the kernel has it again. */
  recover(): boolean {
    if (this.#lost.length === 0) return false
    this.#lostIndex = (this.#lostIndex + 1) % this.#lost.length
    const buffer = this.#lost[this.#lostIndex]!
    assert(this.#pieceCounts[buffer] === 1, "a lost buffer is still its last user's")
    const segment = this.#segmentOf(buffer)
    if (segment.shareCount(this.#addresses[buffer]! - segment.address) > 0) return false
    this.#lost[this.#lostIndex] = this.#lost.at(-1)!
    this.#lost.pop()
    this.#giveBack(buffer)
    return true
  }

  /** Bytes of a buffer, where they lie. */
  view(buffer: number, startBytes: number, endBytes: number): Uint8Array {
    assert(this.#pieceCounts[buffer]! > 0, 'a buffer is looked into while its user has it')
    let share = this.#shares[buffer]!
    if (share === null || share.length === 0) {
      if (share !== null) this.#detached.add(buffer)
      const segment = this.#segmentOf(buffer)
      share = segment.share(this.#addresses[buffer]! - segment.address, this.bufferBytes)
      this.#shares[buffer] = share
    }
    return share.subarray(startBytes, endBytes)
  }

  /** All of a buffer, for ourselves to look into at once. */
  whole(buffer: number): Uint8Array {
    assert(this.#pieceCounts[buffer]! > 0, 'a buffer is looked into while its user has it')
    return this.#wholes[buffer]!
  }

  /** A copy of bytes of a buffer. */
  copy(buffer: number, startBytes: number, endBytes: number): Uint8Array {
    assert(this.#pieceCounts[buffer]! > 0, 'a buffer is copied while its user has it')
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
      Math.max(1, Math.floor(SEGMENT_BYTES_MAX / this.bufferBytes)),
    )
    return count > 0 && this.#tryAdd(count, false) === null
  }

  /** Where a buffer is, for other threads. */
  placeOf(buffer: number): MemoryPlace {
    const segment = this.#segmentOf(buffer)
    return segment.placeOf(this.#addresses[buffer]! - segment.address)
  }

  /** Takes the buffers from the kernel, which must have no operation left that may use them. */
  close(): void {
    const wasOpen = this.#ring.bufferRings.delete(this)
    assert(wasOpen, 'a ring of buffers is closed once')
    this.#unregister()
    for (const segment of this.#segments) segment.release()
    this.#lease.release()
  }

  /** Checks which buffers are whose, and what the kernel is told. O(entries): for audits. */
  audit(): void {
    const { bufferCount } = this
    assert(bufferCount <= this.entryCount, 'there are no more buffers than entries')
    assert(this.#wholes.length === bufferCount, 'each buffer is seen as a whole')
    assert(this.#shares.length === bufferCount, 'each buffer has a place for what users see')
    const isUsers = (count: number, buffer: number): boolean =>
      count > 0 && this.#isOpen[buffer] === 0
    const usedCount = this.#pieceCounts.filter(isUsers).length
    assert(usedCount === this.#userCount, 'buffers of users are counted')
    assert(new Set(this.#lost).size === this.#lost.length, 'a buffer is lost once')
    for (const buffer of this.#lost)
      assert(this.#pieceCounts[buffer] === 1, 'a lost buffer is in use')
    for (const buffer of this.#detached)
      assert(this.#pieceCounts[buffer]! > 0, 'a detached buffer is in use')
    assert(this.#halves[HALF_TAIL] === this.#tail, 'the kernel is told of every buffer')
  }

  #hand(): void {
    const { buffer, isOpen } = this.#pieces
    const count = this.#pieceCounts[buffer]!
    assert(count === 0 || this.#isOpen[buffer] === 1, 'a buffer comes from the kernel once')
    this.#pieceCounts[buffer] = count + 1
    this.#isOpen[buffer] = isOpen ? 1 : 0
    if (!isOpen) this.#userCount++
  }

  /** Finds how many entries the kernel takes: it locks their memory, of which there may be little. */
  #register(entryCount: number, incremental: boolean): { count: number; isIncremental: boolean } {
    let isIncremental = incremental
    const words = new Uint32Array(REGISTRATION_WORDS)
    words[0] = this.#lease.address
    words[1] = this.#lease.address / 2 ** 32
    for (let count = entryCount; ; ) {
      words[2] = count
      words[3] = isIncremental ? this.groupId | GROUP_INCREMENTAL : this.groupId
      const { fd } = this.#ring.memory
      const result = this.#kernel.register(fd, IORING_REGISTER_PBUF_RING, words, 1)
      if (result >= 0) return { count, isIncremental }
      if (result === -EINVAL && isIncremental) {
        isIncremental = false
      } else if (result === -ENOMEM && count * ENTRY_WORDS * 4 > PAGE_BYTES) {
        // Less than a page is a page.
        count /= 2
      } else {
        this.#lease.release()
        throw refusedBuffers(result)
      }
    }
  }

  #unregister(): void {
    const words = new Uint32Array(REGISTRATION_WORDS)
    words[3] = this.groupId
    this.#kernel.register(this.#ring.memory.fd, IORING_UNREGISTER_PBUF_RING, words, 1)
  }

  /** @throws {RuntimeError} `ERR_OUT_OF_MEMORY` if there is no room even for the fewest. */
  #begin(initialCount: number, isSpare: boolean): void {
    for (let count = initialCount; ; count = Math.ceil(count / 2)) {
      const isLast = count <= FIRST_COUNT_MIN
      const failure = this.#tryAdd(count, isLast && !isSpare)
      if (failure === null) return
      if (!isLast) continue
      this.#unregister()
      this.#lease.release()
      throw failure
    }
  }

  /** Null if the buffers were added; else why there is no memory for them. */
  #tryAdd(count: number, isFirst: boolean): RuntimeError | null {
    const { bufferBytes } = this
    let segment: Segment
    try {
      segment = this.#memory.allocateSegment(count * bufferBytes, isFirst)
    } catch (error) {
      if (error instanceof RuntimeError) return error
      throw error
    }
    assert(count <= this.freeCount, 'there are no more buffers than entries')
    const { address, bytes } = segment
    // Part of one would be a whole one to the kernel, which would write to what lies behind the segment.
    assert(count * bufferBytes <= bytes.length, 'each buffer lies within its segment')
    assert(Number.isInteger(count), 'buffers are made as wholes')
    const firstBuffer = this.bufferCount
    this.#segments.push(segment)
    for (let index = 0; index < count; index++) {
      this.#addresses.push(address + index * bufferBytes)
      this.#wholes.push(bytes.subarray(index * bufferBytes, (index + 1) * bufferBytes))
      this.#shares.push(null)
      this.#publish(firstBuffer + index)
    }
    return null
  }

  // There are as many as doublings.
  #segmentOf(buffer: number): Segment {
    const address = this.#addresses[buffer]!
    const segment = this.#segments.find((one) => {
      const offsetBytes = address - one.address
      return offsetBytes >= 0 && offsetBytes < one.lengthBytes
    })
    assert(segment !== undefined, 'each buffer is a part of a segment')
    return segment
  }

  #giveBack(buffer: number): void {
    assert(this.#userCount > 0, 'a user had what goes back to the kernel')
    assert(this.#pieceCounts[buffer] === 1, 'a buffer goes back to the kernel once')
    this.#pieceCounts[buffer] = 0
    this.#userCount--
    this.#publish(buffer)
  }

  /** Makes sure that whoever looks at a buffer later notices, where that is asked for. */
  #check(buffer: number, isDetached: boolean): void {
    const { checks } = this.#memory
    if (checks.poisons && !isDetached) checks.poison(this.#wholes[buffer]!, 0, this.bufferBytes)
    const share = this.#shares[buffer]!
    if (!checks.empties || share === null) return
    this.#shares[buffer] = null
    this.#segmentOf(buffer).empty(share)
  }

  #publish(buffer: number): void {
    assert(buffer < this.#addresses.length, 'a buffer that the kernel gets has memory')
    const entry = this.#tail & this.#mask
    const base = entry * ENTRY_WORDS
    const address = this.#addresses[buffer]!
    this.#words[base] = address
    this.#words[base + 1] = address / 2 ** 32
    this.#words[base + 2] = this.bufferBytes
    // Not as a word: above the first entry's id lies the tail.
    this.#halves[entry * ENTRY_HALVES + HALF_ID] = buffer
    this.#pieces.publish(buffer, entry)
    this.#tail = (this.#tail + 1) & 0xffff
    // ORDER: release, pairs with the kernel's acquire of the tail; the entry before it is written.
    Atomics.store(this.#halves, HALF_TAIL, this.#tail)
  }
}

function refusedBuffers(result: number): Error {
  const cause = kernelError(result, { syscall: 'io_uring_register' })
  if (result !== -ENOMEM) return cause
  return new RuntimeError(
    'ERR_MEMLOCK_LIMIT',
    'Cannot receive: there is not enough lockable memory for a ring of buffers; raise the limit (ulimit -l unlimited, or LimitMEMLOCK in systemd) or give the executor a smaller ioMemoryBytes',
    { cause },
  )
}
