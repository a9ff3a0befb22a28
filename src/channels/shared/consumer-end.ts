import { assert } from '../../base/index.ts'
import type { SharedWords } from './shared-words.ts'
import {
  type OpenRing,
  WORD_CONSUMER_CLAIM,
  WORD_CONSUMER_CLOSED,
  WORD_HEAD,
  WORD_ITEM_WANTED,
  WORD_PRODUCER_CLOSED,
  WORD_ROOM_WANTED,
  WORD_TAIL,
} from './spsc-ring.ts'

/**
 * The end of a ring that values come out of, whatever they are: its indexes and flags.
 *
 * Belongs to one thread. What was taken is still the consumer's until {@link release} gives all of it back,
 * with one atomic store however much that is. Nothing here blocks, allocates, or wakes anybody; a consumer
 * that has released or closed asks {@link takeRoomRequest} whether the producer waits for that.
 */
export abstract class ConsumerEnd<Cells> {
  /** How many cells the ring has. */
  readonly capacity: number
  readonly words: SharedWords
  protected readonly cells: Cells
  protected readonly mask: number
  /** The cell to be read next. */
  protected head: number
  /** The producer's index when this end last looked: there may be more by now. */
  protected tailSeen: number
  /** The index that the producer was given last. */
  protected released: number
  #isClosed = false

  constructor(ring: OpenRing<Cells>) {
    this.words = ring.words
    this.cells = ring.cells
    this.capacity = ring.capacity
    this.mask = (ring.capacity - 1) | 0
    this.head = ring.words.load(WORD_HEAD)
    this.tailSeen = this.head
    this.released = this.head
  }

  /** Leaves the end to others: called where it was attached to, and nobody knows of it yet. */
  unclaim(): void {
    assert(!this.#isClosed, 'an end that was used is not given back')
    this.words.store(WORD_CONSUMER_CLAIM, 0)
  }

  /** Whether nothing will come any more: the producer has closed, and all was taken. */
  get isEnded(): boolean {
    // ORDER: the flag before the tail: who sees the flag then sees the last tail.
    return this.words.load(WORD_PRODUCER_CLOSED) === 1 && !this.hasMore()
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** How many cells were taken and not given back. */
  get unreleasedCount(): number {
    return (this.head - this.released) | 0
  }

  /** How many cells the producer may fill, as far as this end knows without a look at its index. */
  get knownFreeCount(): number {
    return this.capacity - ((this.tailSeen - this.released) | 0)
  }

  /** How many cells are filled, by the producer's index. */
  countFilled(): number {
    this.#lookAtTail()
    return (this.tailSeen - this.head) | 0
  }

  /** Gives back the cells of all that was taken. */
  release(): void {
    // ORDER: cells were read before; pairs with the producer's load of the head.
    this.words.store(64 /* WORD_HEAD */, this.head)
    this.released = this.head
  }

  /** Whether the producer has asked to be told of room, and was not. */
  get hasRoomRequest(): boolean {
    // ORDER: comes after the store of the head, or of the flag that this end is closed. See requestRoom().
    return this.words.load(WORD_ROOM_WANTED) !== 0
  }

  /** Whether it has asked: true once for each time that it did, for whoever tells it then. */
  takeRoomRequest(): boolean {
    return this.hasRoomRequest && this.words.exchange(WORD_ROOM_WANTED, 0) === 1
  }

  /**
   * Asks the producer to tell of what it publishes next, or that it closes; false if it will (`takeItemRequest()`
   * there).
   *
   * True if there is something after all, or nothing will follow: then nothing was asked, and the caller looks again
   * at once.
   */
  requestItem(): boolean {
    // ORDER: the wish is there before the tail is looked at again; the producer stores the tail, then looks for a
    // wish. One of both sees the other.
    this.words.store(WORD_ITEM_WANTED, 1)
    if (!this.hasMore() && this.words.load(WORD_PRODUCER_CLOSED) === 0) return false
    this.words.store(WORD_ITEM_WANTED, 0)
    return true
  }

  /** Takes nothing more, ever; what is still in the ring stays there. Again is nothing. */
  close(): void {
    this.#isClosed = true
    this.words.store(WORD_CONSUMER_CLOSED, 1)
  }

  protected hasMore(): boolean {
    assert(!this.#isClosed, 'nothing is taken from an end that is closed')
    if (this.head !== this.tailSeen) return true
    this.#lookAtTail()
    return this.head !== this.tailSeen
  }

  #lookAtTail(): void {
    // ORDER: pairs with the producer's store, before which it wrote those cells.
    this.tailSeen = this.words.load(WORD_TAIL)
  }
}
