import type { WaitOptions } from '../executor/index.ts'
import type { Lease } from '../memory/index.ts'

/**
 * Where bytes go, in order: a writer of a file, a socket.
 *
 * Anything with these methods is one. It belongs to the thread that it was made on.
 */
export interface ByteSink {
  /**
   * Takes all of `data`, behind what was pushed before, and resolves when more may come: once that was
   * written, or copied for being written behind.
   *
   * Bytes must not be changed until then. A lease is the sink's from the call on, which releases it when it is
   * done with it, also where it fails or refuses.
   *
   * Calls need not wait for each other, but one who does not wait has no back-pressure. After a failure no more is
   * taken: all further calls are rejected with it.
   *
   * @throws {KernelError} of the write that failed, be it of this push or of one before.
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED` once {@link end} or {@link abort} was called; `ERR_TASK_TIMEOUT`.
   */
  push(data: Uint8Array | Lease, options?: WaitOptions): Promise<void>

  /**
   * Says that no more is coming, and resolves when all that was taken is written: a file has its exact length
   * then, and the peer of a socket sees the end.
   *
   * @throws {KernelError} of a write that failed.
   */
  end(options?: WaitOptions): Promise<void>

  /**
   * Gives up what was taken and not written, and ends it as a failure does: a socket is reset, so that its peer does
   * not take what it has got for the whole. Resolves once nothing of it is under way; again is nothing.
   *
   * After {@link end} a socket is reset too, as its kernel may hold what the peer has not got; what is in a file stays.
   *
   * Optional: one without it is left as it is.
   */
  abort?(reason?: unknown): Promise<void>
}
