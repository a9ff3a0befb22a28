import { alignDown, alignUp } from '../base/index.ts'
import type { WaitOptions } from '../executor/index.ts'
import type { Lease } from '../memory/index.ts'
import type { Descriptor } from './descriptor.ts'
import { Read } from './transfer.ts'

/** Reads the blocks around a stretch; the value is a lease on what of it there is. */
export class ReadRange extends Read<Lease> {
  readonly #fromBytes: number
  readonly #rangeBytes: number

  constructor(
    descriptor: Descriptor,
    alignmentBytes: number,
    offsetBytes: number,
    lengthBytes: number,
  ) {
    const firstBytes = alignDown(offsetBytes, alignmentBytes)
    const lastBytes = alignUp(offsetBytes + lengthBytes, alignmentBytes)
    const { memory } = descriptor.executor
    // At least one block, so that reading nothing reports what reading something would.
    const buffer = memory.allocate(Math.max(alignmentBytes, lastBytes - firstBytes))
    super(descriptor, buffer, buffer, firstBytes, alignmentBytes)
    this.#fromBytes = offsetBytes - firstBytes
    this.#rangeBytes = lengthBytes
  }

  override start(options: WaitOptions | undefined): Promise<Lease> {
    try {
      return super.start(options)
    } catch (error) {
      this.buffer.release()
      throw error
    }
  }

  // What was read may end before the stretch does, or even before it begins.
  protected override interpret(result: number): Lease {
    const validBytes = Math.min(Math.max(result - this.#fromBytes, 0), this.#rangeBytes)
    const fromBytes = validBytes === 0 ? 0 : this.#fromBytes
    this.buffer.narrow(fromBytes, validBytes)
    return this.buffer
  }

  protected override finish(): void {
    super.finish()
    if (this.result < 0 || this.isCancelled) this.buffer.release()
  }
}
