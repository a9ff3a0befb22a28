import { assert } from '../../base/index.ts'
import type { TaskQueue } from '../../executor/index.ts'
import type { Lease } from '../../memory/index.ts'
import type { RangeHold } from '../ranges/range-lock.ts'
import type { BlockOwner, BlockPlace, BlockTransfer } from '../requests/block-transfer.ts'
import { BlockWrite } from '../requests/block-write.ts'
import { NO_POSITION } from '../requests/transfer-plan.ts'
import type { StreamTarget } from './stream-target.ts'

/** What has blocks written. Called while reaping, or from within {@link WriteWindow.assign}. */
export interface WindowOwner {
  /** Whether what is to be written is no more. */
  readonly hasFailed: boolean
  /** A block could not be written. */
  windowFailed(failure: unknown): void
  /** A block has ended. */
  windowMoved(): void
}

/** A block that may take more before it begins. */
interface OpenBlock {
  readonly block: BlockWrite
  readonly lease: Lease
  readonly fromBytes: number
  readonly offsetBytes: number
  lengthBytes: number
}

/** Where more of the memory than this share is in use, what is pushed is written at once: who has it will need it back. */
const GATHERED_SHARE = 1 / 2

/**
 * The blocks of a stream that are on their way to its file, in order, and how far the file is whole.
 *
 * Each has its place in the file to itself while it is written. O(1) per block.
 */
export class WriteWindow implements BlockOwner {
  readonly #target: StreamTarget
  readonly #queue: TaskQueue
  readonly #owner: WindowOwner
  /** `#count` of them from `#head` on, in a circle. */
  readonly #slots: readonly BlockWrite[]
  #head = 0
  #count = 0
  #flushedBytes: number
  #writtenCount = 0
  /** Whether what is flushed ends at a block that could not be written. */
  #hasGap = false
  /** The last block, where it waits for more; others are on their way then, and it begins with the end of the last of them at the latest. */
  #open: OpenBlock | null = null

  constructor(
    target: StreamTarget,
    owner: WindowOwner,
    { slotCount, startBytes }: { readonly slotCount: number; readonly startBytes: number },
  ) {
    const { descriptor } = target
    this.#target = target
    this.#queue = descriptor.executor.currentQueue() as TaskQueue
    this.#owner = owner
    this.#flushedBytes = startBytes
    const makeSlot = (): BlockWrite => new BlockWrite(descriptor, this)
    this.#slots = Array.from({ length: slotCount }, makeSlot)
  }

  get isEmpty(): boolean {
    return this.#count === 0
  }

  get isFull(): boolean {
    return this.#count === this.#slots.length
  }

  /** Up to where the file has all that was written. */
  get flushedBytes(): number {
    return this.#flushedBytes
  }

  /** How often something was written. */
  get writtenCount(): number {
    return this.#writtenCount
  }

  /** What was written beside the window reaches so far. */
  noteFlushed(endBytes: number): void {
    this.#flushedBytes = Math.max(this.#flushedBytes, endBytes)
    this.#writtenCount++
  }

  /** Goes on elsewhere. */
  moveTo(positionBytes: number): void {
    assert(this.isEmpty, 'nothing is left behind')
    this.#flushedBytes = positionBytes
  }

  /** Writes a part of a lease, which is pinned until that is over; the place is that in the stream. */
  assign(lease: Lease, place: BlockPlace): void {
    this.beginOpen()
    this.#start(this.#reserve(lease, place), lease, place)
  }

  /**
   * The same for what may wait while others are on their way, so that what follows is written by the same request, up to
   * `bytesMax` together: a device takes a long one in hardly more time than a short one. False if there is no room now.
   */
  gather(lease: Lease, place: BlockPlace, bytesMax: number): boolean {
    const { memory } = this.#target.descriptor.executor
    const isScarce = memory.usedBytes > memory.sizeBytesMax * GATHERED_SHARE
    const open = this.#open
    if (open !== null) {
      const wholeBytes = open.lengthBytes + place.lengthBytes
      if (!isScarce && wholeBytes <= bytesMax && open.block.gather(lease, place)) {
        open.lengthBytes = wholeBytes
        if (wholeBytes === bytesMax) this.beginOpen()
        return true
      }
      this.beginOpen()
      // The ring refused it: whoever waits was told, and the lease may be gone.
      if (this.#owner.hasFailed) return false
    }
    if (this.isFull) return false
    if (isScarce || this.isEmpty || place.lengthBytes >= bytesMax) this.assign(lease, place)
    else this.#open = { block: this.#reserve(lease, place), lease, ...place }
    return true
  }

  /** Begins what waits for more. */
  beginOpen(): void {
    const open = this.#open
    if (open === null) return
    this.#open = null
    this.#start(open.block, open.lease, open)
  }

  /** Asks the kernel to stop what it has. */
  stop(): void {
    for (const block of this.#slots) if (block.isInFlight) block.stop()
  }

  blockEnded(ended: BlockTransfer): void {
    const block = ended as BlockWrite
    block.takeLease().unpin()
    block.scatter()
    this.#blockDone(block)
  }

  // What was taken goes to the file, as far as the close gives time for that.
  executorCloses(): void {}

  /** The next slot, for a part of a lease. */
  #reserve(lease: Lease, { offsetBytes: startBytes }: BlockPlace): BlockWrite {
    assert(!this.isFull, 'there is a slot for what is on its way')
    lease.pin()
    const block = this.#slots[(this.#head + this.#count) % this.#slots.length]!
    assert(block.moreBytes === 0, 'what was gathered is given back')
    block.startBytes = startBytes
    block.doneBytes = 0
    block.failure = null
    block.isDone = false
    block.isWanted = true
    this.#count++
    return block
  }

  #start(block: BlockWrite, lease: Lease, place: BlockPlace): void {
    const { isSeekable, isAppending, ranges } = this.#target
    const { offsetBytes: startBytes, lengthBytes } = place
    const endBytes = startBytes + lengthBytes
    if (!isSeekable) {
      this.#begin(block, lease, { ...place, offsetBytes: NO_POSITION })
    } else if (isAppending) {
      const range = { startBytes: 0, endBytes: Infinity, isExclusive: true }
      this.#beginHeld(block, lease, { ...place, offsetBytes: NO_POSITION }, range)
    } else {
      block.hold = ranges.trySharing(startBytes, endBytes)
      if (block.hold !== null) this.#begin(block, lease, place)
      else this.#beginHeld(block, lease, place, { startBytes, endBytes, isExclusive: false })
    }
  }

  /** Waits for those that change the size, or whole blocks, there: which nobody may cancel. */
  #beginHeld(block: BlockWrite, lease: Lease, place: BlockPlace, range: RangeHold): void {
    const { descriptor, ranges } = this.#target
    descriptor.enter()
    void ranges.acquireShielded(range).then((hold) => {
      block.hold = hold
      this.#begin(block, lease, place)
      descriptor.leave()
    })
  }

  #begin(block: BlockWrite, lease: Lease, place: BlockPlace): void {
    if (!this.#owner.hasFailed) {
      try {
        block.begin(lease, place, this.#queue)
        return
      } catch (error) {
        this.#owner.windowFailed(error)
      }
    }
    lease.unpin()
    block.scatter()
    block.isWanted = false
    this.#blockDone(block)
  }

  #blockDone(block: BlockWrite): void {
    if (block.hold !== null) this.#target.ranges.release(block.hold)
    block.hold = null
    block.isDone = true
    if (block.failure !== null) this.#owner.windowFailed(block.failure)
    while (this.#count > 0 && this.#slots[this.#head]!.isDone) this.#retireFirst()
    // Nothing else will tell that it may go.
    if (this.#open !== null && this.#count === 1) this.beginOpen()
    this.#owner.windowMoved()
  }

  /** What is flushed reaches as far as blocks were written without a gap. */
  #retireFirst(): void {
    const block = this.#slots[this.#head]!
    if (!this.#hasGap) {
      this.noteFlushed(block.startBytes + block.doneBytes)
      this.#hasGap = block.failure !== null || !block.isWanted
    }
    this.#head = (this.#head + 1) % this.#slots.length
    this.#count--
  }
}
