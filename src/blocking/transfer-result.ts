import type { Transferable } from './protocol.ts'
import { isBlockingThread } from './thread-state.ts'

const transfers = new WeakMap<object, readonly Transferable[]>()

/**
 * Has a result of {@link spawnBlocking} move to the caller rather than be copied; called in the function that returns it, it
 * gives back `value`.
 *
 * Elsewhere than in a thread of a {@link BlockingPool} it does nothing.
 *
 * @example In the module of the function
 * ```ts run
 * import { transferResult } from 'percore/blocking'
 *
 * export function fill(lengthBytes: number): Uint8Array {
 *   const bytes = new Uint8Array(lengthBytes).fill(7)
 *   return transferResult(bytes, [bytes.buffer])
 * }
 * console.log(fill(3))
 * ```
 */
export function transferResult<T extends object>(value: T, transfer: readonly Transferable[]): T {
  if (isBlockingThread()) transfers.set(value, transfer)
  return value
}

/** What is to move with a result. */
export function transfersOf(value: unknown): readonly Transferable[] {
  return typeof value === 'object' && value !== null ? (transfers.get(value) ?? []) : []
}
