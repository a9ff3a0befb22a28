import { wrongType } from '../base/index.ts'

/** @throws {TypeError | RangeError} unless `deadlineNs` is a moment of the executor's clock. */
export function validateDeadline(action: string, deadlineNs: unknown): void {
  if (typeof deadlineNs !== 'number') throw wrongType(action, 'deadlineNs', 'a number', deadlineNs)
  if (!(deadlineNs >= 0 && deadlineNs <= 2 ** 63)) {
    throw new RangeError(
      `Cannot ${action} as deadlineNs must be from 0 to 2^63: current value is ${deadlineNs}`,
    )
  }
}

/** Options of timers that let the program end, made once. */
const BACKGROUND = { keepsAlive: false }
const FOREGROUND = { keepsAlive: true }

export function timerOptions(keepsAlive: boolean | undefined): { readonly keepsAlive: boolean } {
  return keepsAlive === false ? BACKGROUND : FOREGROUND
}
