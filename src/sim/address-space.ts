import { assert } from '../base/index.ts'

interface Region {
  readonly address: number
  readonly buffer: ArrayBuffer
}

const ALIGNMENT_BYTES = 64 * 1024
/** No process has anything below: small numbers taken for addresses are found out. */
const FIRST_ADDRESS = 2 ** 44

/** Addresses of ordinary ArrayBuffers, with gaps between them: what is in none is a fault. */
export class AddressSpace {
  readonly #regions: Region[] = []
  readonly #addresses = new Map<ArrayBufferLike, number>()
  #nextAddress = FIRST_ADDRESS
  #last: Region | null = null

  allocate(lengthBytes: number): Uint8Array<ArrayBuffer> {
    const buffer = new ArrayBuffer(Math.ceil(lengthBytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES)
    this.#add(buffer)
    return new Uint8Array(buffer, 0, lengthBytes)
  }

  addressOf(view: ArrayBufferView): number {
    const address = this.#addresses.get(view.buffer) ?? this.#add(view.buffer as ArrayBuffer)
    return address + view.byteOffset
  }

  /** The memory at an address, or null where there is none or not that much. */
  view(address: number, lengthBytes: number): Uint8Array<ArrayBuffer> | null {
    const region = this.#find(address)
    if (region === null) return null
    const offset = address - region.address
    if (offset + lengthBytes > region.buffer.byteLength) return null
    return new Uint8Array(region.buffer, offset, lengthBytes)
  }

  /** The buffer that has an address, or null. */
  bufferAt(address: number): ArrayBuffer | null {
    return this.#find(address)?.buffer ?? null
  }

  /** A NUL-terminated string, or null. */
  text(address: number): string | null {
    const region = this.#find(address)
    if (region === null) return null
    const bytes = new Uint8Array(region.buffer, address - region.address)
    const end = bytes.indexOf(0)
    return end < 0 ? null : Buffer.from(region.buffer, bytes.byteOffset, end).toString()
  }

  #add(buffer: ArrayBuffer): number {
    const address = this.#nextAddress
    assert(!this.#addresses.has(buffer), 'a buffer has one address')
    this.#regions.push({ address, buffer })
    this.#addresses.set(buffer, address)
    this.#nextAddress += (Math.ceil(buffer.byteLength / ALIGNMENT_BYTES) + 1) * ALIGNMENT_BYTES
    return address
  }

  #find(address: number): Region | null {
    const last = this.#last
    if (last !== null && address >= last.address) {
      if (address <= last.address + last.buffer.byteLength) return last
    }
    let low = 0
    let high = this.#regions.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#regions[middle]!.address <= address) low = middle + 1
      else high = middle
    }
    const region = this.#regions[low - 1]
    if (region === undefined || address > region.address + region.buffer.byteLength) return null
    this.#last = region
    return region
  }
}
