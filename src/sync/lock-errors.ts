import { RuntimeError } from '../base/index.ts'

/** The error of whoever wants a lock that was closed. */
export function lockClosed(): RuntimeError {
  return new RuntimeError('ERR_LOCK_CLOSED', 'Cannot take a lock as it must be open: it was closed')
}

/** The error of whoever wants the value itself while others have access. */
export function stillHeld(): RuntimeError {
  return new RuntimeError(
    'ERR_STILL_HELD',
    'Cannot take the value out of a lock as nobody may hold it: somebody does',
  )
}
