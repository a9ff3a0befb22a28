import type { WaitOptions } from '../executor/index.ts'
import type { Lease } from '../memory/index.ts'

/**
 * Where bytes come from, piece by piece: a reader of a file, a socket, standard input.
 *
 * Anything with these two methods is one.
 *
 * A source has one consumer and belongs to the thread that it was made on.
 */
export interface ByteSource {
  /**
   * The next piece, never empty, which the caller has to release; null at the end, and from then on.
   *
   * One at a time: a source refuses a pull while another is pending (`ERR_STILL_HELD`). One that is cancelled,
   * or times out, takes nothing: what has come is given to the next. A failure is that of this pull and of all
   * that follow.
   *
   * How long a piece is, is the source's choice, and says nothing about how it was written.
   *
   * @throws {KernelError} of the read that brought no piece.
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED` once {@link close} was called; `ERR_TASK_TIMEOUT`.
   */
  pull(options?: WaitOptions): Promise<Lease | null>

  /**
   * Ends it, at its end or before: reads ahead are cancelled, and what they took is given back.
   *
   * Resolves once nothing of it is under way; again is nothing. A pull that is pending is rejected with
   * `ERR_HANDLE_CLOSED`. Leases that were given stay good.
   */
  close(): Promise<void>
}
