import type { TcpListener } from 'percore/net'
import { repeat } from 'percore/time'
import { Connection } from './connection.ts'
import type { Keyspace } from './keyspace.ts'
import type { Store } from './store.ts'

const SWEEP_INTERVAL_MS = 100

export interface Served {
  readonly listener: TcpListener
  readonly keys: Keyspace
  /** This thread's own, which is swept. */
  readonly store: Store
  readonly shard: number
  readonly signal: AbortSignal
}

/**
 * Serves connections as they come, until the signal is aborted and the commands that have been read are answered.
 *
 * Resolves to how many connections there were.
 */
export async function serveConnections(served: Served): Promise<number> {
  const { listener, keys, store, shard, signal } = served
  const stopListening = (): void => void listener.close()
  signal.addEventListener('abort', stopListening)
  if (signal.aborted) stopListening()
  const sweeping = repeat(
    () => {
      store.sweep()
      return SWEEP_INTERVAL_MS
    },
    { keepsAlive: false },
  )
  let count = 0
  const connections = new Set<Promise<void>>()
  const { shardCount } = keys
  const { port } = listener.address
  for await (const stream of listener) {
    const id = count++ * shardCount + shard + 1
    const session = { id, shardCount, port, name: '', isQuitting: false }
    const closed = new Promise<void>((resolve) => {
      const connection = new Connection(keys, session, resolve)
      stream.consume(connection, { signal })
    })
    connections.add(closed)
    void closed.then(() => connections.delete(closed))
  }
  await Promise.all(connections)
  await sweeping.cancel()
  return count
}
