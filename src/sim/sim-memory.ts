import type { KernelMemory } from '../kernel/index.ts'
import type { AddressSpace } from './address-space.ts'

/** Ordinary memory. Its parts share one ArrayBuffer, as JavaScript cannot put two on the same bytes. */
export class SimMemory implements KernelMemory {
  readonly address: number
  readonly bytes: Uint8Array<ArrayBuffer>

  constructor(space: AddressSpace, lengthBytes: number) {
    this.bytes = space.allocate(lengthBytes)
    this.address = space.addressOf(this.bytes)
  }

  share(offsetBytes: number, lengthBytes: number): Uint8Array {
    return this.bytes.subarray(offsetBytes, offsetBytes + lengthBytes)
  }

  shareCount(): number {
    return 0
  }

  empty(): void {}
}
