import { spawn } from 'percore'
import { joinMesh, type SharedMesh } from 'percore/channels'
import { TcpListener, type TcpListenerShare } from 'percore/net'
import type { Shard } from 'percore/runtime'
import { ShardLink } from './link.ts'
import { serveConnections } from './serve.ts'
import { ShardedKeyspace } from './sharded-keyspace.ts'
import { Store } from './store.ts'

export interface RedisShardOptions {
  readonly listener: TcpListenerShare
  readonly mesh: SharedMesh<Uint8Array>
  readonly bytesMax: number
}

/** What each shard runs: a part of the keys, and connections as they come. Resolves to how many these were. */
export default async function serve(shard: Shard<RedisShardOptions>): Promise<number> {
  const { argument, signal } = shard
  const peers = shard.peers.map(({ executorId }) => executorId)
  const store = new Store({ bytesMax: argument.bytesMax / shard.count })
  const link = new ShardLink(joinMesh(argument.mesh, shard.id, { peers }), store)
  const listener = TcpListener.adopt(argument.listener)
  const lost = new AbortController()
  const linked = spawn(() => link.serve())
  // Told to whoever awaits it below; until then it ends what goes on.
  linked.catch(() => lost.abort())
  const count = await serveConnections({
    listener,
    keys: new ShardedKeyspace(link, store),
    store,
    shard: shard.id,
    signal: AbortSignal.any([signal, lost.signal]),
  })
  // Others may yet ask for keys of this shard.
  if (!lost.signal.aborted) await link.finish()
  await linked
  return count
}
