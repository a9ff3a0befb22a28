import type { Task } from '../executor/index.ts'

/** Waits for a task; being cancelled is no failure then, but by the close of its executor. */
export function joinTask<T>(task: Task<T>): Promise<T | undefined> {
  return task.then(undefined, (error: unknown) => {
    if (task.state === 'cancelled' && task.cancelReason?.code !== 'ERR_EXECUTOR_CLOSED') {
      return undefined
    }
    throw error
  })
}
