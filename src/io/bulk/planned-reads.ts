import { assert, nextPowerOfTwo, RuntimeError } from '../../base/index.ts'
import {
  type Cancellable,
  createDeferred,
  type Deferred,
  type WaitOptions,
} from '../../executor/index.ts'
import type { Lease } from '../../memory/index.ts'
import type { ByteRange, MergedRead } from './merge-ranges.ts'
import type { ReadManyLimits } from './read-many-options.ts'

/** The file that ranges are read from. */
export interface BlockReader {
  /** What reads should begin and end at multiples of, a power of two. */
  readonly alignmentBytes: number
  /** @throws {RuntimeError} `ERR_OUT_OF_MEMORY` */
  allocateBuffer(lengthBytes: number): Lease
  /** Begins to fill a buffer, or throws. */
  beginRead(buffer: Lease, offsetBytes: number, options: WaitOptions | undefined): BegunRead
}

/** A read that is under way. */
export interface BegunRead extends Cancellable {
  /** How many bytes were read. */
  readonly promise: Promise<number>
}

/** What of the memory limit comes back with each read that finds memory, after one that found none. */
const RECOVERY_SHARE = 1 / 8

/** One read for some of the ranges that were asked for. */
export class PlannedRead {
  readonly offsetBytes: number
  readonly lengthBytes: number
  /** What it takes of the arena. */
  readonly memoryBytes: number
  /** How many ranges it is for that have not been handed out. */
  #leftCount: number
  readonly #isAlone: boolean
  #lease: Lease | null = null
  /** Why it failed; null before that. */
  error: unknown = null

  constructor({ offsetBytes, lengthBytes, indices }: MergedRead) {
    this.offsetBytes = offsetBytes
    this.lengthBytes = lengthBytes
    this.memoryBytes = nextPowerOfTwo(lengthBytes)
    this.#leftCount = indices.length
    this.#isAlone = indices.length === 1
  }

  get isOver(): boolean {
    return this.#lease !== null || this.error !== null
  }

  /** Whether all of its ranges have been handed out. */
  get isSpent(): boolean {
    return this.#leftCount === 0
  }

  fill(lease: Lease): void {
    assert(!this.isOver, 'a read ends once')
    if (this.isSpent) {
      // Nobody waits for it any more.
      lease.release()
      return
    }
    if (this.#isAlone) {
      this.#lease = lease
      return
    }
    // Slices of a slice share one owner.
    this.#lease = lease.slice(0, lease.lengthBytes)
    lease.release()
  }

  fail(error: unknown): void {
    assert(!this.isOver, 'a read ends once')
    this.error = error ?? new Error('a read failed without a reason')
  }

  /** What of a range there is; null where the read failed. */
  cut({ offsetBytes, lengthBytes }: ByteRange): Lease | null {
    assert(this.#leftCount > 0 && this.isOver, 'each range is handed out once, after it was read')
    this.#leftCount--
    const whole = this.#lease
    if (whole === null) return null
    // The file may end before the range does, or even before it begins.
    const fromBytes = Math.min(offsetBytes - this.offsetBytes, whole.lengthBytes)
    const thereBytes = Math.min(lengthBytes, whole.lengthBytes - fromBytes)
    if (this.#isAlone) {
      whole.narrow(fromBytes, thereBytes)
      return whole
    }
    const part = whole.slice(fromBytes, thereBytes)
    if (this.isSpent) whole.release()
    return part
  }

  /** Gives back what nobody will ask for. */
  drop(): void {
    if (this.#lease !== null && !this.isSpent) this.#lease.release()
    this.#leftCount = 0
  }
}

/** Who is told of reads, and asked about them. */
export interface PlannedReadsOwner {
  /** Whether somebody waits for this very read. */
  isAwaited(block: PlannedRead): boolean
  /** A read has ended. */
  onReadOver(): void
}

/** Begins reads in the order in which they are needed, as many at a time as the limits allow. */
export class PlannedReads {
  readonly #file: BlockReader
  readonly #owner: PlannedReadsOwner
  readonly #limits: ReadManyLimits
  readonly #wait: WaitOptions | undefined
  /** Those that have not begun, from the index on. */
  #waiting: readonly PlannedRead[] = []
  #waitingIndex = 0
  readonly #inFlight = new Set<BegunRead>()
  /** What reads hold that are under way, or not handed out. */
  #heldBytes = 0
  /** The limit of that: less than was asked for where memory has turned out to be scarce. */
  #heldBytesMax: number
  /** Settled once all have ended that were under way when it was stopped. */
  #stopping: Deferred<void> | null = null

  constructor(file: BlockReader, limits: ReadManyLimits, owner: PlannedReadsOwner) {
    this.#file = file
    this.#owner = owner
    this.#limits = limits
    this.#heldBytesMax = limits.memoryBytesMax
    const { timeoutMs } = limits
    this.#wait = timeoutMs === undefined ? undefined : { timeoutMs }
  }

  /** Whether nothing waits for its beginning. */
  get isAllBegun(): boolean {
    return this.#waitingIndex === this.#waiting.length
  }

  /** Takes these over, to be begun after all that were added before. */
  add(blocks: readonly PlannedRead[]): void {
    assert(this.isAllBegun, 'reads are added when all others have begun')
    this.#waiting = blocks
    this.#waitingIndex = 0
  }

  /** Begins what the limits allow; whether one failed at once. */
  begin(): boolean {
    while (!this.isAllBegun && this.#stopping === null) {
      const block = this.#waiting[this.#waitingIndex]!
      if (this.#inFlight.size >= this.#limits.concurrency) return false
      const isFitting = this.#heldBytes + block.memoryBytes <= this.#heldBytesMax
      // One that is waited for would else wait for memory that comes back after it only.
      const isAwaited = this.#owner.isAwaited(block)
      if (!isFitting && !isAwaited) return false
      const buffer = this.#tryAllocate(block, isAwaited)
      if (buffer === null && !block.isOver) return false
      this.#waitingIndex++
      if (buffer === null || !this.#beginOne(block, buffer)) return true
    }
    return false
  }

  /** All ranges of a read have been handed out. */
  giveBack(block: PlannedRead): void {
    assert(block.isSpent, 'a read is given back once nobody asks for more of it')
    this.#heldBytes -= block.memoryBytes
    assert(this.#heldBytes >= 0, 'each read is given back once')
  }

  /** Begins no more; resolves once those under way have ended, which are cancelled. */
  async stop(): Promise<void> {
    this.#stopping = createDeferred<void>()
    if (this.#inFlight.size === 0) return
    const reason = new RuntimeError(
      'ERR_HANDLE_CLOSED',
      'Cannot read many ranges as their iteration must go on: it was left',
    )
    for (const read of [...this.#inFlight]) read.cancel(reason)
    await this.#stopping.promise
  }

  /** Memory for a read; null where there is none now, or never will be: the read has failed then. */
  #tryAllocate(block: PlannedRead, isAwaited: boolean): Lease | null {
    try {
      return this.#file.allocateBuffer(block.lengthBytes)
    } catch (error) {
      if (isAwaited || !isScarcity(error)) {
        this.#heldBytes += block.memoryBytes
        block.fail(error)
      } else {
        // Others have the rest: it is not asked for again before some of this comes back.
        this.#heldBytesMax = Math.min(this.#heldBytesMax, this.#heldBytes)
      }
      return null
    }
  }

  /** Whether it could begin: else it has failed. */
  #beginOne(block: PlannedRead, buffer: Lease): boolean {
    this.#heldBytes += block.memoryBytes
    const { memoryBytesMax } = this.#limits
    const grownBytes = this.#heldBytesMax + block.memoryBytes * RECOVERY_SHARE
    this.#heldBytesMax = Math.min(memoryBytesMax, grownBytes)
    let read: BegunRead
    try {
      read = this.#file.beginRead(buffer, block.offsetBytes, this.#wait)
    } catch (error) {
      buffer.release()
      block.fail(error)
      return false
    }
    this.#inFlight.add(read)
    read.promise.then(
      (readBytes) => {
        buffer.trim(readBytes)
        block.fill(buffer)
        this.#onOver(read)
      },
      (error: unknown) => {
        buffer.release()
        block.fail(error)
        this.#onOver(read)
      },
    )
    return true
  }

  #onOver(read: BegunRead): void {
    this.#inFlight.delete(read)
    if (this.#stopping === null) this.#owner.onReadOver()
    else if (this.#inFlight.size === 0) this.#stopping.resolve()
  }
}

function isScarcity(error: unknown): boolean {
  return error instanceof RuntimeError && error.code === 'ERR_OUT_OF_MEMORY'
}
