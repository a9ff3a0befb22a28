import {
  alignDown,
  alignUp,
  assert,
  copyBytes,
  KernelError,
  Runnable,
  RuntimeError,
} from '../../base/index.ts'
import {
  abortHub,
  bindCancellation,
  type Cancellable,
  type CancellationBinding,
  ClosingWaiter,
  checkCancellation,
  type Executor,
  newPromise,
  refuse,
  rejectFrom,
  type TaskQueue,
  takeResolve,
  type WaitOptions,
} from '../../executor/index.ts'
import { type Lease, leaseHeap } from '../../memory/index.ts'
import type { AttachedStream } from '../requests/attached-streams.ts'
import { BlockRead } from '../requests/block-read.ts'
import type { BlockOwner, BlockTransfer } from '../requests/block-transfer.ts'
import { NO_POSITION } from '../requests/transfer-plan.ts'
import { type StreamTarget, streamClosed, takeNeededBlock, tryBlockAhead } from './stream-target.ts'

// What a reader wants.
const NOTHING = 0
/** A lease on the next piece; */
export const WANT_LEASE = 1
/** the same as a step of an iteration, which is told of it; */
export const WANT_LEASE_STEP = 2
/** a copy of the next piece, as a step of an iteration. */
export const WANT_CHUNK_STEP = 3

const ACTION = 'read a file'

/** Told of the lease that a step of an iteration gives. */
export interface LeaseKeeper {
  keep(lease: Lease): void
}

/** What is read, and how; checked. */
export interface ReadPlan {
  readonly startBytes: number
  readonly endBytes: number
  readonly blockBytes: number
  readonly readAhead: number
  readonly signal: AbortSignal | undefined
}

/** A read for a stream, and whether its memory is for nobody else to see. */
interface Slot {
  readonly block: BlockRead
  isReserved: boolean
}

/**
 * The engine of a {@link FileReader}: a window of blocks, each with memory of its own, that are read ahead of
 * what is taken.
 *
 * The window begins with one block and doubles with each that is taken, so that a small file costs one read.
 * O(1) per block, which takes a lease, its view, and nothing else; no copy unless memory is scarce or the reader
 * wants one. Cancelling ends the wait alone: what is being read is there for the next.
 */
export class ReadAhead extends Runnable implements BlockOwner, Cancellable, AttachedStream {
  readonly #target: StreamTarget
  readonly #executor: Executor
  readonly #blockBytes: number
  readonly #readsAhead: boolean
  readonly #signal: AbortSignal | undefined
  /** Blocks in order: `#count` of them from `#head` on, in a circle. */
  readonly #slots: Slot[]
  #head = 0
  #count = 0
  #windowCount = 1
  /** What was taken ends here; */
  #positionBytes: number
  /** the window ends here; */
  #aheadBytes: number
  /** and the stream here: where it is to, or where the file was found to. */
  #endBytes: number
  /** Reads that nobody wants any more. */
  #strayCount = 0
  #isClosed = false
  /** Whether its file and its signal end it: until it has ended, or come to its end. */
  #isAttached = false
  #hasFailed = false
  #failure: unknown = null
  #drained: ClosingWaiter | null = null
  // The reader that waits, if there is one.
  #want = NOTHING
  #isSettling = false
  #keeper: LeaseKeeper | null = null
  #resolve: ((value: unknown) => void) | null = null
  #binding: CancellationBinding | null = null
  #isCancelled = false
  #cancelReason: unknown = null
  readonly #signalTarget: Cancellable = { cancel: (reason) => this.#fail(reason) }

  constructor(target: StreamTarget, plan: ReadPlan) {
    const { executor } = target.descriptor
    super(executor.currentQueue())
    this.#target = target
    this.#executor = executor
    this.#blockBytes = plan.blockBytes
    this.#readsAhead = plan.readAhead > 0
    this.#signal = plan.signal
    this.#positionBytes = plan.startBytes
    this.#aheadBytes = alignDown(plan.startBytes, target.descriptor.alignmentBytes)
    this.#endBytes = plan.endBytes
    // What has no positions gives its bytes to whoever comes first: one after the other.
    const slotCount = target.isSeekable ? Math.max(1, plan.readAhead) : 1
    this.#slots = Array.from({ length: slotCount }, () => this.#makeSlot())
    this.#attach()
  }

  get positionBytes(): number {
    return this.#positionBytes
  }

  /** Answers one reader; a step of an iteration that is rejected ends the stream, as nobody else would. */
  read(
    want: number,
    keeper: LeaseKeeper | null,
    options: WaitOptions | undefined,
  ): Promise<unknown> {
    if (this.#want !== NOTHING) return refuse(alreadyRead(ACTION))
    const executor = this.#executor
    try {
      this.#assertOpen()
      checkCancellation(executor, options, ACTION)
      if (this.#count === 0 && !this.#isReady()) this.#fillNeeded()
      if (this.#isReady() && executor.takeReadyBudget()) {
        return Promise.resolve(this.#take(want, keeper))
      }
      this.#binding = bindCancellation(executor, this, options, ACTION)
    } catch (error) {
      if (want !== WANT_LEASE) this.#fail(error)
      return refuse(error)
    }
    const promise = newPromise<unknown>()
    this.#resolve = takeResolve<unknown>()
    this.#want = want
    this.#keeper = keeper
    this.home = executor.currentQueue()
    if (this.#isReady()) this.#settleLater()
    return promise
  }

  /** Goes on at another position. @throws {RuntimeError} `ERR_STILL_HELD`, `ERR_HANDLE_CLOSED` */
  moveTo(positionBytes: number, action: string): void {
    if (this.#want !== NOTHING) throw alreadyRead(action)
    this.#assertOpen()
    if (positionBytes < this.#endBytes) this.#comeBack(action)
    const first = this.#count === 0 ? this.#aheadBytes : this.#slots[this.#head]!.block.startBytes
    if (positionBytes < first || positionBytes >= this.#aheadBytes) {
      this.#dropWindow()
      this.#aheadBytes = alignDown(positionBytes, this.#target.descriptor.alignmentBytes)
      this.#windowCount = 1
    }
    this.#positionBytes = positionBytes
    while (this.#count > 1 && this.#slots[this.#nextIndex()]!.block.startBytes <= positionBytes) {
      this.#dropFirst()
    }
  }

  /** Ends it; resolves once nothing of it is under way. */
  close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true
      this.#end()
      if (this.#want !== NOTHING && !this.#isSettling) this.#settleLater()
    }
    if (this.#strayCount === 0 || this.#executor.isClosed) return Promise.resolve()
    this.#drained ??= new ClosingWaiter(this.#executor)
    return this.#drained.promise
  }

  fileCloses(): Promise<void> {
    return this.close()
  }

  cancel(reason: unknown): void {
    if (this.#want === NOTHING || this.#isSettling) return
    this.#isCancelled = true
    this.#cancelReason = reason
    this.#settleLater()
  }

  executorCloses(reason: RuntimeError): void {
    this.#fail(reason)
  }

  blockEnded(block: BlockTransfer): void {
    if (!block.isWanted) {
      block.takeLease().release()
      this.#strayCount--
      if (this.#strayCount === 0) this.#drained?.fulfil()
      return
    }
    if (block.isLast) this.#noteEnd(block)
    if (this.#want !== NOTHING && !this.#isSettling && this.#isReady()) this.#settleLater()
  }

  override run(): void {
    const resolve = this.#resolve!
    const want = this.#want
    const keeper = this.#keeper
    this.#binding?.end()
    this.#binding = null
    this.#resolve = null
    this.#keeper = null
    this.#want = NOTHING
    this.#isSettling = false
    try {
      if (this.#isCancelled) throw this.#takeCancelReason()
      this.#assertOpen()
      resolve(this.#take(want, keeper))
    } catch (error) {
      if (want !== WANT_LEASE) this.#fail(error)
      rejectFrom(resolve, error)
    }
  }

  #takeCancelReason(): unknown {
    const reason = this.#cancelReason
    this.#isCancelled = false
    this.#cancelReason = null
    return reason
  }

  #assertOpen(): void {
    if (this.#hasFailed) return
    const { descriptor } = this.#target
    if (this.#isClosed) throw streamClosed(ACTION, descriptor.path, 'reader')
    this.#executor.assertOpen(ACTION)
  }

  #isReady(): boolean {
    if (this.#hasFailed || this.#positionBytes >= this.#endBytes) return true
    return this.#count > 0 && !this.#slots[this.#head]!.block.isInFlight
  }

  #settleLater(): void {
    this.#isSettling = true
    this.home.push(this)
  }

  /** @throws what the stream has failed with. */
  #take(want: number, keeper: LeaseKeeper | null): unknown {
    if (this.#hasFailed) throw this.#failure
    const isStep = want !== WANT_LEASE
    if (this.#positionBytes >= this.#endBytes) {
      this.#end()
      return isStep ? { value: undefined, done: true } : null
    }
    const { block, isReserved } = this.#slots[this.#head]!
    if (block.failure !== null) {
      this.#fail(block.failure)
      throw block.failure
    }
    const lease = this.#takeFirst(block)
    const value = want === WANT_CHUNK_STEP || isReserved ? copyBytes(lease.bytes) : lease
    if (value !== lease) lease.release()
    this.#fillAhead()
    if (want === WANT_CHUNK_STEP) return { value, done: false }
    const given = value instanceof Uint8Array ? leaseHeap(value) : value
    keeper?.keep(given)
    return isStep ? { value: given, done: false } : given
  }

  /** The first block of the window leaves it: what of it is between the position and the end. */
  #takeFirst(block: BlockRead): Lease {
    const fromBytes = this.#positionBytes - block.startBytes
    const toBytes = Math.min(block.doneBytes, this.#endBytes - block.startBytes)
    assert(fromBytes >= 0 && fromBytes < toBytes, 'a piece is not empty')
    const lease = block.takeLease()
    lease.narrow(fromBytes, toBytes - fromBytes)
    this.#positionBytes = block.startBytes + toBytes
    this.#head = this.#nextIndex()
    this.#count--
    // What has no positions brought less than was asked for.
    if (!this.#target.isSeekable) this.#aheadBytes = this.#positionBytes
    return lease
  }

  /** The file ended within a block, or before it: what others brought from behind came later. */
  #noteEnd(block: BlockTransfer): void {
    // A pipe that has brought something may bring more.
    if (!this.#target.isSeekable && block.doneBytes > 0) return
    this.#endBytes = Math.min(this.#endBytes, block.startBytes + block.doneBytes)
  }

  /** The block that the next reader waits for. @throws {RuntimeError} `ERR_OUT_OF_MEMORY`; {@link KernelError} */
  #fillNeeded(): void {
    this.#target.descriptor.assertOpen(ACTION)
    const { memory } = this.#executor
    const lengthBytes = this.#nextLength()
    const { lease, isReserved } = takeNeededBlock(
      memory,
      lengthBytes,
      this.#target.descriptor.alignmentBytes,
    )
    this.#begin(lease, isReserved)
    this.#fillAhead()
  }

  /** What is read ahead, as far as there is memory for it, and the ring takes it: else later. */
  #fillAhead(): void {
    if (!this.#readsAhead) return
    while (this.#count < this.#windowCount && this.#aheadBytes < this.#endBytes) {
      if (this.#target.descriptor.isClosed) return
      const lease = tryBlockAhead(this.#executor.memory, this.#nextLength())
      if (lease === null) return
      try {
        this.#begin(lease, false)
      } catch (error) {
        // It is begun again, and fails, when a reader needs it.
        if (error instanceof KernelError || error instanceof RuntimeError) return
        throw error
      }
    }
    this.#windowCount = Math.min(this.#slots.length, this.#windowCount * 2)
  }

  #nextLength(): number {
    const leftBytes = this.#endBytes - this.#aheadBytes
    assert(leftBytes > 0, 'nothing is read behind the end')
    return Math.min(this.#blockBytes, alignUp(leftBytes, this.#target.descriptor.alignmentBytes))
  }

  #begin(lease: Lease, isReserved: boolean): void {
    const slot = this.#slots[(this.#head + this.#count) % this.#slots.length]!
    const { block } = slot
    const { lengthBytes } = lease
    const offsetBytes = this.#target.isSeekable ? this.#aheadBytes : NO_POSITION
    block.startBytes = this.#aheadBytes
    slot.isReserved = isReserved
    try {
      const queue = this.#executor.currentQueue() as TaskQueue
      block.begin(lease, { fromBytes: 0, lengthBytes, offsetBytes }, queue)
    } catch (error) {
      lease.release()
      throw error
    }
    this.#aheadBytes += lengthBytes
    this.#count++
  }

  #makeSlot(): Slot {
    return { block: new BlockRead(this.#target.descriptor, this), isReserved: false }
  }

  #nextIndex(): number {
    return (this.#head + 1) % this.#slots.length
  }

  /** Gives the first block up. */
  #dropFirst(): void {
    const { block } = this.#slots[this.#head]!
    if (block.isInFlight) {
      // The kernel still has it: another takes its place.
      this.#slots[this.#head] = this.#makeSlot()
      this.#strayCount++
      block.stop()
    } else {
      block.takeLease().release()
    }
    this.#head = this.#nextIndex()
    this.#count--
  }

  #dropWindow(): void {
    while (this.#count > 0) this.#dropFirst()
  }

  #fail(failure: unknown): void {
    if (this.#hasFailed || this.#isClosed) return
    this.#hasFailed = true
    this.#failure = failure
    this.#end()
    if (this.#want !== NOTHING && !this.#isSettling) this.#settleLater()
  }

  /** One that was at its end may go on: its file and its signal end it again. @throws {RuntimeError} `ERR_HANDLE_CLOSED` */
  #comeBack(action: string): void {
    if (this.#isAttached || this.#hasFailed) return
    this.#target.descriptor.assertOpen(action)
    if (this.#signal?.aborted) this.#fail(this.#signal.reason)
    else this.#attach()
  }

  #attach(): void {
    this.#isAttached = true
    this.#target.descriptor.streams.add(this)
    if (this.#signal !== undefined) abortHub(this.#signal).add(this.#signalTarget)
  }

  /** Nothing more is read. */
  #end(): void {
    this.#dropWindow()
    this.#isAttached = false
    this.#target.descriptor.streams.remove(this)
    if (this.#signal !== undefined) abortHub(this.#signal).remove(this.#signalTarget)
  }
}

function alreadyRead(action: string): RuntimeError {
  return new RuntimeError(
    'ERR_STILL_HELD',
    `Cannot ${action} as a stream must have one reader at a time: one waits`,
  )
}
