/** What a driver runs by itself: nothing, until it is stopped; what it is given are tasks beside it. */
import type { Shard } from './shard.ts'

export async function serve(shard: Shard): Promise<void> {
  const { signal } = shard
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
