/** A shard of the echo server: serves until it is stopped, and returns how many connections it took. */

import { type StreamConsumer, TcpListener, type TcpListenerShare } from '../../src/net/index.ts'
import type { Shard } from '../../src/runtime/index.ts'

export interface ShardsArgument {
  readonly port: number
  /** The socket that all take connections from, or null. */
  readonly share: TcpListenerShare | null
  /** Counts the shards that listen. */
  readonly listening: Int32Array
}

const echo: StreamConsumer = {
  onLease: (lease, stream) => stream.write(lease),
  // A peer that resets ends its own connection only.
  onEnd: (_error, stream) => stream.close(),
}

export default async function serve(shard: Shard<ShardsArgument>): Promise<number> {
  const { port, share, listening } = shard.argument
  const listener =
    share === null
      ? await TcpListener.bind({ port, backlog: 4096, reusePort: true })
      : TcpListener.adopt(share)
  shard.signal.addEventListener('abort', () => void listener.close(), { once: true })
  Atomics.add(listening, 0, 1)
  let accepted = 0
  for await (const stream of listener) {
    accepted++
    stream.consume(echo)
  }
  return accepted
}
