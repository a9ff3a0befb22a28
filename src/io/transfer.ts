import { alignDown, KernelError } from '../base/index.ts'
import type { TaskQueue, WaitOptions } from '../executor/index.ts'
import { EAGAIN, EINTR, EIO, EOPNOTSUPP } from '../kernel/index.ts'
import type { Lease } from '../memory/index.ts'
import {
  encodeRead,
  encodeWrite,
  type MemoryRef,
  type Ring,
  type Target,
  type TransferArgs,
} from '../ring/index.ts'
import type { Descriptor } from './descriptor.ts'
import { FileOperation } from './file-operation.ts'
import type { RangeHold, RangeLock } from './range-lock.ts'

/** How often in a row the kernel may move nothing before that is the result. */
const RETRIES_MAX = 64
/** Go on with another request. */
const MORE = Number.NEGATIVE_INFINITY
const NO_TARGET: Target = { fd: -1, registered: false }

/** A part of a buffer. */
export function partOf(buffer: Lease, fromBytes: number, lengthBytes: number): MemoryRef {
  const { address, bufferIndex } = buffer
  return { address: address + fromBytes, lengthBytes, bufferIndex }
}

/**
 * Moves one stretch of I/O memory to or from a file, in as many requests as that takes.
 *
 * The buffer is pinned until the terminal completion of the last request. A transfer is its own
 * {@link TransferArgs}, and `memory` the buffer itself: the common one, a single request, makes no
 * other object but its promise.
 */
export abstract class Transfer<T> extends FileOperation<T> implements TransferArgs {
  file: Target = NO_TARGET
  /** What is still to be moved. */
  memory: MemoryRef
  /** Where {@link memory} belongs in the file. */
  offsetBytes: number
  protected readonly buffer: Lease
  /** What a request that follows a short one must begin at a multiple of. */
  readonly #alignmentBytes: number
  /** The length of {@link memory}, which a buffer that the user has released does not tell. */
  #leftBytes: number
  #doneBytes = 0
  #idleCount = 0
  /** Whether the request under way is one that a device is polled for. */
  #isPolled = false

  constructor(
    descriptor: Descriptor,
    buffer: Lease,
    memory: MemoryRef,
    offsetBytes: number,
    alignmentBytes: number,
  ) {
    super(descriptor)
    this.buffer = buffer
    this.memory = memory
    this.offsetBytes = offsetBytes
    this.#alignmentBytes = alignmentBytes
    this.#leftBytes = memory.lengthBytes
  }

  /** What follows a request that moved fewer bytes than asked for: {@link MORE}, or the outcome. */
  protected abstract judgeShort(movedBytes: number, alignmentBytes: number): number

  /** Whether it changes the file. */
  protected get isWrite(): boolean {
    return false
  }

  protected override chooseRing(): Ring {
    const { polling } = this.descriptor
    this.#isPolled = polling?.takes(this.home as TaskQueue, this.isWrite) === true
    if (!this.#isPolled) return super.chooseRing()
    this.executor.io.control.counters[35]!++ // COUNTER_POLLED
    return polling!.ring
  }

  protected override prepare(): void {
    this.buffer.pin()
  }

  protected override unprepare(): void {
    this.buffer.unpin()
  }

  /** How much was moved, as far as is known: all that the requests before a failure did. */
  get movedBytes(): number {
    return this.result > 0 ? this.result : this.#doneBytes
  }

  /** How much is to be moved in all. */
  protected get wholeBytes(): number {
    return this.#doneBytes + this.#leftBytes
  }

  override complete(result: number, flags: number): void {
    if (result === this.#leftBytes) {
      this.end(result, flags)
      return
    }
    const outcome = this.isCancelled ? result : this.judge(result)
    if (outcome !== MORE) {
      this.end(outcome, flags)
      return
    }
    try {
      this.submit()
    } catch (error) {
      // The ring takes no more. Reaping has to go on, and whoever waits for this to be told.
      if (!(error instanceof KernelError)) throw error
      super.complete(error.errno, flags)
    }
  }

  protected abstract count(movedBytes: number): void

  /** Names file and memory as `ring` knows them. */
  protected address(ring: Ring): void {
    this.file = this.descriptor.targetOn(ring)
    if (this.memory.bufferIndex >= ring.registeredBufferCount) {
      this.memory = {
        address: this.memory.address,
        lengthBytes: this.#leftBytes,
        bufferIndex: -1,
      }
    }
  }

  protected override finish(): void {
    super.finish()
    this.buffer.unpin()
  }

  protected end(outcome: number, flags: number): void {
    if (outcome < 0) {
      super.complete(outcome, flags)
      return
    }
    const totalBytes = this.#doneBytes + outcome
    if (!this.isCancelled || this.isIrrevocable(totalBytes)) this.count(totalBytes)
    super.complete(totalBytes, flags)
  }

  protected judge(result: number): number {
    if (result === -EOPNOTSUPP && this.#isPolled && this.descriptor.giveUpPolling()) return MORE
    if (result < 0 && result !== -EAGAIN && result !== -EINTR) return result
    const outcome = result < 0 ? MORE : this.judgeShort(result, this.#alignmentBytes)
    if (outcome !== MORE) return outcome
    const movedBytes = alignDown(Math.max(0, result), this.#alignmentBytes)
    this.#idleCount = movedBytes > 0 ? 0 : this.#idleCount + 1
    if (this.#idleCount > RETRIES_MAX) return result < 0 ? result : -EIO
    this.advance(movedBytes)
    return MORE
  }

  protected advance(movedBytes: number): void {
    const { address, bufferIndex } = this.memory
    this.#leftBytes -= movedBytes
    this.#doneBytes += movedBytes
    // A pipe has no positions, and stays at -1.
    if (this.offsetBytes >= 0) this.offsetBytes += movedBytes
    this.memory = { address: address + movedBytes, lengthBytes: this.#leftBytes, bufferIndex }
  }
}

/** Reads until the memory is full or the file ends. */
export abstract class Read<T> extends Transfer<T> {
  // Too late to cancel it changes nothing.
  protected override get submitsEarly(): boolean {
    return true
  }

  get action(): string {
    return 'read a file'
  }

  get syscall(): string {
    return 'read'
  }

  protected override encode(ring: Ring, base: number): void {
    this.address(ring)
    encodeRead(ring.sqes, base, this)
  }

  protected override count(movedBytes: number): void {
    this.descriptor.readCount++
    this.descriptor.readBytes += movedBytes
    this.executor.io.control.counters[33]! += movedBytes // COUNTER_BYTES_READ
  }

  // A direct read ends between multiples of the alignment only where the file does.
  protected override judgeShort(movedBytes: number, alignmentBytes: number): number {
    return movedBytes === 0 || movedBytes % alignmentBytes !== 0 ? movedBytes : MORE
  }
}

/** Reads into a buffer of the user's; the value is how many bytes of it are valid. */
export class ReadInto extends Read<number> {
  protected override interpret(result: number): number {
    return result
  }
}

/** Reads once, whatever comes: for pipes and terminals, where waiting for more may be for ever. */
export class ReadOnce extends ReadInto {
  // What a pipe gives it has no more.
  protected override isIrrevocable(result: number): boolean {
    return result > 0
  }

  protected override get submitsEarly(): boolean {
    return false
  }

  protected override judgeShort(movedBytes: number): number {
    return movedBytes
  }
}

/** Writes all of the memory; a short write goes on until that is done, or fails. */
export class WriteFrom extends Transfer<number> {
  #ranges: RangeLock | null = null
  #hold: RangeHold | null = null

  /** Gives its place in the file free when it ends, if it has one. Throws without doing so. */
  startHeld(
    ranges: RangeLock,
    hold: RangeHold | null,
    options: WaitOptions | undefined,
  ): Promise<number> {
    const promise = this.start(options)
    this.#ranges = ranges
    this.#hold = hold
    return promise
  }

  protected override get isWrite(): boolean {
    return true
  }

  get action(): string {
    return 'write a file'
  }

  get syscall(): string {
    return 'write'
  }

  // What is appended, or in a pipe, would be there twice if it was written again.
  protected override isIrrevocable(result: number): boolean {
    return this.offsetBytes < 0 && result > 0 && result === this.wholeBytes
  }

  protected override encode(ring: Ring, base: number): void {
    this.address(ring)
    encodeWrite(ring.sqes, base, this)
  }

  protected override count(movedBytes: number): void {
    this.descriptor.writeCount++
    this.descriptor.writeBytes += movedBytes
    this.executor.io.control.counters[34]! += movedBytes // COUNTER_BYTES_WRITTEN
  }

  // What follows a partial block of a direct write is the whole block again.
  protected override judgeShort(): number {
    return MORE
  }

  protected override interpret(result: number): number {
    return result
  }

  protected override finish(): void {
    super.finish()
    if (this.#hold !== null) this.#ranges!.release(this.#hold)
  }
}
