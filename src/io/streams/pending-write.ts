import { type Executor, ListedWaiter, ShieldedWaiter } from '../../executor/index.ts'
import { isLent, Lease } from '../../memory/index.ts'

/** Told of writes that end without having been taken whole. */
export interface WritePort {
  /** So much of a write that waits will never come. */
  writeFailed(leftBytes: number): void
}

/** A write that waits for room, unless it is taken at once; and how much of it was. */
export class PendingWrite extends ListedWaiter<void> {
  /** The lease that it is on, if it is one. */
  readonly lease: Lease | null
  doneBytes = 0
  readonly #port: WritePort
  #bytes: Uint8Array | null
  #leftBytes: number

  constructor(executor: Executor, port: WritePort, data: Uint8Array | Lease) {
    super(executor)
    this.#port = port
    this.lease = data instanceof Lease ? data : null
    this.#bytes = data instanceof Lease ? null : data
    this.#leftBytes = data instanceof Lease ? data.lengthBytes : data.length
  }

  get leftBytes(): number {
    return this.#leftBytes
  }

  /**
   * What comes next, `lengthBytes` at most.
   *
   * @throws {TypeError} if there is less than there was: it was transferred, or shrunk, meanwhile.
   */
  next(lengthBytes: number): Uint8Array {
    const bytes = this.lease === null ? this.#bytes! : this.lease.bytes
    const nextBytes = Math.min(lengthBytes, this.#leftBytes)
    const next = bytes.subarray(this.doneBytes, this.doneBytes + nextBytes)
    if (next.length === nextBytes) return next
    throw new TypeError(
      'Cannot go on writing as data must stay as it is until that is over: it was transferred or resized',
    )
  }

  /** So much was taken. */
  advance(movedBytes: number): void {
    this.doneBytes += movedBytes
    this.#leftBytes -= movedBytes
  }

  /** Bytes of a lease may be another's by the time that there is room. */
  keepLent(): void {
    const bytes = this.#bytes
    if (bytes === null || !isLent(bytes)) return
    this.#bytes = bytes.slice(this.doneBytes)
    this.doneBytes = 0
  }

  override fulfil(): void {
    this.lease?.release()
    super.fulfil()
  }

  override fail(reason: unknown): void {
    this.lease?.release()
    this.#port.writeFailed(this.#leftBytes)
    super.fail(reason)
  }
}

/** Somebody who waits until the file has all up to a position. */
export interface Flush extends ListedWaiter<void> {
  readonly targetBytes: number
}

export class FlushWaiter extends ListedWaiter<void> implements Flush {
  readonly targetBytes: number

  constructor(executor: Executor, targetBytes: number) {
    super(executor)
    this.targetBytes = targetBytes
  }
}

/** The same for an end, which nothing cancels. */
export class EndWaiter extends ShieldedWaiter<void> implements Flush {
  readonly targetBytes: number

  constructor(executor: Executor, targetBytes: number) {
    super(executor)
    this.targetBytes = targetBytes
  }
}
