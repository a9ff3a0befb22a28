import type { Task } from '../executor/index.ts'

/** Waits for a task; being cancelled is no failure then. */
export function joinTask<T>(task: Task<T>): Promise<T | undefined> {
  return task.then(undefined, (error: unknown) => {
    if (task.state === 'cancelled') return undefined
    throw error
  })
}
