import type { SimCore } from './core.ts'
import type { SimErrorName } from './faults.ts'
import type { SimRequest } from './request.ts'

/** What {@link SimOperation.attempt} returns when there is no result yet. */
export const PENDING: number = Number.MIN_SAFE_INTEGER

/** What an opcode does: one entry in a table of `operations.ts`. */
export interface SimOperation {
  /** Its name, without the prefix. */
  readonly name: string
  /**
   * - `inline`: at submission; what it leaves pending it completes by itself.
   * - `disk`: once, after the time that a device takes.
   * - `socket`: at submission and whenever what it waits for may have become ready.
   */
  readonly kind: 'inline' | 'disk' | 'socket'
  /** Whether its `fd` is a descriptor or registered file that must be open. */
  readonly needsFile: boolean
  /** The errors that may be injected. */
  readonly errors: readonly SimErrorName[]
  /** `POLLIN | …`: what to wait for when an attempt is pending. */
  readonly waitEvents?: number
  /** Does it: the completion's result, or {@link PENDING}. */
  attempt(core: SimCore, request: SimRequest): number
  /** What comes of an error that is injected, beside its completion. */
  failed?(core: SimCore, request: SimRequest): void
  /** Whether a result that is no error breaks a link all the same: a short transfer. */
  breaksLink?(request: SimRequest, result: number): boolean
}
