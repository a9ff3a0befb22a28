import { assert } from '../base/index.ts'
import type { KernelMemory } from '../kernel/index.ts'
import type { Lease, MemoryPlace } from './lease.ts'
import { markLent } from './lent.ts'

/**
 * A stretch of I/O memory that is cut into pieces by its holder, such as a ring of buffers, each with
 * an ArrayBuffer of its own where users look at it.
 */
export class Segment {
  readonly address: number
  readonly lengthBytes: number
  readonly #memory: KernelMemory
  readonly #lease: Lease
  readonly #onRelease: () => void
  readonly #offsetBytes: number

  /** @internal */
  constructor(memory: KernelMemory, lease: Lease, onRelease: () => void) {
    this.#memory = memory
    this.#lease = lease
    this.#onRelease = onRelease
    this.address = lease.address
    this.lengthBytes = lease.lengthBytes
    this.#offsetBytes = lease.address - memory.address
  }

  /** All of it, for percore's own use: its ArrayBuffer is the whole arena's. */
  get bytes(): Uint8Array {
    return this.#lease.bytes
  }

  /** Where a piece is, for other threads. */
  placeOf(startBytes: number): MemoryPlace {
    return { memory: this.#memory, offsetBytes: this.#offsetBytes + startBytes }
  }

  /** A piece for users, from a multiple of 512 on, with an ArrayBuffer of its own. */
  share(startBytes: number, lengthBytes: number): Uint8Array {
    assert(startBytes + lengthBytes <= this.lengthBytes, 'a piece lies within the segment')
    return markLent(this.#memory.share(this.#offsetBytes + startBytes, lengthBytes))
  }

  /** How many ArrayBuffers of {@link share} begin there that have not been collected. */
  shareCount(startBytes: number): number {
    return this.#memory.shareCount(this.#offsetBytes + startBytes)
  }

  /** Detaches a piece that was shared: its holders see nothing from then on. */
  empty(view: Uint8Array): void {
    this.#memory.empty(view)
  }

  /** Gives it back. */
  release(): void {
    this.#lease.release()
    this.#onRelease()
  }
}
