import type { Capabilities, LoopControl } from '../kernel/index.ts'
import type { Operation, OperationName, Ring } from '../ring/index.ts'
import type { FileTable } from './registered-files.ts'

/**
 * Where operations on files and sockets go: the rings of a thread, and what these know.
 *
 * An operation asks for its ring, writes an entry there and commits it; which rings there are is no
 * concern of its own.
 */
export interface IoPort {
  /** For everything that may wait for the end of a turn, whichever queue asks for it. */
  readonly main: Ring
  /** What the kernel offers: nobody tries for itself. */
  readonly capabilities: Capabilities
  /** Where the executor counts. */
  readonly control: LoopControl
  /** Files that the rings know by index. */
  readonly files: FileTable
  /**
   * The ring for operations of a task queue: completions for one that is sensitive to latency preempt. It is
   * made when first asked for.
   *
   * @throws {RuntimeError} `ERR_URING_UNAVAILABLE`, `ERR_MEMLOCK_LIMIT`
   */
  ringFor(queue: { readonly isLatencySensitive: boolean }): Ring
  /**
   * The ring whose completions come as they are asked for (IOPOLL), for reads and writes of direct files whose device has
   * queues for that, and nothing else. While it has any the thread does not sleep. It is made when first asked for.
   *
   * @throws {RuntimeError} `ERR_URING_UNAVAILABLE`, `ERR_MEMLOCK_LIMIT`
   */
  pollRing(): Ring
  /** The ring that the terminal completion of `operation` is still to come on, or null. */
  ringOf(operation: Operation): Ring | null
  /**
   * Asks the kernel to cancel, if it still can. The operation's own terminal completion follows in
   * any case; only then is its memory free.
   *
   * Returns whether the kernel never saw it: it then completes with 0, which means nothing.
   */
  cancel(operation: Operation): boolean
  /** Asks once more, where the completion of `operation` is still to come. */
  cancelAgain(operation: Operation): void
  /** Asks the kernel to cancel what has that name; where the ring refuses, again until it does not. */
  cancelByName(ring: Ring, name: OperationName): void
  /**
   * Registers the first arena with the rings, once, or as much of it as the limit of locked memory
   * allows; operations on it then spare the kernel the pinning of pages.
   */
  registerMemory(): void
}
