import { alignDown, assert } from '../../base/index.ts'
import type { TaskQueue, WaitOptions } from '../../executor/index.ts'
import { EIO, EOPNOTSUPP } from '../../kernel/index.ts'
import type { Lease } from '../../memory/index.ts'
import { encodeMove, type MemoryRef, type Ring } from '../../ring/index.ts'
import type { RangeHold } from '../ranges/range-lock.ts'
import type { Descriptor } from './descriptor.ts'
import { FileOperation } from './file-operation.ts'
import {
  judgeShort,
  MORE,
  RETRIES_MAX,
  type TransferPlan,
  type Transferred,
} from './transfer-plan.ts'

/** A part of a buffer. */
export function partOf(buffer: Lease, fromBytes: number, lengthBytes: number): MemoryRef {
  const { address, bufferIndex } = buffer
  return { address: address + fromBytes, lengthBytes, bufferIndex }
}

/**
 * Moves one stretch of I/O memory to or from a file, in as many requests as that takes. Which way, and what its value is,
 * the plan says.
 *
 * The buffer is pinned until the terminal completion of the last request. It makes no other object but its promise,
 * however many requests it takes.
 */
export class Transfer<T> extends FileOperation<T> implements Transferred {
  readonly buffer: Lease
  /** Where in the buffer what was asked for begins; set before it begins, of a plan that skips. */
  skipBytes: number
  // Plain fields, assigned: one is made per transfer, and V8 calls a builtin for each initializer.
  /** @internal */
  readonly plan: TransferPlan<T>
  /** @internal The buffer, or a part of it. */
  readonly source: MemoryRef
  /** @internal Where what is left belongs in the file, or {@link NO_POSITION}. */
  offsetBytes: number
  /** @internal How much is left; taken down at first, since the user may trim a buffer meanwhile. */
  leftBytes: number
  /** @internal */
  doneBytes: number
  /** @internal Requests in a row that moved nothing. */
  idleCount: number
  /** @internal Whether the request under way is one that a device is polled for. */
  isPolled: boolean
  /** @internal Its place in the file, to be given free when it ends. */
  hold: RangeHold | null

  constructor(
    plan: TransferPlan<T>,
    descriptor: Descriptor,
    buffer: Lease,
    source: MemoryRef,
    offsetBytes: number,
  ) {
    super(descriptor)
    this.buffer = buffer
    this.skipBytes = 0
    this.plan = plan
    this.source = source
    this.offsetBytes = offsetBytes
    this.leftBytes = source.lengthBytes
    this.doneBytes = 0
    this.idleCount = 0
    this.isPolled = false
    this.hold = null
  }

  get action(): string {
    return this.plan.isWrite ? 'write a file' : 'read a file'
  }

  get syscall(): string {
    return this.plan.isWrite ? 'write' : 'read'
  }

  // Too late to cancel a read of a file changes nothing; what a pipe gives it has no more.
  override get submitsEarly(): boolean {
    return !this.plan.isWrite && this.offsetBytes >= 0
  }

  override get isTransfer(): boolean {
    return true
  }

  override get isWrite(): boolean {
    return this.plan.isWrite
  }

  override get isMetered(): boolean {
    return this.descriptor.isDirect
  }

  override get lengthBytes(): number {
    return this.leftBytes
  }

  /** How much was moved, as far as is known: all that the requests before a failure did. */
  get movedBytes(): number {
    return this.result > 0 ? this.result : this.doneBytes
  }

  /** Gives its place in the file free when it ends, if it has one. Throws without doing so. */
  startHeld(hold: RangeHold | null, options: WaitOptions | undefined): Promise<T> {
    assert(this.plan.isWrite, 'only what writes has a place to itself')
    const promise = this.start(options)
    this.hold = hold
    return promise
  }

  protected override prepare(): void {
    this.buffer.pin()
  }

  protected override unprepare(): void {
    this.buffer.unpin()
  }

  protected override chooseRing(): Ring {
    const { polling } = this.descriptor
    this.isPolled = polling?.takes(this.home as TaskQueue, this.plan.isWrite) === true
    if (!this.isPolled) return super.chooseRing()
    this.executor.io.control.counters[35]!++ // COUNTER_POLLED
    return polling!.ring
  }

  protected override encode(ring: Ring, base: number): void {
    assert(this.offsetBytes >= -1, 'offset is a position, or -1 for the file cursor')
    const { source, doneBytes } = this
    const { bufferIndex } = source
    encodeMove(
      ring.sqes,
      base,
      this.plan.opcodes,
      this.descriptor.targetOn(ring),
      bufferIndex < ring.registeredBufferCount ? bufferIndex : -1,
      // A pinned buffer stays where it is.
      source.address + doneBytes,
      this.leftBytes,
      this.offsetBytes,
    )
  }

  override complete(result: number, flags: number): void {
    this.descriptor.dispatcher.completed(this)
    if (result === this.leftBytes) {
      this.#end(result, flags)
      return
    }
    assert(result < this.leftBytes, 'a request moves what it was to at the most')
    const outcome = this.isCancelled ? result : this.#judge(result)
    if (outcome !== MORE) {
      this.#end(outcome, flags)
      return
    }
    this.submitNext(flags)
  }

  protected override interpret(movedBytes: number): T {
    return this.plan.decoder.decode(this, movedBytes)
  }

  // What a pipe gives it has no more; what is appended, or in a pipe, would be there twice if it was written again.
  protected override isIrrevocable(result: number): boolean {
    if (this.offsetBytes >= 0 || result <= 0) return false
    return !this.plan.isWrite || result === this.doneBytes + this.leftBytes
  }

  protected override finish(): void {
    super.finish()
    this.buffer.unpin()
    if (this.plan.decoder.ownsBuffer && !this.isDelivered) this.buffer.release()
    if (this.hold !== null) this.descriptor.ranges!.release(this.hold)
  }

  #end(outcome: number, flags: number): void {
    if (outcome < 0) {
      this.settle(outcome, flags)
      return
    }
    assert(outcome <= this.leftBytes, 'no more is moved than was to be')
    const totalBytes = this.doneBytes + outcome
    if (!this.isCancelled || this.isIrrevocable(totalBytes)) {
      this.descriptor.countMoved(this.queue, this.plan.isWrite, totalBytes)
    }
    this.settle(totalBytes, flags)
  }

  #judge(result: number): number {
    if (result === -EOPNOTSUPP && this.isPolled && this.descriptor.giveUpPolling()) return MORE
    const { isWrite } = this.plan
    const { alignmentBytes } = this.descriptor
    const isSeekable = this.offsetBytes >= 0
    const outcome = judgeShort({ isWrite, isSeekable, alignmentBytes, result })
    if (outcome !== MORE) return outcome
    const movedBytes = alignDown(Math.max(0, result), alignmentBytes)
    this.idleCount = movedBytes > 0 ? 0 : this.idleCount + 1
    if (this.idleCount > RETRIES_MAX) return result < 0 ? result : -EIO
    this.#advance(movedBytes)
    return MORE
  }

  #advance(movedBytes: number): void {
    assert(movedBytes < this.leftBytes, 'something is left to be moved')
    this.leftBytes -= movedBytes
    this.doneBytes += movedBytes
    // A pipe has no positions, and stays at -1.
    if (this.offsetBytes >= 0) this.offsetBytes += movedBytes
  }
}
