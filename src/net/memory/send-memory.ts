import { assert } from '../../base/index.ts'
import { type Listed, WaitList, type WaitListOwner, type Waits } from '../../executor/index.ts'
import type { IoMemory, Lease } from '../../memory/index.ts'
import { MessageHeader, messageHeaderBytes } from './message-header.ts'
import { PARTS_MAX } from './send-plan.ts'

/** Sizes that data to be sent is copied into, and how many of each are kept for reuse. */
const SIZES: readonly number[] = [4 * 1024, 64 * 1024, 256 * 1024]
const KEPT_COUNTS: readonly number[] = [64, 16, 4]
/** Of the smallest size so many may be of the reserve: a quarter of it, as files need it too. */
const RESERVED_MAX = 64
/** How many headers of vectors are kept for reuse. */
const HEADERS_KEPT = 64
/** What is copied to be sent takes so much of the limit at most. */
const SHARE = 1 / 4

/** A sending side that copies what it sends. */
export interface SendMemoryUser {
  /** Those of its executor. */
  readonly waits: Waits
  /** It is first in line: sends from the buffer now, and returns it. */
  useBuffer(buffer: SendBuffer): void
  /** Others need the buffer: it ends its send, and waits for its peer without. May not call back. */
  urge(): void
  /** The executor closes: it is off the line. */
  executorCloses(reason: unknown): void
}

/** Memory for one send. */
export class SendBuffer {
  readonly lease: Lease
  readonly isReserved: boolean
  /** The sending side that has it while it may take as long as its peer does, else null. */
  user: SendMemoryUser | null = null
  older: SendBuffer | null = null
  /** Its memory as words, for who writes headers into it; made when first asked for. */
  #words: Uint32Array | null = null
  newer: SendBuffer | null = null

  constructor(lease: Lease, isReserved: boolean) {
    this.lease = lease
    this.isReserved = isReserved
  }

  get words(): Uint32Array {
    if (this.#words !== null) return this.#words
    const { bytes } = this.lease
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2)
    return this.#words
  }
}

/** A sending side that stands in line for memory. */
export class SendMemoryWait implements Listed {
  /** @internal */
  list: Listed['list'] = null
  /** @internal */
  before: Listed | null = null
  /** @internal */
  behind: Listed | null = null
  readonly user: SendMemoryUser
  readonly waits: Waits
  readonly isShielded: boolean = false
  readonly lengthBytes: number

  constructor(user: SendMemoryUser, lengthBytes: number) {
    this.user = user
    this.waits = user.waits
    this.lengthBytes = lengthBytes
  }

  fail(reason: unknown): void {
    this.user.executorCloses(reason)
  }
}

/**
 * What the sockets of an executor copy data into that is to be sent, of both rings: at most a quarter of the
 * limit of I/O memory, and one buffer of 4 KiB in any case.
 *
 * Each connection holds one buffer at most, while its send is with the kernel: as long as its peer takes,
 * where there is enough. Where there is none, sending sides stand in line. For each that joins it, the buffer
 * held for longest is called back: its send is cancelled, and goes on by waiting until the peer takes
 * more, which needs no memory, and standing in line. Sends made while others stand there do not wait for
 * their peers in the first place. So the line moves on, however many peers have stopped reading, and nobody is
 * passed over. O(1) each, no allocation but for standing in line.
 */
export class SendMemory {
  readonly #memory: IoMemory
  readonly #kept: SendBuffer[][] = SIZES.map(() => [])
  readonly #headers: MessageHeader[] = []
  readonly #line: WaitList<SendMemoryWait> = new WaitList<SendMemoryWait>(NOBODY)
  #bytes: number
  #reservedCount = 0
  /** The buffers that may be called back, by how long they have been held. */
  #oldest: SendBuffer | null = null
  #newest: SendBuffer | null = null
  #isServing = false

  /** @throws {RuntimeError} `ERR_OUT_OF_MEMORY` */
  constructor(memory: IoMemory) {
    this.#memory = memory
    // One of this size is there for good, lest nobody could send while others hold all, the reserve included.
    this.#bytes = SIZES[0]!
    this.#keep(new SendBuffer(memory.allocateOwn(SIZES[0]!), false))
  }

  /** Whether anybody stands in line. */
  get isScarce(): boolean {
    return this.#line.first !== null
  }

  /**
   * Memory for up to `lengthBytes`, less where memory is short; null if there is none, or others stand in
   * line: {@link wait} then.
   */
  take(user: SendMemoryUser, lengthBytes: number): SendBuffer | null {
    return this.isScarce ? null : this.#tryTake(user, lengthBytes)
  }

  /** Stands in line for what {@link take} did not give, until `useBuffer` is called: maybe before this returns. */
  wait(wait: SendMemoryWait): void {
    this.#line.push(wait)
    const oldest = this.#oldest
    if (oldest === null) return
    const holder = oldest.user!
    this.#unlist(oldest)
    holder.urge()
  }

  /** Leaves the line. */
  leave(wait: SendMemoryWait): void {
    if (wait.list !== null) this.#line.remove(wait)
  }

  /** Gives a buffer back, which goes to the first writer in line. */
  give(buffer: SendBuffer): void {
    if (buffer.user !== null) this.#unlist(buffer)
    if (buffer.isReserved) {
      this.#reservedCount--
      buffer.lease.release()
    } else {
      this.#keep(buffer)
    }
    this.#serve()
  }

  /** What a send of several pieces of memory needs; null where there is no memory for it. */
  takeHeader(): MessageHeader | null {
    const kept = this.#headers.pop()
    if (kept !== undefined) return kept
    const lease = this.#memory.tryAllocateUnreserved(messageHeaderBytes(PARTS_MAX))
    return lease === null ? null : new MessageHeader(lease, PARTS_MAX)
  }

  giveHeader(header: MessageHeader): void {
    if (this.#headers.length < HEADERS_KEPT) this.#headers.push(header)
    else header.release()
  }

  #serve(): void {
    // Whoever is served may fail, and give its buffer back in the middle of this.
    if (this.#isServing) return
    this.#isServing = true
    for (let first = this.#line.first; first !== null; first = this.#line.first) {
      const buffer = this.#tryTake(first.user, first.lengthBytes)
      if (buffer === null) break
      this.#line.remove(first)
      // What is taken while others stand in line comes back by itself.
      if (this.isScarce) this.#unlist(buffer)
      first.user.useBuffer(buffer)
    }
    this.#isServing = false
  }

  #tryTake(user: SendMemoryUser, lengthBytes: number): SendBuffer | null {
    let size = 0
    while (size < SIZES.length - 1 && SIZES[size]! < lengthBytes) size++
    const buffer = this.#trySizes(size)
    if (buffer !== null) this.#list(buffer, user)
    return buffer
  }

  /** One of that size, or the next smaller one that there is, or a larger one that was kept. */
  #trySizes(wanted: number): SendBuffer | null {
    for (let size = wanted; size >= 0; size--) {
      const kept = this.#kept[size]!.pop()
      if (kept !== undefined) return kept
      const buffer = this.#tryAllocate(SIZES[size]!)
      if (buffer !== null) return buffer
    }
    for (let size = wanted + 1; size < SIZES.length; size++) {
      const kept = this.#kept[size]!.pop()
      if (kept !== undefined) return kept
    }
    if (this.#reservedCount === RESERVED_MAX) return null
    const lease = this.#memory.tryAllocateReserved(SIZES[0]!)
    if (lease === null) return null
    this.#reservedCount++
    return new SendBuffer(lease, true)
  }

  #tryAllocate(sizeBytes: number): SendBuffer | null {
    if (this.#bytes + sizeBytes > this.#memory.sizeBytesMax * SHARE) return null
    const lease = this.#memory.tryAllocateUnreserved(sizeBytes)
    if (lease === null) return null
    this.#bytes += sizeBytes
    return new SendBuffer(lease, false)
  }

  #keep(buffer: SendBuffer): void {
    const { lengthBytes } = buffer.lease
    const size = SIZES.indexOf(lengthBytes)
    const kept = this.#kept[size]!
    if (kept.length < KEPT_COUNTS[size]!) {
      kept.push(buffer)
      return
    }
    this.#bytes -= lengthBytes
    buffer.lease.release()
  }

  #list(buffer: SendBuffer, user: SendMemoryUser): void {
    assert(buffer.user === null, 'a buffer has one user')
    const newest = this.#newest
    buffer.user = user
    buffer.older = newest
    if (newest === null) this.#oldest = buffer
    else newest.newer = buffer
    this.#newest = buffer
  }

  #unlist(buffer: SendBuffer): void {
    const { older, newer } = buffer
    if (older === null) this.#oldest = newer
    else older.newer = newer
    if (newer === null) this.#newest = older
    else newer.older = older
    buffer.user = null
    buffer.older = null
    buffer.newer = null
  }
}

/** A writer that leaves the line lets no other go on. */
const NOBODY: WaitListOwner = { waiterLeft(): void {} }
