import { alignDown, assert } from '../../base/index.ts'
import { EIO } from '../../kernel/index.ts'
import type { Lease } from '../../memory/index.ts'
import {
  encodeReadVectored,
  encodeWriteVectored,
  type MemoryRef,
  type Ring,
  writeVector,
} from '../../ring/index.ts'
import type { Descriptor } from './descriptor.ts'
import { FileOperation } from './file-operation.ts'
import { judgeShort, MORE, RETRIES_MAX } from './transfer-plan.ts'

/** IOV_MAX: no request takes more stretches of memory. */
export const VECTORS_MAX = 1024
// ABI: struct iovec: address and length.
const VECTOR_BYTES = 16
const VECTOR_WORDS = 4

/** What is moved, and where. */
export interface VectorPlan {
  readonly isRead: boolean
  /** In order; pinned until it is over. */
  readonly parts: readonly Lease[]
  readonly offsetBytes: number
}

/**
 * Moves several stretches of I/O memory to or from one stretch of a file, in order, in as many requests as
 * that takes; the value is how many bytes were moved.
 */
export class VectorTransfer extends FileOperation<number> {
  readonly #plan: VectorPlan
  /** Taken down, as the user may release a buffer meanwhile. */
  readonly #memory: readonly MemoryRef[]
  readonly #wholeBytes: number
  #table: Lease | null = null
  /** What is still to be moved begins in that part, so many bytes behind its beginning. */
  #index = 0
  #skipBytes = 0
  /** What the request in flight is to move. */
  #askedBytes = 0
  #doneBytes = 0
  #idleCount = 0

  constructor(descriptor: Descriptor, plan: VectorPlan) {
    super(descriptor)
    this.#plan = plan
    this.#memory = plan.parts.map(({ address, lengthBytes }) => {
      return { address, lengthBytes, bufferIndex: -1 }
    })
    this.#wholeBytes = this.#memory.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0)
  }

  get action(): string {
    return this.#plan.isRead ? 'read a file' : 'write a file'
  }

  get syscall(): string {
    return this.#plan.isRead ? 'readv' : 'writev'
  }

  override get isTransfer(): boolean {
    return true
  }

  override get isWrite(): boolean {
    return !this.#plan.isRead
  }

  override get isMetered(): boolean {
    return this.descriptor.isDirect
  }

  override get lengthBytes(): number {
    return this.#wholeBytes - this.#doneBytes
  }

  override complete(result: number, flags: number): void {
    this.descriptor.dispatcher.completed(this)
    const outcome = this.isCancelled ? result : this.#judge(result)
    if (outcome !== MORE) {
      this.#end(outcome, flags)
      return
    }
    this.submitNext(flags)
  }

  protected override prepare(): void {
    const { memory } = this.executor
    const count = Math.min(this.#memory.length, VECTORS_MAX)
    this.#table = memory.allocateOwn(Math.max(1, count) * VECTOR_BYTES)
    for (const part of this.#plan.parts) part.pin()
  }

  protected override unprepare(): void {
    for (const part of this.#plan.parts) part.unpin()
    this.#table!.release()
  }

  protected override encode(ring: Ring, base: number): void {
    const { bytes, address } = this.#table!
    const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
    const count = Math.min(this.#memory.length - this.#index, VECTORS_MAX)
    this.#askedBytes = 0
    for (let at = 0; at < count; at++) {
      const whole = this.#memory[this.#index + at]!
      const memory = at === 0 ? this.#rest(whole) : whole
      writeVector(words, at * VECTOR_WORDS, memory)
      this.#askedBytes += memory.lengthBytes
    }
    const args = {
      file: this.descriptor.targetOn(ring),
      vectorAddress: address,
      vectorCount: count,
      offsetBytes: this.#plan.offsetBytes + this.#doneBytes,
    }
    if (this.#plan.isRead) encodeReadVectored(ring.sqes, base, args)
    else encodeWriteVectored(ring.sqes, base, args)
  }

  protected override interpret(result: number): number {
    return result
  }

  protected override finish(): void {
    super.finish()
    this.unprepare()
  }

  #rest({ address, lengthBytes }: MemoryRef): MemoryRef {
    const skipBytes = this.#skipBytes
    return { address: address + skipBytes, lengthBytes: lengthBytes - skipBytes, bufferIndex: -1 }
  }

  /** The outcome, or {@link MORE}. */
  #judge(result: number): number {
    const isWrite = !this.#plan.isRead
    const { alignmentBytes } = this.descriptor
    const isWhole = result === this.#askedBytes
    if (!isWhole) {
      const outcome = judgeShort({ isWrite, isSeekable: true, alignmentBytes, result })
      if (outcome !== MORE) return outcome < 0 ? outcome : this.#doneBytes + outcome
    }
    const movedBytes = isWhole ? result : alignDown(Math.max(0, result), alignmentBytes)
    this.#idleCount = movedBytes > 0 ? 0 : this.#idleCount + 1
    this.#advance(movedBytes)
    if (this.#index === this.#memory.length) return this.#doneBytes
    if (this.#idleCount > RETRIES_MAX) return result < 0 ? result : -EIO
    return MORE
  }

  #advance(movedBytes: number): void {
    this.#doneBytes += movedBytes
    let leftBytes = this.#skipBytes + movedBytes
    while (this.#index < this.#memory.length) {
      const { lengthBytes } = this.#memory[this.#index]!
      if (leftBytes < lengthBytes) break
      leftBytes -= lengthBytes
      this.#index++
    }
    assert(leftBytes === 0 || this.#index < this.#memory.length, 'no more is moved than there is')
    this.#skipBytes = leftBytes
  }

  #end(outcome: number, flags: number): void {
    if (outcome >= 0 && !this.isCancelled) {
      this.descriptor.countMoved(this.queue, this.isWrite, outcome)
    }
    this.settle(outcome, flags)
  }
}
