import { assert, RuntimeError, showAs } from '../base/index.ts'
import type { KernelMemory } from '../kernel/index.ts'

/** Where a piece is in memory that other threads can be shown. */
export interface MemoryPlace {
  readonly memory: KernelMemory
  readonly offsetBytes: number
}

/**
 * Whose memory leases are on: an arena, a ring of buffers, or nobody in particular.
 *
 * A token names a piece of it: an offset in an arena, a buffer's number in a ring of buffers.
 */
export interface LeaseOwner {
  /** Where the piece begins for the kernel; 0 where the kernel cannot reach it. */
  addressOf(token: number): number
  /** Its index among the rings' registered buffers, or -1. */
  bufferIndexOf(token: number): number
  /** Some of its bytes; asked for once for each length that is looked at. */
  viewOf(token: number, startBytes: number, lengthBytes: number): Uint8Array
  /** Where the piece begins, for other threads; null where they cannot be shown it. */
  placeOf(token: number): MemoryPlace | null
  /** Takes the piece back: the holder has released it, and no operation uses it any more. */
  free(token: number, lease: Lease): void
}

/**
 * Memory that is yours until you release it: what a read brought, a chunk of a socket, or a buffer to
 * fill and write. Reads and writes of files and sockets use it where it is, without a copy.
 *
 * Disposing gives it back (`using lease = …`), at once or, if operations still use it, with their last
 * completion: memory belongs to an operation until then. After that {@link bytes} throws, rather
 * than show what the memory holds by then; keep a copy (`lease.bytes.slice()`) of what is to
 * stay. Nothing gives back a lease that is forgotten. Each is made for one holder and never used
 * again; it belongs to the thread that got it. O(1).
 *
 * @example Fill a buffer, write it and read it again
 * ```ts run
 * import { tmpdir } from 'node:os'
 * import { join } from 'node:path'
 * import { allocateBuffer, type Lease } from 'percore'
 * import { BufferedFile } from 'percore/io'
 *
 * const path = join(tmpdir(), `percore-lease-${process.pid}`)
 * await using file = await BufferedFile.create(path)
 * using lease: Lease = allocateBuffer(4096)
 * lease.bytes.fill(7)
 * await file.write(lease, 0)
 * await file.readInto(lease, 0)
 * lease.trim(2)
 * console.log(lease.bytes.length, lease.isReleased) // 2 false
 * await file.remove()
 * ```
 */
export class Lease implements Disposable {
  static {
    showAs(
      Lease,
      (lease) => `Lease ${lease.lengthBytes} bytes, ${lease.isReleased ? 'released' : 'held'}`,
    )
  }

  readonly #owner: LeaseOwner
  readonly #token: number
  #startBytes: number
  #lengthBytes: number
  /** Made when first looked at, since many leases only pass through. */
  #view: Uint8Array | null = null
  #isReleased = false
  #pinCount = 0

  /** @internal On `lengthBytes` of the piece of `owner` that `token` names, from `startBytes` on. */
  constructor(owner: LeaseOwner, token: number, startBytes: number, lengthBytes: number) {
    this.#owner = owner
    this.#token = token
    this.#startBytes = startBytes
    this.#lengthBytes = lengthBytes
  }

  /**
   * The memory; the same view each time, unless it was trimmed.
   *
   * @throws {RuntimeError} `ERR_BUFFER_RELEASED`
   */
  get bytes(): Uint8Array {
    if (this.#isReleased) throw alreadyReleased()
    this.#view ??= this.#owner.viewOf(this.#token, this.#startBytes, this.#lengthBytes)
    return this.#view
  }

  /**
   * @internal The memory for an operation that pinned it when it was `lengthBytes` long, be it released or
   * trimmed since, or its view detached. Fewer bytes where that took the memory itself.
   */
  pinnedBytes(lengthBytes: number): Uint8Array {
    assert(this.#pinCount > 0, 'an operation looks at memory that it has pinned')
    const view = this.#view
    if (view !== null && view.length === lengthBytes) return view
    return this.#owner.viewOf(this.#token, this.#startBytes, lengthBytes)
  }

  /** How long it is; of a released one, was. */
  get lengthBytes(): number {
    return this.#lengthBytes
  }

  /** Whether {@link release} was called. */
  get isReleased(): boolean {
    return this.#isReleased
  }

  /** @internal Where it is, for the kernel; 0 where the kernel cannot reach it. */
  get address(): number {
    const address = this.#owner.addressOf(this.#token)
    return address === 0 ? 0 : address + this.#startBytes
  }

  /** @internal Its index among the rings' registered buffers, or -1. */
  get bufferIndex(): number {
    return this.#owner.bufferIndexOf(this.#token)
  }

  /**
   * Shortens what {@link bytes} shows; the memory stays leased as a whole.
   *
   * @throws {RangeError} unless the length is from 0 to {@link lengthBytes}.
   * @throws {RuntimeError} `ERR_BUFFER_RELEASED`
   */
  trim(lengthBytes: number): void {
    if (this.#isReleased) throw alreadyReleased()
    if (!Number.isInteger(lengthBytes) || lengthBytes < 0 || lengthBytes > this.#lengthBytes) {
      throw new RangeError(
        `Cannot trim a lease as the length must be from 0 to ${this.#lengthBytes}: current value is ${lengthBytes}`,
      )
    }
    if (lengthBytes === this.#lengthBytes) return
    this.#lengthBytes = lengthBytes
    this.#view = null
  }

  /**
   * A further lease on a part of the memory, without a copy: both show the same bytes, and each is released by itself. The
   * memory goes back with the last of them, so a small slice keeps all that it was cut from. While there are slices the
   * lease can't be handed to another thread, and of a slice that is handed over the other thread gets a copy. O(1).
   *
   * @throws {RangeError} unless the part lies within the lease.
   * @throws {RuntimeError} `ERR_BUFFER_RELEASED`
   *
   * Source: glommio's `ReadResult::slice`.
   *
   * @example Give each of two tasks its part of a block
   * ```ts run
   * import { allocateBuffer } from 'percore'
   *
   * const block = allocateBuffer(8192)
   * const [first, second] = [block.slice(0, 4096), block.slice(4096, 4096)]
   * block.release() // its memory stays, as the two have it
   * first.release()
   * console.log(block.isReleased, second.bytes.length) // true 4096
   * second.release() // now it goes back
   * ```
   */
  slice(fromBytes: number, lengthBytes: number): Lease {
    if (this.#isReleased) throw alreadyReleased()
    validatePart(this.#lengthBytes, fromBytes, lengthBytes)
    const owner = this.#owner
    // A slice of a slice is one more of the same memory, so that chains of them do not grow.
    const shared = owner instanceof SharedMemory ? owner : new SharedMemory(this, owner)
    return shared.lend(this.#token, this.#startBytes + fromBytes, lengthBytes)
  }

  /** @internal Shows a part of what it showed, for good. */
  narrow(fromBytes: number, lengthBytes: number): void {
    assert(fromBytes >= 0 && lengthBytes >= 0, 'a part begins within the whole')
    assert(fromBytes + lengthBytes <= this.#lengthBytes, 'a part ends within the whole')
    this.#startBytes += fromBytes
    this.#lengthBytes = lengthBytes
    this.#view = null
  }

  /** @internal @throws {RuntimeError} `ERR_BUFFER_RELEASED` */
  assertHeld(): void {
    if (this.#isReleased) throw alreadyReleased()
  }

  /** @internal An operation has it until {@link unpin}. */
  pin(): void {
    // An operation that waited for its turn has pinned it already: then it is released, but not yet free.
    assert(!this.#isReleased || this.#pinCount > 0, 'free memory is given to no operation')
    this.#pinCount++
  }

  /** @internal */
  unpin(): void {
    assert(this.#pinCount > 0, 'each pin ends once')
    this.#pinCount--
    if (this.#pinCount === 0 && this.#isReleased) this.#owner.free(this.#token, this)
  }

  /**
   * @internal Ends it here for another thread to have the memory, which stays taken until {@link comeBack}: where it is; null, and the
   * lease goes on, where other threads cannot be shown it.
   *
   * @throws {RuntimeError} `ERR_BUFFER_RELEASED`, also where others have taken its memory; `ERR_STILL_HELD` while an operation or a slice uses it.
   */
  handOver(): MemoryPlace | null {
    if (this.#isReleased || (this.#lengthBytes > 0 && this.#view?.length === 0))
      throw alreadyReleased()
    if (this.#pinCount > 0) {
      throw new RuntimeError(
        'ERR_STILL_HELD',
        'Cannot hand a lease over as nothing else must use it: an operation or a slice does',
      )
    }
    const place = this.#owner.placeOf(this.#token)
    if (place === null) return null
    this.#isReleased = true
    this.#view = null
    return { ...place, offsetBytes: place.offsetBytes + this.#startBytes }
  }

  /** @internal Nobody else has it any more. */
  comeBack(): void {
    assert(this.#isReleased && this.#pinCount === 0, 'what comes back was handed over')
    this.#owner.free(this.#token, this)
  }

  /** Gives the memory back; again is nothing. */
  release(): void {
    if (this.#isReleased) return
    this.#isReleased = true
    this.#view = null
    if (this.#pinCount === 0) this.#owner.free(this.#token, this)
  }

  [Symbol.dispose](): void {
    this.release()
  }
}

/** The memory of a lease that slices are cut from: each of them keeps it, as an operation would, until it is released. */
class SharedMemory implements LeaseOwner {
  readonly #whole: Lease
  readonly #owner: LeaseOwner

  constructor(whole: Lease, owner: LeaseOwner) {
    this.#whole = whole
    this.#owner = owner
  }

  lend(token: number, startBytes: number, lengthBytes: number): Lease {
    this.#whole.pin()
    return new Lease(this, token, startBytes, lengthBytes)
  }

  addressOf(token: number): number {
    return this.#owner.addressOf(token)
  }

  bufferIndexOf(token: number): number {
    return this.#owner.bufferIndexOf(token)
  }

  viewOf(token: number, startBytes: number, lengthBytes: number): Uint8Array {
    return this.#owner.viewOf(token, startBytes, lengthBytes)
  }

  // Others look at the same memory: the thread that got it could neither have it alone nor empty it.
  placeOf(): null {
    return null
  }

  free(): void {
    this.#whole.unpin()
  }
}

const NO_BYTES = new Uint8Array(0)

/** Memory of the language's own: the kernel cannot reach it, and nobody waits for it to come back. */
class HeapMemory implements LeaseOwner {
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  addressOf(): number {
    return 0
  }

  bufferIndexOf(): number {
    return -1
  }

  viewOf(_token: number, startBytes: number, lengthBytes: number): Uint8Array {
    // Its holder may have transferred it.
    if (this.#bytes.length < startBytes + lengthBytes) return NO_BYTES
    return this.#bytes.subarray(startBytes, startBytes + lengthBytes)
  }

  placeOf(): null {
    return null
  }

  free(): void {}
}

/** Who owns a lease on ordinary memory, for classes of leases of their own. */
export function ownHeap(bytes: Uint8Array): LeaseOwner {
  return new HeapMemory(bytes)
}

/**
 * A lease on ordinary memory, for where I/O memory is scarce: the operations that get it copy.
 *
 * Its release gives back nothing, but ends it all the same.
 */
export function leaseHeap(bytes: Uint8Array): Lease {
  return new Lease(new HeapMemory(bytes), 0, 0, bytes.length)
}

/** @throws {RangeError} */
function validatePart(wholeBytes: number, fromBytes: number, lengthBytes: number): void {
  const isWithin =
    Number.isInteger(fromBytes) &&
    Number.isInteger(lengthBytes) &&
    fromBytes >= 0 &&
    lengthBytes >= 0 &&
    fromBytes + lengthBytes <= wholeBytes
  if (isWithin) return
  throw new RangeError(
    `Cannot slice a lease as the part must lie within its ${wholeBytes} bytes: current values are ${fromBytes} and ${lengthBytes}`,
  )
}

function alreadyReleased(): RuntimeError {
  return new RuntimeError(
    'ERR_BUFFER_RELEASED',
    'Cannot use a lease as it must not have been released: it was',
  )
}
