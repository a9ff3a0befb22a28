import { isCausedBy } from './causes.ts'
import { setImmediate } from './host-immediate.ts'

/**
 * Keeps failures that `reason` alone has caused from ending the program, until the returned function is
 * called: an async function that nobody awaits, and that the close of an executor ended, has not failed.
 *
 * Only where the program has no listener of its own, which may want to know; any other failure takes its usual way.
 */
export function guardRejections(reason: Error): () => void {
  const guard = (failure: unknown): void => {
    if (isCausedBy(failure, reason)) return
    if (process.listenerCount('unhandledRejection') > 1) return
    // Again, without us, for what Node was started to do about it.
    process.off('unhandledRejection', guard)
    void Promise.reject(failure)
    setImmediate(() => {
      if (isGuarding) process.on('unhandledRejection', guard)
    })
  }
  let isGuarding = process.listenerCount('unhandledRejection') === 0
  if (isGuarding) process.on('unhandledRejection', guard)
  return () => {
    isGuarding = false
    process.off('unhandledRejection', guard)
  }
}
