import { assert } from '../../base/index.ts'
import type { SharedWords } from './shared-words.ts'
import {
  type OpenRing,
  WORD_CONSUMER_CLOSED,
  WORD_HEAD,
  WORD_ITEM_WANTED,
  WORD_PRODUCER_CLAIM,
  WORD_PRODUCER_CLOSED,
  WORD_ROOM_WANTED,
  WORD_TAIL,
} from './spsc-ring.ts'

/**
 * The end of a ring that values go into, whatever they are: its indexes and flags.
 *
 * Belongs to one thread. What is staged is in the ring and the consumer does not know of it yet;
 * {@link publish} tells it, with one atomic store however much that is. Nothing here blocks, allocates, or
 * wakes anybody; a producer that has published or closed asks {@link takeItemRequest} whether the consumer waits
 * for that.
 */
export abstract class ProducerEnd<Cells> {
  /** How many cells the ring has. */
  readonly capacity: number
  readonly words: SharedWords
  protected readonly cells: Cells
  protected readonly mask: number
  /** The cell to be written next. */
  protected tail: number
  /** The consumer's index when this end last looked: there may be more room by now. */
  protected headSeen: number
  #isClosed = false

  constructor(ring: OpenRing<Cells>) {
    this.words = ring.words
    this.cells = ring.cells
    this.capacity = ring.capacity
    this.mask = (ring.capacity - 1) | 0
    this.tail = ring.words.load(WORD_TAIL)
    this.headSeen = ring.words.load(WORD_HEAD)
  }

  /** Leaves the end to others: called where it was attached to, and nobody knows of it yet. */
  unclaim(): void {
    assert(!this.#isClosed, 'an end that was used is not given back')
    this.words.store(WORD_PRODUCER_CLAIM, 0)
  }

  /** Whether nobody will take anything any more: whatever is pushed is refused. */
  get isConsumerClosed(): boolean {
    return this.words.load(WORD_CONSUMER_CLOSED) === 1
  }

  /** The same as far as this end knows, for a tenth of the price: who was told of it sees it, others may a moment later. */
  get isConsumerKnownClosed(): boolean {
    return this.words.peek(5 /* WORD_CONSUMER_CLOSED */) !== 0
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** How many cells are free, by the consumer's index. */
  countFree(): number {
    this.#lookAtHead()
    return this.capacity - ((this.tail - this.headSeen) | 0)
  }

  /** Lets the consumer see all that was staged. */
  publish(): void {
    // ORDER: cells were written before; pairs with the consumer's load of the tail.
    this.words.store(32 /* WORD_TAIL */, this.tail)
  }

  /**
   * Asks the consumer to tell of the next room, once; false if it will (`takeRoomRequest()` there).
   *
   * True if there is room for so many cells after all, or will never be: then nothing was asked, and the
   * caller tries again at once. An end that was told may still find too little, and asks again.
   */
  requestRoom(cellCount = 1): boolean {
    assert(cellCount <= this.capacity, 'what is waited for can come')
    // ORDER: the wish is there before the head is looked at again; the consumer stores the head, then
    // looks for a wish. One of both sees the other.
    this.words.store(WORD_ROOM_WANTED, 1)
    if (!this.hasRoomNow(cellCount) && !this.isConsumerClosed) return false
    this.words.store(WORD_ROOM_WANTED, 0)
    return true
  }

  /** Whether the consumer has asked to be told of what comes, and was not. */
  get hasItemRequest(): boolean {
    // ORDER: comes after the store of the tail, or of the flag that this end is closed. See requestItem().
    return this.words.load(WORD_ITEM_WANTED) !== 0
  }

  /** Whether it has asked: true once for each time that it did, for whoever tells it then. */
  takeItemRequest(): boolean {
    return this.hasItemRequest && this.words.exchange(WORD_ITEM_WANTED, 0) === 1
  }

  /** Publishes what is staged, and ends the ring after it. Again is nothing. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.publish()
    // ORDER: after the last tail, so that a consumer that sees the flag finds all there will ever be.
    this.words.store(WORD_PRODUCER_CLOSED, 1)
  }

  /** Whether so many cells are free, and worth writing: the consumer is there, and so is this end. */
  protected mayStage(cellCount: number): boolean {
    assert(!this.#isClosed, 'nothing is pushed after the end')
    return !this.isConsumerKnownClosed && this.hasRoom(cellCount)
  }

  /** Whether so many cells are free: the consumer's index is looked at only where there seem to be too few. */
  protected hasRoom(cellCount: number): boolean {
    return (
      ((this.tail - this.headSeen + cellCount) | 0) <= this.capacity || this.hasRoomNow(cellCount)
    )
  }

  protected hasRoomNow(cellCount: number): boolean {
    this.#lookAtHead()
    return ((this.tail - this.headSeen + cellCount) | 0) <= this.capacity
  }

  #lookAtHead(): void {
    // ORDER: pairs with the consumer's store, after which it reads those cells no more.
    this.headSeen = this.words.load(WORD_HEAD)
  }
}
