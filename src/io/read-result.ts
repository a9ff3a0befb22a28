import { alignDown, alignUp } from '../base/index.ts'
import type { WaitOptions } from '../executor/index.ts'
import type { IoBuffer } from '../memory/index.ts'
import type { Descriptor } from './descriptor.ts'
import { Read } from './transfer.ts'

/**
 * What a read brought: exactly the bytes of the file, in I/O memory, without a copy.
 *
 * A lease: dispose it (`using block = await file.read(…)`), or the memory stays taken.
 */
export class ReadResult implements Disposable {
  /** Where in the file the bytes are from. */
  readonly offsetBytes: number
  /** How many there are: fewer than asked for only where the file ended. */
  readonly lengthBytes: number
  readonly #buffer: IoBuffer
  readonly #bytes: Uint8Array<ArrayBuffer>

  /** @internal */
  constructor(buffer: IoBuffer, fromBytes: number, lengthBytes: number, offsetBytes: number) {
    this.offsetBytes = offsetBytes
    this.lengthBytes = lengthBytes
    this.#buffer = buffer
    this.#bytes = buffer.bytes.subarray(fromBytes, fromBytes + lengthBytes)
  }

  /** @throws {RuntimeError} `ERR_BUFFER_RELEASED` */
  get bytes(): Uint8Array<ArrayBuffer> {
    // Throws when it has been released: the memory may be another's by now.
    this.#buffer.bytes
    return this.#bytes
  }

  get isReleased(): boolean {
    return this.#buffer.isReleased
  }

  /** Gives the memory back; again is nothing. */
  release(): void {
    this.#buffer.release()
  }

  [Symbol.dispose](): void {
    this.release()
  }
}

/** Reads the blocks around a stretch; the value is what of it there is. */
export class ReadRange extends Read<ReadResult> {
  readonly #fromBytes: number
  readonly #rangeBytes: number
  readonly #startBytes: number

  constructor(
    descriptor: Descriptor,
    alignmentBytes: number,
    offsetBytes: number,
    lengthBytes: number,
  ) {
    const firstBytes = alignDown(offsetBytes, alignmentBytes)
    const lastBytes = alignUp(offsetBytes + lengthBytes, alignmentBytes)
    const { memory } = descriptor.executor.reactor
    // At least one block, so that reading nothing reports what reading something would.
    const buffer = memory.allocate(Math.max(alignmentBytes, lastBytes - firstBytes))
    super(descriptor, buffer, buffer, firstBytes, alignmentBytes)
    this.#fromBytes = offsetBytes - firstBytes
    this.#rangeBytes = lengthBytes
    this.#startBytes = offsetBytes
  }

  override start(options: WaitOptions | undefined): Promise<ReadResult> {
    try {
      return super.start(options)
    } catch (error) {
      this.buffer.release()
      throw error
    }
  }

  // What was read may end before the stretch does, or even before it begins.
  protected override interpret(result: number): ReadResult {
    const validBytes = Math.min(Math.max(result - this.#fromBytes, 0), this.#rangeBytes)
    return new ReadResult(this.buffer, this.#fromBytes, validBytes, this.#startBytes)
  }

  protected override finish(): void {
    super.finish()
    if (this.result < 0 || this.isCancelled) this.buffer.release()
  }
}
