/** The careless module: it calls its own function in another thread while it is loaded. */
import { spawnBlocking } from '../../src/blocking/index.ts'

export function work(): number {
  return 1
}

export const result: unknown = await spawnBlocking(import.meta.url, 'work')
