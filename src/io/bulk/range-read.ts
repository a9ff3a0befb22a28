import { assert, RuntimeError, showAs } from '../../base/index.ts'
import type { Lease } from '../../memory/index.ts'
import type { ByteRange } from './merge-ranges.ts'

/**
 * One range that was read, or why it was not.
 *
 * What it brought ends with the next step of the iterator, or when it is disposed, unless {@link take} was called: so a loop that only
 * looks at {@link bytes} holds no more than a step's memory. Belongs to the thread that read it.
 */
export class RangeRead<R extends ByteRange = ByteRange> implements Disposable {
  static {
    showAs(
      RangeRead,
      ({ range, error }) =>
        `RangeRead ${range.lengthBytes} bytes at ${range.offsetBytes}${error === null ? '' : ', failed'}`,
    )
  }

  /** The very object that was asked for, whatever else it has. */
  readonly range: R
  /** Why it could not be read; null if it was. The ranges that come after it are read all the same. */
  readonly error: unknown
  readonly #lease: Lease | null
  #isTaken = false

  /** @internal */
  constructor(range: R, lease: Lease | null, error: unknown) {
    assert(lease !== null || error !== null, 'a range is read or fails')
    this.range = range
    this.error = error
    this.#lease = lease
  }

  /**
   * Its bytes, where they are: fewer than were asked for where the file ends, or none. It can be written to files and
   * sockets; others may have the same memory, so it must not be changed.
   *
   * @throws {@link error}, if it could not be read.
   */
  get lease(): Lease {
    if (this.#lease === null) throw this.error
    return this.#lease
  }

  /**
   * The same as plain bytes.
   *
   * @throws {@link error}, if it could not be read; {@link RuntimeError} `ERR_BUFFER_RELEASED` once it has ended.
   */
  get bytes(): Uint8Array {
    return this.lease.bytes
  }

  /**
   * The lease, which is the caller's to release from then on. It keeps all memory that was read together with it.
   *
   * @throws {@link error}, if it could not be read; {@link RuntimeError} `ERR_BUFFER_RELEASED` if it has ended, or was taken.
   */
  take(): Lease {
    const { lease } = this
    if (this.#isTaken || lease.isReleased) {
      throw new RuntimeError(
        'ERR_BUFFER_RELEASED',
        'Cannot take what was read as it must not have ended: it was taken, released, or the iterator has gone on',
      )
    }
    this.#isTaken = true
    return lease
  }

  /** @internal Ends it, unless it was taken. */
  end(): void {
    if (!this.#isTaken) this.#lease?.release()
  }

  [Symbol.dispose](): void {
    this.end()
  }
}
