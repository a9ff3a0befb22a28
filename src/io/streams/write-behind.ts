import { alignDown, assert, KernelError } from '../../base/index.ts'
import {
  answerDone,
  ClosingWaiter,
  checkCancellation,
  type Executor,
  ListedWaiter,
  WaitList,
  type WaitListOwner,
  type WaitOptions,
} from '../../executor/index.ts'
import { Lease } from '../../memory/index.ts'
import {
  EndWaiter,
  type Flush,
  FlushWaiter,
  PendingWrite,
  type WritePort,
} from './pending-write.ts'
import { type StreamTarget, takeOwnBlock, tryOwnBlockAhead } from './stream-target.ts'
import { readHead, writeTail } from './write-tail.ts'
import { type WindowOwner, WriteWindow } from './write-window.ts'

const ACTION = 'write a file'
const NO_BYTES = new Uint8Array(0)
/** A lease that is as long, and lies right, is written from where it is. */
const PASSED_BYTES_MIN = 16 * 1024

/** What is written, and how; checked. */
export interface WritePlan {
  readonly startBytes: number
  readonly blockBytes: number
  readonly writeBehind: number
}

/**
 * The engine of a {@link FileWriter}: data is gathered in one block, and blocks that are full are written while the next
 * ones are filled.
 *
 * A write that finds room in the block copies, and nothing else. O(1) each, and per block a lease and its view.
 */
export class WriteBehind implements WindowOwner, WaitListOwner, WritePort {
  readonly target: StreamTarget
  readonly #executor: Executor
  readonly #blockBytes: number
  readonly #window: WriteWindow
  // The block that is being filled, if there is one:
  #lease: Lease | null = null
  #view: Uint8Array = NO_BYTES
  #filledBytes = 0
  /** how much of it is in the file already, */
  #keptBytes = 0
  /** and where it begins, or will. */
  #startBytes: number
  #positionBytes: number
  /** Whether a tail is being written, or a head read: the block stays as it is, and no other begins. */
  #isAside = false
  readonly #writes = new WaitList<PendingWrite>(this)
  /** What of them is still to come. */
  #waitingBytes = 0
  readonly #flushes = new WaitList<Flush>(this)
  /** Those for whole blocks alone. */
  readonly #alignedFlushes = new WaitList<Flush>(this)
  /** Those until nothing is under way. */
  readonly #rests = new WaitList<ListedWaiter<void>>(this)
  #hasFailed = false
  #failure: unknown = null
  #isReported = false
  #drained: ClosingWaiter | null = null

  constructor(target: StreamTarget, plan: WritePlan) {
    const { descriptor } = target
    this.target = target
    this.#executor = descriptor.executor
    this.#blockBytes = plan.blockBytes
    this.#positionBytes = plan.startBytes
    this.#startBytes = alignDown(plan.startBytes, descriptor.alignmentBytes)
    // Where the kernel decides on what comes where, one goes after the other.
    const hasPlaces = target.isSeekable && !target.isAppending
    const slotCount = hasPlaces ? plan.writeBehind : 1
    this.#window = new WriteWindow(target, this, { slotCount, startBytes: plan.startBytes })
  }

  get positionBytes(): number {
    return this.#positionBytes
  }

  get flushedBytes(): number {
    return this.#window.flushedBytes
  }

  /** How many blocks and tails were written: what a sync is about. */
  get writtenCount(): number {
    return this.#window.writtenCount
  }

  /** Whether it has failed, and somebody was told. */
  get isReported(): boolean {
    return this.#isReported
  }

  /** Whether all that was written is in the file, and nothing under way. */
  get isAtRest(): boolean {
    return this.#isFlushed() && this.#isIdle()
  }

  /** @throws what it has failed with. */
  assertWhole(): void {
    if (!this.#hasFailed) return
    this.#isReported = true
    throw this.#failure
  }

  /** Takes all of `data`, a lease for good, and resolves once it has. Throws before it takes any. */
  write(data: Uint8Array | Lease, options: WaitOptions | undefined): Promise<void> {
    const executor = this.#executor
    checkCancellation(executor, options, ACTION)
    if (!(data instanceof Lease)) {
      const filledBytes = this.#filledBytes + data.length
      // A block that gets full is another's task.
      if (filledBytes < this.#view.length && this.#writes.length === 0) {
        this.#view.set(data, this.#filledBytes)
        this.#filledBytes = filledBytes
        this.#positionBytes += data.length
        return answerDone(executor)
      }
      if (data.length === 0) return answerDone(executor)
    }
    const write = new PendingWrite(executor, this, data)
    if (this.#writes.length === 0 && this.#take(write)) {
      write.lease?.release()
      return answerDone(executor)
    }
    this.assertWhole()
    write.bindListed(executor, options, ACTION)
    write.keepLent()
    this.#waitingBytes += write.leftBytes
    this.#writes.push(write)
    return write.promise
  }

  /** Resolves once all that was written before is in the file. */
  flush(options: WaitOptions | undefined): Promise<void> {
    const executor = this.#executor
    checkCancellation(executor, options, ACTION)
    if (this.#isFlushed()) return answerDone(executor)
    const waiter = new FlushWaiter(executor, this.#positionBytes + this.#waitingBytes)
    waiter.bindListed(executor, options, ACTION)
    this.#flushes.push(waiter)
    this.#pump()
    return waiter.promise
  }

  /** The same, which nothing cancels. */
  flushShielded(): Promise<void> {
    if (this.#isFlushed()) return Promise.resolve()
    const waiter = new EndWaiter(this.#executor, this.#positionBytes + this.#waitingBytes)
    this.#flushes.push(waiter)
    this.#pump()
    return waiter.promise
  }

  /** The same for whole blocks of the device alone. */
  flushAligned(options: WaitOptions | undefined): Promise<void> {
    const executor = this.#executor
    checkCancellation(executor, options, ACTION)
    const endBytes = this.#positionBytes + this.#waitingBytes
    const targetBytes = alignDown(endBytes, this.target.descriptor.alignmentBytes)
    if (this.flushedBytes >= targetBytes) return answerDone(executor)
    const waiter = new FlushWaiter(executor, targetBytes)
    waiter.bindListed(executor, options, ACTION)
    this.#alignedFlushes.push(waiter)
    this.#pump()
    return waiter.promise
  }

  /** Resolves once nothing is under way: the head may be, that a cancelled write was to follow. Throws what it has failed with. */
  rest(options: WaitOptions | undefined): Promise<void> {
    const executor = this.#executor
    checkCancellation(executor, options, ACTION)
    this.assertWhole()
    if (this.#isIdle()) return answerDone(executor)
    const waiter = new ListedWaiter<void>(executor)
    waiter.bindListed(executor, options, ACTION)
    this.#rests.push(waiter)
    return waiter.promise
  }

  /** Goes on elsewhere, once it is at rest. */
  moveTo(positionBytes: number): void {
    assert(this.isAtRest, 'nothing is left behind')
    this.#dropBlock()
    this.#positionBytes = positionBytes
    this.#window.moveTo(positionBytes)
    this.#startBytes = alignDown(positionBytes, this.target.descriptor.alignmentBytes)
  }

  /** It fails, for who waits and who comes later; what was gathered is dropped. */
  fail(failure: unknown): void {
    if (this.#hasFailed) return
    this.#hasFailed = true
    this.#failure = failure
    for (const list of [this.#writes, this.#flushes, this.#alignedFlushes, this.#rests]) {
      if (list.length > 0) this.#isReported = true
      list.fail(failure)
    }
    if (!this.#isAside) this.#dropBlock()
  }

  /** Asks the kernel to stop what it has. */
  stop(): void {
    this.#window.stop()
  }

  /** Resolves once nothing of it is under way. */
  drain(): Promise<void> {
    if (this.#isIdle() || this.#executor.isClosed) return Promise.resolve()
    this.#drained ??= new ClosingWaiter(this.#executor)
    return this.#drained.promise
  }

  /** Gives back the memory that it gathered in. */
  release(): void {
    this.#dropBlock()
  }

  get hasFailed(): boolean {
    return this.#hasFailed
  }

  windowFailed(failure: unknown): void {
    this.fail(failure)
  }

  windowMoved(): void {
    this.#pump()
  }

  waiterLeft(): void {
    this.#settle()
  }

  writeFailed(leftBytes: number): void {
    this.#waitingBytes -= leftBytes
  }

  #isFlushed(): boolean {
    return this.#waitingBytes === 0 && this.flushedBytes === this.#positionBytes
  }

  #isIdle(): boolean {
    return this.#window.isEmpty && !this.#isAside
  }

  /** Takes what there is room for; whether that is all. @throws {RuntimeError} `ERR_OUT_OF_MEMORY` */
  #take(write: PendingWrite): boolean {
    while (write.leftBytes > 0) {
      if (this.#hasFailed) return false
      if (this.#canPass(write)) {
        if (!this.#pass(write, write.lease!)) return false
        continue
      }
      if (this.#lease === null && !this.#openBlock()) return false
      if (this.#filledBytes === this.#view.length) {
        if (!this.#submitBlock()) return false
        continue
      }
      const bytes = write.next(this.#view.length - this.#filledBytes)
      this.#view.set(bytes, this.#filledBytes)
      this.#filledBytes += bytes.length
      this.#positionBytes += bytes.length
      write.advance(bytes.length)
      if (this.#filledBytes === this.#view.length) this.#submitBlock()
    }
    return true
  }

  /** Whether what comes next is long enough, and lies right, to be written from where it is. */
  #canPass({ lease, doneBytes, leftBytes }: PendingWrite): boolean {
    if (lease === null || leftBytes < PASSED_BYTES_MIN || lease.address === 0) return false
    const { alignmentBytes } = this.target.descriptor
    if (leftBytes < alignmentBytes) return false
    return (
      this.#positionBytes % alignmentBytes === 0 &&
      (lease.address + doneBytes) % alignmentBytes === 0
    )
  }

  #pass(write: PendingWrite, lease: Lease): boolean {
    if (this.#isAside) return false
    if (this.#filledBytes > this.#keptBytes && !this.#submitBlock()) return false
    // The ring refused the block: the lease may be gone.
    if (this.#hasFailed) return false
    const lengthBytes = alignDown(write.leftBytes, this.target.descriptor.alignmentBytes)
    const place = { fromBytes: write.doneBytes, lengthBytes, offsetBytes: this.#positionBytes }
    if (!this.#window.gather(lease, place, this.#blockBytes)) return false
    this.#dropBlock()
    this.#positionBytes += lengthBytes
    this.#startBytes = this.#positionBytes
    write.advance(lengthBytes)
    return true
  }

  /** Memory to gather in; false if there is none for now. @throws {RuntimeError} `ERR_OUT_OF_MEMORY` if nothing will free any. */
  #openBlock(): boolean {
    if (this.#isAside) return false
    const lease = this.#allocate()
    if (lease === null) return false
    const headBytes = this.#positionBytes - this.#startBytes
    if (headBytes > 0) {
      this.#openWithHead(lease, headBytes)
      return false
    }
    this.#setBlock(lease, 0)
    return true
  }

  /** What comes back as blocks end is waited for: null. @throws {RuntimeError} `ERR_OUT_OF_MEMORY` */
  #allocate(): Lease | null {
    const { memory } = this.#executor
    if (!this.#window.isEmpty) return tryOwnBlockAhead(memory, this.#blockBytes)
    return takeOwnBlock(memory, this.#blockBytes, this.target.descriptor.alignmentBytes)
  }

  #setBlock(lease: Lease, keptBytes: number): void {
    this.#lease = lease
    this.#view = lease.bytes
    this.#filledBytes = keptBytes
    this.#keptBytes = keptBytes
  }

  /** The first block of a stream that begins in the middle of one, which is read before. */
  #openWithHead(lease: Lease, headBytes: number): void {
    this.#isAside = true
    const ended = (): void => {
      this.#isAside = false
      this.#pump()
    }
    readHead(this.target, lease, this.#startBytes).then(
      () => {
        if (this.#hasFailed) lease.release()
        else this.#setBlock(lease, headBytes)
        ended()
      },
      (error: unknown) => {
        lease.release()
        this.fail(error)
        ended()
      },
    )
  }

  #dropBlock(): void {
    this.#lease?.release()
    this.#lease = null
    this.#view = NO_BYTES
    this.#filledBytes = 0
    this.#keptBytes = 0
  }

  /** Sends the block that was filled on its way, if it may go now. */
  #submitBlock(): boolean {
    if (this.#isAside || this.#window.isFull) return false
    const lengthBytes = this.#filledBytes
    const lease = this.#lease!
    const offsetBytes = this.#startBytes
    this.#lease = null
    this.#dropBlock()
    this.#startBytes = offsetBytes + lengthBytes
    this.#window.assign(lease, { fromBytes: 0, lengthBytes, offsetBytes })
    // It is pinned until it is written.
    lease.release()
    return true
  }

  /**
   * Sends whole blocks of the device on their way, and goes on with the rest in another one.
   *
   * @throws {RuntimeError} `ERR_OUT_OF_MEMORY` if there is none for that, and nothing will free any.
   */
  #pushAligned(): void {
    const filledBytes = this.#filledBytes
    const wholeBytes = alignDown(filledBytes, this.target.descriptor.alignmentBytes)
    if (this.#hasFailed || wholeBytes <= this.#keptBytes) return
    if (wholeBytes === filledBytes) {
      this.#submitBlock()
      return
    }
    if (this.#isAside || this.#window.isFull) return
    const next = this.#allocate()
    if (next === null) return
    const lease = this.#lease!
    const offsetBytes = this.#startBytes
    next.bytes.set(this.#view.subarray(wholeBytes, filledBytes))
    this.#setBlock(next, 0)
    this.#filledBytes = filledBytes - wholeBytes
    this.#startBytes = offsetBytes + wholeBytes
    this.#window.assign(lease, { fromBytes: 0, lengthBytes: wholeBytes, offsetBytes })
    lease.release()
  }

  /** Does what can be done now: takes what waits, sends what is full or asked for, tells who waits. May be called while reaping. */
  #pump(): void {
    while (!this.#hasFailed && this.#takeFirst());
    if (!this.#hasFailed) {
      const isFull = this.#lease !== null && this.#filledBytes === this.#view.length
      if (isFull) this.#submitBlock()
      if (this.#writes.length === 0) this.#pushFlushed()
    }
    this.#settle()
  }

  /** Whether the first of those that wait was taken whole, or could not be. */
  #takeFirst(): boolean {
    const write = this.#writes.first
    if (write === null) return false
    const { leftBytes } = write
    let isOver = true
    try {
      isOver = this.#take(write)
    } catch (error) {
      this.#waitingBytes -= leftBytes - write.leftBytes
      this.#writes.remove(write)
      write.fail(error)
      return true
    }
    // One that has failed with all others has been counted.
    if (write.list === null) return false
    this.#waitingBytes -= leftBytes - write.leftBytes
    if (!isOver) return false
    this.#writes.remove(write)
    write.fulfil()
    return true
  }

  /** Sends what somebody waits for: whole blocks at once; what is left of a block when nothing else is on its way. */
  #pushFlushed(): void {
    const { length } = this.#flushes
    if (length === 0 && this.#alignedFlushes.length === 0) return
    this.#window.beginOpen()
    try {
      this.#pushAligned()
    } catch (error) {
      // All of it is written as a tail is, which takes less memory.
      this.#alignedFlushes.fail(error)
    }
    if (length > 0) this.#pushTail()
  }

  #pushTail(): void {
    const lengthBytes = this.#filledBytes
    if (lengthBytes <= this.#keptBytes || !this.#isIdle() || this.#hasFailed) return
    if (lengthBytes % this.target.descriptor.alignmentBytes === 0) return
    this.#isAside = true
    // The block goes on being filled.
    const data = this.#view.slice(0, lengthBytes)
    const startBytes = this.#startBytes
    writeTail(this.target, data, startBytes).then(
      () => {
        this.#isAside = false
        this.#keptBytes = lengthBytes
        this.#window.noteFlushed(startBytes + lengthBytes)
        this.#endAside()
      },
      (error: unknown) => {
        this.#isAside = false
        // What lacks memory, say, may be tried again.
        if (error instanceof KernelError) this.fail(error)
        else this.#flushes.fail(error)
        this.#endAside()
      },
    )
  }

  #endAside(): void {
    if (this.#hasFailed) this.#dropBlock()
    this.#pump()
  }

  #settle(): void {
    const isAll = this.#isFlushed()
    for (const list of [this.#flushes, this.#alignedFlushes]) {
      for (let first = list.first; first !== null; first = list.first) {
        if (first.targetBytes > this.flushedBytes && !isAll) break
        list.remove(first)
        first.fulfil()
      }
    }
    if (!this.#isIdle()) return
    for (let first = this.#rests.first; first !== null; first = this.#rests.first) {
      this.#rests.remove(first)
      first.fulfil()
    }
    this.#drained?.fulfil()
  }
}
