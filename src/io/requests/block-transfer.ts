import { alignDown, assert, KernelError, NO_QUEUE, type RuntimeError } from '../../base/index.ts'
import { madeInTurn, type TaskQueue } from '../../executor/index.ts'
import { EIO, kernelError } from '../../kernel/index.ts'
import type { Lease } from '../../memory/index.ts'
import { type MemoryRef, Operation, type Ring, type Target } from '../../ring/index.ts'
import type { Dispatched } from '../devices/dispatcher.ts'
import type { Descriptor } from './descriptor.ts'
import { judgeShort, MORE, NO_POSITION, RETRIES_MAX } from './transfer-plan.ts'

const NO_TARGET: Target = { fd: -1, registered: false }

/** Which part of a lease is moved, and to or from where in the file. */
export interface BlockPlace {
  readonly fromBytes: number
  readonly lengthBytes: number
  /** {@link NO_POSITION} where there is none. */
  readonly offsetBytes: number
}

/** The stream that a block belongs to. Called while reaping: may mark and queue, but runs no user code. */
export interface BlockOwner {
  /** A block has ended, and may be begun again. */
  blockEnded(block: BlockTransfer): void
  /** The executor closes while a block is in flight. */
  executorCloses(reason: RuntimeError): void
}

/**
 * One block of a stream on its way between a file and memory, in as many requests as that takes.
 *
 * Used for one block after the other, so that a stream of any length makes a few of these. Nobody awaits
 * it: the stream is told while reaping. It keeps its lease until the stream takes that.
 */
export abstract class BlockTransfer extends Operation implements MemoryRef, Dispatched {
  lease: Lease | null = null
  /** Where the block begins in the stream. */
  startBytes = 0
  /** How much of it has been moved. */
  doneBytes = 0
  /** Whether the file ended within it, or right before. */
  isLast = false
  failure: KernelError | null = null
  isInFlight = false
  /** Whether the stream still wants what it moves; else it is being cancelled. */
  isWanted = true
  /** How much of what is to be moved lies elsewhere than in the lease. */
  moreBytes = 0
  // The entry is written from these: what is still to be moved, and where.
  file: Target = NO_TARGET
  offsetBytes: number = NO_POSITION
  address = 0
  lengthBytes = 0
  bufferIndex = -1
  protected readonly descriptor: Descriptor
  readonly #owner: BlockOwner
  #queue: TaskQueue | null = null
  #idleCount = 0

  constructor(descriptor: Descriptor, owner: BlockOwner) {
    super(NO_QUEUE)
    this.descriptor = descriptor
    this.#owner = owner
  }

  protected abstract get syscall(): string
  protected abstract encode(ring: Ring, base: number): void
  get queue(): TaskQueue {
    return this.#queue!
  }
  get isTransfer(): boolean {
    return true
  }
  abstract get isWrite(): boolean
  get isMetered(): boolean {
    return this.descriptor.isDirect
  }
  /** Whether it is submitted before the turn ends, so that cancelling comes too late to undo it. */
  get submitsEarly(): boolean {
    // What a pipe is asked for would be taken even if the reader is cancelled in this turn.
    return !this.isWrite && this.offsetBytes !== NO_POSITION
  }

  /**
   * Begins to move a part of a lease, which it has from then on.
   *
   * @throws {KernelError} if the ring takes no more; then it has no lease.
   */
  begin(lease: Lease, { fromBytes, lengthBytes, offsetBytes }: BlockPlace, queue: TaskQueue): void {
    assert(!this.isInFlight && this.lease === null, 'a block is used for one transfer at a time')
    assert(lengthBytes > 0 && fromBytes >= 0, 'a block is not empty')
    const leaseBytes = lengthBytes - this.moreBytes
    assert(fromBytes + leaseBytes <= lease.lengthBytes, 'a block lies within its lease')
    this.doneBytes = 0
    this.isLast = false
    this.failure = null
    this.offsetBytes = offsetBytes
    this.address = lease.address + fromBytes
    this.lengthBytes = lengthBytes
    this.#queue = queue
    this.#idleCount = 0
    this.lease = lease
    this.#begin()
  }

  // Counted before, since a dispatcher that holds requests back may end it within the call, when the ring refuses it.
  #begin(): void {
    const { descriptor } = this
    const { counters } = descriptor.executor.io.control
    this.isInFlight = true
    counters[32]!++ // COUNTER_FILE_OPERATIONS
    descriptor.enter()
    try {
      descriptor.dispatcher.submit(this)
    } catch (error) {
      this.isInFlight = false
      this.lease = null
      counters[32]!-- // COUNTER_FILE_OPERATIONS
      descriptor.leave()
      throw error
    }
  }

  /** Takes the lease away, of a block that has ended. */
  takeLease(): Lease {
    const { lease } = this
    assert(lease !== null && !this.isInFlight, 'memory is the kernel’s until the block has ended')
    this.lease = null
    return lease
  }

  /** Asks the kernel to stop; it ends some time later, and what it has moved is wanted by nobody. */
  stop(): void {
    assert(this.isInFlight, 'what has ended is not stopped')
    this.isWanted = false
    if (this.state === 'queued') {
      this.descriptor.dispatcher.withdraw(this)
      this.#end()
    } else {
      this.descriptor.executor.io.cancel(this)
    }
  }

  override get isAwaited(): boolean {
    return true
  }

  override executorCloses(reason: RuntimeError): void {
    this.#owner.executorCloses(reason)
  }

  override complete(result: number): void {
    this.descriptor.dispatcher.completed(this)
    if (result === this.lengthBytes) {
      this.doneBytes += result
      this.#end()
      return
    }
    this.#judge(result)
  }

  override run(): void {}

  #judge(result: number): void {
    // One that was withdrawn before the kernel saw it moved nothing, and says so.
    if (!this.isWanted) {
      this.doneBytes += Math.max(0, result)
      this.#end()
      return
    }
    const { isWrite } = this
    const isSeekable = this.offsetBytes !== NO_POSITION
    const { alignmentBytes } = this.descriptor
    const outcome = judgeShort({ isWrite, isSeekable, alignmentBytes, result })
    if (outcome === MORE) {
      const wholeBytes = alignDown(Math.max(0, result), alignmentBytes)
      this.#idleCount = wholeBytes > 0 ? 0 : this.#idleCount + 1
      if (this.#idleCount <= RETRIES_MAX) this.#goOn(wholeBytes)
      else this.#fail(result < 0 ? result : -EIO)
    } else if (outcome < 0) {
      this.#fail(outcome)
    } else {
      this.doneBytes += outcome
      this.isLast = true
      this.#end()
    }
  }

  /** Asks for the rest. */
  #goOn(movedBytes: number): void {
    this.doneBytes += movedBytes
    this.lengthBytes -= movedBytes
    this.address += movedBytes
    if (this.offsetBytes !== NO_POSITION) this.offsetBytes += movedBytes
    try {
      this.descriptor.dispatcher.submit(this)
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
      this.#fail(error.errno)
    }
  }

  /** @internal Puts its next request into a ring. Called by the dispatcher alone. */
  issue(): Ring {
    const { bufferIndex } = this.lease!
    const ring = this.descriptor.executor.io.ringFor(this.#queue!)
    this.bufferIndex = bufferIndex < ring.registeredBufferCount ? bufferIndex : -1
    const base = ring.begin()
    this.file = this.descriptor.targetOn(ring)
    this.encode(ring, base)
    ring.commit(this)
    return ring
  }

  /** @internal It was held back, and now the ring refuses it. */
  refuse(errno: number): void {
    assert(errno < 0, 'a refusal is a negative error number')
    this.#fail(errno)
  }

  #fail(result: number): void {
    if (!this.isWanted) {
      this.#end()
      return
    }
    const { path, fd } = this.descriptor
    this.failure = madeInTurn(kernelError(result, { syscall: this.syscall, path, fd }))
    this.#end()
  }

  #end(): void {
    this.isInFlight = false
    if (this.doneBytes > 0 || this.failure === null) {
      this.descriptor.countMoved(this.queue, this.isWrite, this.doneBytes)
    }
    this.descriptor.leave()
    this.#owner.blockEnded(this)
  }
}
