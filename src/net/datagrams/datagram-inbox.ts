import { assert } from '../../base/index.ts'
import { ownHeap } from '../../memory/index.ts'
import { NO_BUFFER } from '../../ring/index.ts'
import type { BufferHolder } from '../memory/inbox.ts'
import type { ReceivePool } from '../memory/receive-pool.ts'
import type { Address } from '../values/address.ts'
import type { AddressBook } from './address-book.ts'
import { type Datagram, DatagramLease } from './datagram.ts'
import {
  dataBytesOf,
  headBytesOf,
  isTruncated,
  nameBytesOf,
  RECEIVED_HEAD_BYTES,
  type ReceivedLayout,
  segmentBytesOf,
} from './received-message.ts'

const CAPACITY_MIN = 16
const NO_BYTES = new Uint8Array(0)

/** What an inbox is for. */
export interface DatagramInboxOptions {
  readonly pool: ReceivePool
  readonly book: AddressBook
  readonly layout: ReceivedLayout
  /** What a user sees of one datagram at most. */
  readonly datagramBytesMax: number
}

/**
 * Messages that wait to be read, in receive buffers or copied out of them: each is a datagram, or several that the kernel brought
 * together, which are told apart here. O(1) per datagram, and no allocation but for what the reader gets.
 */
export class DatagramInbox<A extends Address> implements BufferHolder {
  /** @internal */
  previous: BufferHolder | null = null
  /** @internal */
  next: BufferHolder | null = null
  /** @internal */
  isListed = false
  readonly #pool: ReceivePool
  readonly #book: AddressBook
  readonly #layout: ReceivedLayout
  readonly #headBytes: number
  readonly #datagramBytesMax: number
  // A ring of messages: the buffer of each or NO_BUFFER, how far it is filled, and the copy or null.
  #buffers = new Int32Array(CAPACITY_MIN)
  #ends = new Int32Array(CAPACITY_MIN)
  #copies: (Uint8Array | null)[] = new Array<null>(CAPACITY_MIN).fill(null)
  #head = 0
  #count = 0
  #bufferCount = 0
  #copiedBytes = 0
  // The first message, once it is looked at.
  #isOpen = false
  #message: Uint8Array = NO_BYTES
  #startBytes = 0
  #segmentBytes = 0
  #from: A | null = null
  // The datagram that is first in it.
  #endBytes = 0
  #shownEndBytes = 0
  #fullBytes = 0
  #isTruncated = false

  constructor({ pool, book, layout, datagramBytesMax }: DatagramInboxOptions) {
    this.#pool = pool
    this.#book = book
    this.#layout = layout
    this.#headBytes = headBytesOf(layout)
    this.#datagramBytesMax = datagramBytesMax
  }

  get isEmpty(): boolean {
    return this.#count === 0
  }

  get messageCount(): number {
    return this.#count
  }

  /** The memory that they hold: whole buffers, and what was copied out. */
  get heldBytes(): number {
    return this.#bufferCount * this.#pool.bufferBytes + this.#copiedBytes
  }

  /** Takes over a buffer that is filled so far. */
  put(buffer: number, endBytes: number): void {
    this.#push(buffer, endBytes, null)
    this.#bufferCount++
    this.#pool.hold(this, endBytes)
  }

  /** Takes over a message that lies in no buffer. */
  putCopy(message: Uint8Array): void {
    this.#push(NO_BUFFER, message.length, message)
    this.#copiedBytes += message.length
  }

  copyOut(): void {
    const mask = this.#buffers.length - 1
    for (let offset = 0; offset < this.#count && this.#bufferCount > 0; offset++) {
      const index = (this.#head + offset) & mask
      const buffer = this.#buffers[index]!
      if (buffer === NO_BUFFER) continue
      const endBytes = this.#ends[index]!
      const copy = this.#pool.copyOf(buffer, 0, endBytes)
      this.#copies[index] = copy
      this.#buffers[index] = NO_BUFFER
      this.#copiedBytes += endBytes
      if (offset === 0 && this.#isOpen) this.#message = copy
      this.#letGo(endBytes)
      this.#pool.giveBack(buffer)
    }
  }

  /** Takes the first datagram, as the caller's for good. */
  take(): Datagram<A> {
    this.#open()
    const datagram = this.#show()
    this.#skip(true)
    return datagram
  }

  /** Shows the first datagram, which stays. */
  peek(): Datagram<A> {
    this.#open()
    return this.#show()
  }

  /** Takes the first datagram as a lease, on a copy where too many are lent. */
  takeLease(): DatagramLease<A> {
    this.#open()
    const buffer = this.#buffers[this.#head]!
    const part = { startBytes: this.#startBytes, endBytes: this.#shownEndBytes }
    const origin = this.#origin()
    if (buffer === NO_BUFFER || !this.#pool.canLend()) {
      const { data } = this.#show()
      this.#skip(true)
      const whole = { startBytes: 0, endBytes: data.length }
      return new DatagramLease(ownHeap(data), 0, whole, origin)
    }
    const lease = this.#pool.note(new DatagramLease(this.#pool, buffer, part, origin))
    this.#skip(false)
    return lease
  }

  /** Drops all. */
  clear(): void {
    while (this.#count > 0) {
      this.#open()
      this.#skip(true)
    }
  }

  /** Looks at the first datagram of the first message. */
  #open(): void {
    assert(this.#count > 0, 'a datagram that is taken has come')
    if (this.#isOpen) return
    this.#isOpen = true
    const buffer = this.#buffers[this.#head]!
    const message =
      buffer === NO_BUFFER ? this.#copies[this.#head]! : this.#pool.buffers.whole(buffer)
    this.#message = message
    const nameBytes = nameBytesOf(message, this.#layout)
    this.#from = this.#book.read(message, RECEIVED_HEAD_BYTES, nameBytes) as A
    this.#startBytes = this.#headBytes
    this.#segmentBytes = segmentBytesOf(message, this.#layout)
    this.#measure()
  }

  #measure(): void {
    const start = this.#startBytes
    const filledBytes = this.#ends[this.#head]!
    const segmentBytes = this.#segmentBytes
    const isLast = segmentBytes === 0 || start + segmentBytes >= filledBytes
    const end = isLast ? filledBytes : start + segmentBytes
    this.#endBytes = end
    this.#shownEndBytes = Math.min(end, start + this.#datagramBytesMax)
    const isCut = isLast && isTruncated(this.#message)
    this.#isTruncated = isCut || this.#shownEndBytes < end
    // What was brought together tells the length of all, not of the last.
    this.#fullBytes = isCut && segmentBytes === 0 ? dataBytesOf(this.#message) : end - start
  }

  #origin(): { from: A; isTruncated: boolean; fullBytes: number } {
    return {
      from: this.#from!,
      isTruncated: this.#isTruncated,
      fullBytes: this.#fullBytes,
    }
  }

  #show(): Datagram<A> {
    const data = this.#message.slice(this.#startBytes, this.#shownEndBytes)
    return {
      data,
      from: this.#from!,
      isTruncated: this.#isTruncated,
      fullBytes: this.#fullBytes,
    }
  }

  /** Goes on behind the first datagram, whose piece of the buffer goes back unless a lease has it. */
  #skip(givesBack: boolean): void {
    const index = this.#head
    const buffer = this.#buffers[index]!
    const filledBytes = this.#ends[index]!
    if (this.#endBytes < filledBytes) {
      // The lease has its piece, and the others of the message are another.
      if (!givesBack) this.#pool.buffers.retain(buffer)
      this.#startBytes = this.#endBytes
      this.#measure()
      return
    }
    this.#isOpen = false
    this.#message = NO_BYTES
    this.#head = (index + 1) & (this.#buffers.length - 1)
    this.#count--
    if (buffer === NO_BUFFER) {
      this.#copies[index] = null
      this.#copiedBytes -= filledBytes
    } else {
      this.#letGo(filledBytes)
      if (givesBack) this.#pool.giveBack(buffer)
    }
  }

  #letGo(endBytes: number): void {
    this.#bufferCount--
    this.#pool.letGo(this, endBytes, this.#bufferCount === 0)
  }

  #push(buffer: number, endBytes: number, copy: Uint8Array | null): void {
    if (this.#count === this.#buffers.length) this.#grow()
    const index = (this.#head + this.#count) & (this.#buffers.length - 1)
    this.#buffers[index] = buffer
    this.#ends[index] = endBytes
    this.#copies[index] = copy
    this.#count++
  }

  #grow(): void {
    const capacity = this.#buffers.length
    const buffers = new Int32Array(capacity * 2)
    const ends = new Int32Array(capacity * 2)
    const copies = new Array<Uint8Array | null>(capacity * 2).fill(null)
    for (let offset = 0; offset < this.#count; offset++) {
      const index = (this.#head + offset) & (capacity - 1)
      buffers[offset] = this.#buffers[index]!
      ends[offset] = this.#ends[index]!
      copies[offset] = this.#copies[index]!
    }
    this.#buffers = buffers
    this.#ends = ends
    this.#copies = copies
    this.#head = 0
  }
}
