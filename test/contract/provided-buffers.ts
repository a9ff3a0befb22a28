import assert from 'node:assert/strict'
import { IORING_REGISTER_PBUF_RING, IORING_UNREGISTER_PBUF_RING } from '../../src/kernel/index.ts'
import type { TestRing } from './harness.ts'

/** The group of the buffers. */
export const GROUP = 3

/** A ring of provided buffers, filled with so many of a size. */
export class Buffers {
  readonly #ring: TestRing
  readonly #entries: DataView
  readonly #mask: number
  #tail = 0
  readonly memory: Uint8Array[] = []

  constructor(
    ring: TestRing,
    entryCount: number,
    lengthBytes: number,
    provided: number = entryCount,
  ) {
    this.#ring = ring
    this.#mask = entryCount - 1
    const table = ring.allocate(entryCount * 16, 4096)
    this.#entries = new DataView(table.bytes.buffer, table.bytes.byteOffset, entryCount * 16)
    const description = new Uint32Array(10)
    description.set([table.address >>> 0, table.address / 2 ** 32, entryCount, GROUP])
    const registered = ring.kernel.register(
      ring.memory.fd,
      IORING_REGISTER_PBUF_RING,
      description,
      1,
    )
    assert.equal(registered, 0)
    for (let id = 0; id < provided; id++) {
      this.memory.push(ring.allocate(lengthBytes).bytes)
      this.provide(id)
    }
  }

  /** Gives a buffer (back) to the kernel. */
  provide(id: number): void {
    const bytes = this.memory[id]!
    const address = this.#ring.kernel.addressOf(bytes)
    const at = (this.#tail & this.#mask) * 16
    this.#entries.setUint32(at, address, true)
    this.#entries.setUint32(at + 4, address / 2 ** 32, true)
    this.#entries.setUint32(at + 8, bytes.length, true)
    this.#entries.setUint16(at + 12, id, true)
    this.#tail++
    this.#entries.setUint16(14, this.#tail, true)
  }

  unregister(): number {
    const description = new Uint32Array(10)
    description[3] = GROUP
    const { kernel, memory } = this.#ring
    return kernel.register(memory.fd, IORING_UNREGISTER_PBUF_RING, description, 1)
  }
}
