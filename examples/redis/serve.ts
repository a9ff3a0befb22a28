import type { TcpListener, TcpStream } from 'percore/net'
import { once, repeat } from 'percore/time'
import { Connection } from './connection.ts'
import type { Keyspace } from './keyspace.ts'
import type { Store } from './store.ts'

const SWEEP_INTERVAL_MS = 100
/** How long clients have to read their replies once the server stops; then their connections are reset. */
const STOP_MS = 5000

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
 * A client that does not read its replies is given up after some seconds.
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
  const streams = new Set<TcpStream>()
  let onLastClosed = (): void => {}
  const { shardCount } = keys
  const { port } = listener.address
  for await (const stream of listener) {
    // It was accepted as the listener was being closed.
    if (signal.aborted) {
      await stream.close()
      continue
    }
    const id = count++ * shardCount + shard + 1
    const session = { id, shardCount, port, name: '', isQuitting: false }
    const onClosed = (): void => {
      streams.delete(stream)
      if (streams.size === 0) onLastClosed()
    }
    stream.consume(new Connection(keys, session, onClosed), { signal })
    streams.add(stream)
  }
  if (streams.size > 0) {
    const resetting = once(STOP_MS, () => Promise.all(Array.from(streams, (s) => s.reset())))
    await new Promise<void>((resolve) => {
      onLastClosed = resolve
    })
    await resetting.cancel()
  }
  await sweeping.cancel()
  return count
}
