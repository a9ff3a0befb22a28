import { assert } from '../../base/index.ts'
import type { Kernel } from '../../kernel/index.ts'
import {
  type IoMemory,
  Lease,
  type LeaseOwner,
  leaseHeap,
  type MemoryChecks,
  type MemoryPlace,
} from '../../memory/index.ts'
import { BufferRing, type Ring } from '../../ring/index.ts'
import { type BufferHolder, INBOX_BUFFER_BYTES_MAX, Inbox, type InboxPool } from './inbox.ts'

/** The groups of buffers of a ring: those of all streams and small datagrams, */
export const SMALL_GROUP = 0
/** of datagrams that are larger, */
export const DATAGRAM_GROUP = 1
/** and of busy streams. */
export const LARGE_GROUP = 2

export interface ReceivePoolOptions {
  readonly kernel: Kernel
  readonly ring: Ring
  readonly memory: IoMemory
  readonly bufferBytes: number
  /** How many buffers there can be: a power of two. */
  readonly entryCount: number
  readonly initialCount: number
  /** Names it in submission entries: one of the groups above. */
  readonly groupId: number
  /** Whether it rather fails than takes of the reserve of memory; false if not given. */
  readonly isSpare?: boolean
}

const INBOXES_KEPT = 1024
/** Buffers are scarce while the kernel has less than this part of them, and there can be no more. */
const SCARCE_PART = 4
/** Where unread data fills its buffers below this part, copying it out is cheaper than more buffers. */
const POOR_PART = 8

/**
 * What the sockets of a ring receive into, and what holds it: the kernel, inboxes of streams, or leases.
 *
 * Nobody can take it from the others. What inboxes hold is copied out when the kernel has no buffer
 * left, and once leases hold half of all buffers a lease is on a copy. So whoever waits for data gets
 * a buffer, whatever others do. O(1) per message, and at most one more copy of each.
 */
export class ReceivePool implements InboxPool, LeaseOwner {
  readonly bufferBytes: number
  readonly buffers: BufferRing
  // The inboxes that hold buffers, by when they began to: what has waited longest is copied out first.
  #first: BufferHolder | null = null
  #last: BufferHolder | null = null
  /** Unread bytes in buffers, and how many pieces those are. */
  #unreadBytes = 0
  #unreadCount = 0
  #leasedCount = 0
  /** Whether there was no memory for more buffers, when last tried. */
  #isAtLimit = false
  readonly #idle: Inbox[] = []
  readonly #checks: MemoryChecks

  /**
   * @throws {RuntimeError} `ERR_MEMLOCK_LIMIT`, `ERR_OUT_OF_MEMORY`; {@link KernelError} where the kernel
   * refuses it otherwise.
   */
  constructor(options: ReceivePoolOptions) {
    assert(options.bufferBytes <= INBOX_BUFFER_BYTES_MAX, 'pieces of a buffer can be packed')
    this.#checks = options.memory.checks
    this.bufferBytes = options.bufferBytes
    this.buffers = new BufferRing(options)
  }

  /** Whether a stream should keep no buffer that nobody waits for. */
  get isScarce(): boolean {
    const { buffers } = this
    if (!this.#isAtLimit && buffers.freeCount > 0) return false
    return buffers.kernelCount * SCARCE_PART < buffers.bufferCount
  }

  /** Buffers that leases hold, or whose memory their holders have kept. */
  get leasedCount(): number {
    return this.#leasedCount + this.buffers.lostCount
  }

  /** Finds the kernel a buffer after it had none: one that came back, a new one, or that of unread data. */
  refill(): void {
    if (this.buffers.kernelCount > 0 || this.buffers.recover()) return
    const isPoor = this.#unreadBytes * POOR_PART < this.#unreadCount * this.bufferBytes
    if (!isPoor || this.leasedCount > this.#unreadCount) {
      this.#isAtLimit = !this.buffers.grow()
      if (!this.#isAtLimit) return
    }
    const wantedCount = Math.max(1, this.buffers.bufferCount / SCARCE_PART)
    while (this.#first !== null && this.buffers.kernelCount < wantedCount) this.#first.copyOut()
    assert(this.buffers.kernelCount > 0, 'leases never hold all buffers')
  }

  /** Whether the kernel has a buffer, and a lease on it would need no copy: makes more if that takes some. */
  makeRoom(): boolean {
    if (!this.canLend()) return false
    if (this.buffers.kernelCount > 0 || this.buffers.recover()) return true
    this.#isAtLimit = !this.buffers.grow()
    return !this.#isAtLimit
  }

  /** Where data of a stream waits; {@link keepInbox} takes it back. */
  takeInbox(): Inbox {
    return this.#idle.pop() ?? new Inbox(this)
  }

  keepInbox(inbox: Inbox): void {
    assert(inbox.isEmpty && !inbox.isListed, 'what is kept for another stream holds nothing')
    if (this.#idle.length < INBOXES_KEPT) this.#idle.push(inbox)
  }

  hold(inbox: BufferHolder, lengthBytes: number): void {
    this.#unreadCount++
    this.#unreadBytes += lengthBytes
    if (inbox.isListed) return
    inbox.isListed = true
    inbox.previous = this.#last
    inbox.next = null
    if (this.#last === null) this.#first = inbox
    else this.#last.next = inbox
    this.#last = inbox
  }

  unread(lengthBytes: number): void {
    this.#unreadBytes -= lengthBytes
  }

  letGo(inbox: BufferHolder, lengthBytes: number, isLast: boolean): void {
    this.#unreadCount--
    this.#unreadBytes -= lengthBytes
    if (!isLast) return
    inbox.isListed = false
    if (inbox.previous === null) this.#first = inbox.next
    else inbox.previous.next = inbox.next
    if (inbox.next === null) this.#last = inbox.previous
    else inbox.next.previous = inbox.previous
    inbox.previous = null
    inbox.next = null
  }

  bytesOf(buffer: number, startBytes: number, endBytes: number): Uint8Array {
    return this.buffers.view(buffer, startBytes, endBytes)
  }

  copyOf(buffer: number, startBytes: number, endBytes: number): Uint8Array {
    return this.buffers.copy(buffer, startBytes, endBytes)
  }

  giveBack(buffer: number): void {
    // It was no lease's any more: the memory that such a holder can keep from others is limited, too.
    this.buffers.release(buffer, this.#isLendable)
  }

  lease(buffer: number, startBytes: number, endBytes: number): Lease {
    if (!this.canLend()) {
      const copy = this.copyOf(buffer, startBytes, endBytes)
      this.giveBack(buffer)
      return leaseHeap(copy)
    }
    return this.note(new Lease(this, buffer, startBytes, endBytes - startBytes))
  }

  /** Takes note of a lease on a piece, which {@link canLend} has allowed. */
  note<T extends Lease>(lease: T): T {
    this.#leasedCount++
    this.#checks.noteLeased(lease)
    return lease
  }

  /** Whether a piece may go to a lease now, rather than a copy of what is in it. */
  canLend(): boolean {
    this.buffers.recover()
    if (this.#isLendable) return true
    if (this.#isAtLimit) return false
    this.#isAtLimit = !this.buffers.grow()
    return !this.#isAtLimit
  }

  leaseCopy(copy: Uint8Array): Lease {
    return leaseHeap(copy)
  }

  addressOf(buffer: number): number {
    return this.buffers.addressOf(buffer)
  }

  bufferIndexOf(): number {
    return -1
  }

  viewOf(buffer: number, startBytes: number, lengthBytes: number): Uint8Array {
    return this.bytesOf(buffer, startBytes, startBytes + lengthBytes)
  }

  placeOf(buffer: number): MemoryPlace {
    return this.buffers.placeOf(buffer)
  }

  free(buffer: number, lease: Lease): void {
    this.#leasedCount--
    this.#checks.noteFreed(lease)
    this.buffers.release(buffer)
  }

  /** Whether leases, and writes that keep a buffer's memory, may have one more. */
  get #isLendable(): boolean {
    return this.leasedCount * 2 + 2 <= this.buffers.bufferCount
  }
}
