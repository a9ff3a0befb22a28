import { spawn } from 'percore'
import { TcpListener, type TcpListenerShare } from 'percore/net'
import type { Shard } from 'percore/runtime'
import { serveConnection } from './connection.ts'
import { stores } from './store.ts'

export interface CacheShardOptions {
  readonly listener: TcpListenerShare
  readonly bytesMax: number
}

/** What each shard runs: a part of the keys, and connections as they come. Resolves to how many these were. */
export default async function serve(shard: Shard<CacheShardOptions>): Promise<number> {
  const { argument, signal } = shard
  const bytesMax = Math.floor(argument.bytesMax / shard.count)
  await using cache = await stores.start(shard, { bytesMax })
  await using listener = TcpListener.adopt(argument.listener)
  const stopListening = (): void => void listener.close()
  signal.addEventListener('abort', stopListening)
  if (signal.aborted) stopListening()

  let count = 0
  const connections = new Set<Promise<void>>()
  for await (const stream of listener) {
    count++
    const connection = spawn(() => serveConnection(stream, cache, signal))
    connections.add(connection)
    void connection.finally(() => connections.delete(connection)).catch(() => {})
  }
  await Promise.allSettled(connections)
  return count
}
