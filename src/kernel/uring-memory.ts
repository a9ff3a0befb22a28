import { MADV_DONTFORK, MADV_HUGEPAGE } from './abi.ts'
import type { Addon, NativeMemory } from './addon.ts'
import type { KernelMemory } from './kernel.ts'
import { hostTakesNoMemory } from './uring-directory.ts'

export const HUGE_PAGE_BYTES: number = 2 * 1024 * 1024
const PAGE_BYTES_MAX = 64 * 1024

/** A mapping of the process, which outlives the isolate where requests or ArrayBuffers need it. */
export class UringMemory implements KernelMemory {
  readonly address: number
  readonly bytes: Uint8Array<ArrayBuffer>
  /** @internal */
  readonly handle: NativeMemory
  readonly #addon: Addon

  /** @throws {RangeError} where there is none; {@link RuntimeError} `ERR_UNSUPPORTED`. */
  constructor(addon: Addon, lengthBytes: number) {
    const isHuge = lengthBytes >= HUGE_PAGE_BYTES
    const alignmentBytes = isHuge ? HUGE_PAGE_BYTES : PAGE_BYTES_MAX
    const mappedBytes = Math.ceil(lengthBytes / alignmentBytes) * alignmentBytes
    const handle = addon.memoryMap(mappedBytes, alignmentBytes)
    if (typeof handle === 'number') {
      throw new RangeError(`Cannot map ${mappedBytes} bytes as there must be memory left`)
    }
    this.#addon = addon
    this.handle = handle
    const whole = new Uint8Array(asBuffer(addon.memoryWhole(handle)))
    this.address = addon.memoryAddress(whole)
    // A child between fork and exec would have its pages copied on write, away from under a request.
    addon.memoryAdvise(whole, MADV_DONTFORK)
    // Scattered small pages make the device gather a segment per page: a third of the bandwidth.
    if (isHuge) addon.memoryAdvise(whole, MADV_HUGEPAGE)
    this.bytes = whole.subarray(0, lengthBytes)
  }

  share(offsetBytes: number, lengthBytes: number): Uint8Array {
    return new Uint8Array(asBuffer(this.#addon.memoryShare(this.handle, offsetBytes, lengthBytes)))
  }

  shareCount(offsetBytes: number): number {
    return this.#addon.memoryShareCount(this.handle, offsetBytes)
  }

  empty(view: Uint8Array): void {
    this.#addon.memoryDetach(view.buffer as ArrayBuffer)
  }
}

function asBuffer(result: ArrayBuffer | number): ArrayBuffer {
  if (typeof result !== 'number') return result
  throw hostTakesNoMemory()
}
