import type { KernelErrorContext } from '../../base/index.ts'
import type { Operation, Target } from '../../ring/index.ts'
import type { NetRing } from './net-ring.ts'

/** What the two sides of a connection need of the socket that they are sides of. */
export interface SocketPort extends Target {
  readonly net: NetRing
  /** Whether it is being closed: a side then ends, and starts nothing more. */
  readonly isClosing: boolean
  /** The negative error that told its sending side that the connection is broken, or 0. */
  readonly brokenBy: number
  /** Told as a reader begins to wait, and of writes; null of a socket without time limits. */
  readonly watch: { readBegins(): void; writeBegins(isFirst: boolean): void } | null
  /** Bytes received, which the receiving side counts. */
  bytesRead: number

  /** What an error of a system call on it says. */
  describe(syscall: string): KernelErrorContext
  /** Cancels an operation that a side has in flight. */
  cancelOperation(operation: Operation): void
  /** Told by a side that an operation has had its last completion, while the socket is closing at least. */
  ended(): void
}
