import type { Executor } from '../executor/index.ts'
import { COUNTER_RECEIVED, type Counters } from '../stats/index.ts'
import { Lot } from './lot.ts'
import { CONSUMER_WORDS, PeerLink, type PeerListener, PRODUCER_WORDS } from './peers.ts'
import { NONE, type None, type ValueReader, type ValueTarget } from './value-reader.ts'

/** Room is given back at once when there is so much of it: of the whole ring this part, or so many values. */
const LOT_PART = 4
const LOT_MAX = 32
/** A sender that waits is told once this part of the ring is free, while a turn goes on taking: it has something to do then. */
const FREE_PART = 4

/** Who is told that something may have come out of a source, or never will. */
export interface SourceOwner<T> {
  sourceHasNews(source: RingSource<T>): void
}

/** What else a source is made with. */
export interface SourceOptions {
  readonly index?: number
  /** The executor that is to attach as its sender, if that is known. */
  readonly expectedId?: number | undefined
}

/** The receiving end of one ring: takes values, gives their room back in lots, and tells the sender of it. */
export class RingSource<T> implements PeerListener {
  /** Which of its owner's it is. */
  readonly index: number
  readonly #reader: ValueReader<T>
  readonly #link: PeerLink
  readonly #owner: SourceOwner<T>
  readonly #lot: Lot
  readonly #lotCells: number
  readonly #home: Counters

  constructor(
    home: Executor,
    reader: ValueReader<T>,
    owner: SourceOwner<T>,
    { index = 0, expectedId }: SourceOptions = {},
  ) {
    const { consumer } = reader
    this.index = index
    this.#reader = reader
    this.#owner = owner
    this.#home = home.io.control
    this.#lot = new Lot(LOT_MAX, (isLast, count) => this.#giveBack(isLast, count))
    this.#lotCells = Math.max(1, consumer.capacity / LOT_PART)
    const { words } = consumer
    const parts = { words, self: CONSUMER_WORDS, peer: PRODUCER_WORDS, expectedId }
    this.#link = new PeerLink(home, parts, this)
  }

  /** Whether a Float64Array can take what comes. */
  get isOfNumbers(): boolean {
    return this.#reader.isOfNumbers
  }

  /** Begins to listen for the sender; {@link cancel} instead leaves the end to others. */
  open(): void {
    this.#link.open()
  }

  /** Leaves the end to others: nobody has heard of this one. */
  cancel(): void {
    this.#link.cancel()
    this.#reader.consumer.unclaim()
  }

  get isClosed(): boolean {
    return this.#reader.consumer.isClosed
  }

  /** Whether nothing will come any more: either end has closed and all was taken. */
  get isEnded(): boolean {
    return this.isClosed || this.#reader.consumer.isEnded
  }

  /** Whether the sender's thread has ended: what it had published is there, and nothing follows. */
  get isPeerEnded(): boolean {
    return this.#link.isPeerEnded
  }

  /** How much of the ring is filled, from 0 to 1. */
  get filledPart(): number {
    const { consumer } = this.#reader
    return consumer.countFilled() / consumer.capacity
  }

  /** Whether there is something to be taken: cheap, to be asked again and again. */
  get hasItems(): boolean {
    return this.#reader.consumer.countFilled() > 0
  }

  /** Takes the oldest value; what its codec throws, the value being gone then. */
  take(): T | None {
    const { consumer } = this.#reader
    if (consumer.isClosed) return NONE
    try {
      const value = this.#reader.take()
      if (value !== NONE) this.#lot.add()
      // Pieces of what has not come whole: the rest may need their room.
      const isDue =
        value === NONE ? consumer.unreleasedCount > 0 : consumer.unreleasedCount >= this.#lotCells
      if (isDue) this.#lot.send()
      return value
    } catch (error) {
      this.#lot.send()
      throw error
    }
  }

  /** Takes some into the places from `from` up to `to`, one at least if there is one; returns how many. Throws likewise. */
  takeInto(target: ValueTarget<T>, from: number, to: number): number {
    const { consumer } = this.#reader
    if (consumer.isClosed) return 0
    try {
      const count = this.#reader.takeInto(target, from, to)
      if (count > 0) this.#lot.add(count)
      else if (consumer.unreleasedCount > 0) this.#lot.send()
      return count
    } catch (error) {
      this.#lot.send()
      throw error
    }
  }

  /** Has the sender tell of what comes next; true if there may be something, or the end, already. */
  requestItem(): boolean {
    return this.#reader.consumer.requestItem()
  }

  close(): void {
    const { consumer } = this.#reader
    if (consumer.isClosed) return
    this.#lot.send()
    consumer.close()
    // It waits for room, or may in a moment: one that finds the flag before it waits needs no more.
    if (consumer.takeRoomRequest()) this.#link.ring()
    this.#link.detach()
  }

  collect(): void {
    if (!this.isClosed) this.#owner.sourceHasNews(this)
  }

  peerEnded(): void {
    if (!this.isClosed) this.#owner.sourceHasNews(this)
  }

  /** Gives room back; whether the sender knows of all that it wants to. */
  #giveBack(isLast: boolean, count: number): boolean {
    const { consumer } = this.#reader
    this.#home.counters[COUNTER_RECEIVED]! += count
    if (consumer.isClosed) return true
    consumer.release()
    if (!consumer.hasRoomRequest) return true
    if (!isLast && consumer.knownFreeCount < consumer.capacity / FREE_PART) return false
    if (consumer.takeRoomRequest()) this.#link.ring()
    return true
  }
}
