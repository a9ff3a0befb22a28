import { RuntimeError } from '../base/index.ts'
import type { QueueOwner } from './task-queue.ts'

/** Those that are ambient for their own tasks alone, whatever runs beside them or after them. */
const confined = new WeakSet<QueueOwner>()
/** Whether there ever was one: else nobody need look. */
export let hasConfined = false

/** Confines an executor for good. */
export function addConfined(owner: QueueOwner): void {
  confined.add(owner)
  hasConfined = true
}

/** Whether an executor is ambient for its own tasks alone. */
export function isConfined(owner: QueueOwner): boolean {
  return confined.has(owner)
}

/** A simulated program that used a real file, made outside of it, would change a real disk. */
export function refuseConfined(owner: QueueOwner, other: { readonly name: string }): void {
  if (!hasConfined || !confined.has(owner)) return
  throw new RuntimeError(
    'ERR_UNSUPPORTED',
    `Cannot go on as a simulated program must make what it uses: this is of executor '${other.name}'`,
  )
}
