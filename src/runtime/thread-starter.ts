import type { ThreadStarter } from './shard-thread.ts'
import { WorkerStarter } from './worker-starter.ts'

let find: () => ThreadStarter | null = () => null
let own: WorkerStarter | null = null

/** @internal Has {@link currentThreadStarter} ask first: a simulated program's threads are simulated. */
export function provideThreadStarter(findStarter: () => ThreadStarter | null): void {
  find = findStarter
}

/** What starts threads for the running code: `Worker`, unless somebody provides another. */
export function currentThreadStarter(): ThreadStarter {
  const found = find()
  if (found !== null) return found
  own ??= new WorkerStarter()
  return own
}
