const CAUSES_MAX = 16

/** Whether `error` is `reason`, or has it among its causes, as an `AbortError` does. */
export function isCausedBy(error: unknown, reason: unknown): boolean {
  if (error === reason) return true
  // Anything else could be a cause by chance.
  if (typeof reason !== 'object' || reason === null) return false
  let cause = error
  try {
    for (let i = 0; i < CAUSES_MAX && cause instanceof Error; i++) {
      cause = cause.cause
      if (cause === reason) return true
    }
  } catch {
    // What can't be asked has no causes.
  }
  return false
}
