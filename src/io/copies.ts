import type { WaitOptions } from '../executor/index.ts'
import type { Descriptor } from './descriptor.ts'
import { copyPiece } from './pieces.ts'
import { Read, WriteFrom } from './transfer.ts'

/** Where a piece of ordinary memory goes, or comes from. */
export interface Place {
  readonly offsetBytes: number
  /** Whether there are positions; without, a read takes what comes first. */
  readonly isSeekable: boolean
}

/** Pipes and terminals have no positions; appending needs none, since the kernel looks for the end itself. */
export const NO_POSITION = -1

/** Reads one piece, by way of I/O memory of its own, into a new array. */
export class ReadCopy extends Read<Uint8Array> {
  readonly #isSeekable: boolean

  constructor(descriptor: Descriptor, lengthBytes: number, place: Place) {
    const { isSeekable, offsetBytes } = place
    const buffer = descriptor.executor.memory.allocateOwn(lengthBytes || 1)
    buffer.trim(lengthBytes)
    super(descriptor, buffer, buffer, isSeekable ? offsetBytes : NO_POSITION, 1)
    this.#isSeekable = isSeekable
  }

  override start(options: WaitOptions | undefined): Promise<Uint8Array> {
    try {
      return super.start(options)
    } catch (error) {
      this.buffer.release()
      throw error
    }
  }

  // What a pipe gives it has no more.
  protected override isIrrevocable(result: number): boolean {
    return !this.#isSeekable && result > 0
  }

  protected override get submitsEarly(): boolean {
    return this.#isSeekable
  }

  protected override judgeShort(movedBytes: number, alignmentBytes: number): number {
    return this.#isSeekable ? super.judgeShort(movedBytes, alignmentBytes) : movedBytes
  }

  protected override interpret(result: number): Uint8Array {
    return this.buffer.bytes.slice(0, result)
  }

  override run(): void {
    super.run()
    this.buffer.release()
  }
}

/** Writes one piece, which is copied at once and may change from then on. */
export class WriteCopy extends WriteFrom {
  constructor(descriptor: Descriptor, data: Uint8Array, place: Place) {
    const { isSeekable, offsetBytes } = place
    const buffer = descriptor.executor.memory.allocateOwn(data.length || 1)
    buffer.trim(data.length)
    copyPiece(data, 0, buffer.bytes)
    super(descriptor, buffer, buffer, isSeekable ? offsetBytes : NO_POSITION, 1)
  }

  override start(options: WaitOptions | undefined): Promise<number> {
    try {
      return super.start(options)
    } finally {
      // Pinned while it is under way, and given back at its end.
      this.buffer.release()
    }
  }
}
