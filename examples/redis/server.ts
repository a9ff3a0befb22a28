import { availableParallelism } from 'node:os'
import { spawn } from 'percore'
import { createMesh } from 'percore/channels'
import { type SocketAddress, TcpListener } from 'percore/net'
import { ExecutorPool } from 'percore/runtime'
import type { PoolPlacement } from 'percore/topology'
import { LocalKeyspace } from './keyspace.ts'
import { serveConnections } from './serve.ts'
import type { RedisShardOptions } from './shard.ts'
import { Store } from './store.ts'

/** So many messages from one shard to another are on their way; further ones wait. */
const MESH_CAPACITY = 256

/** Compiled, or as it is where Node takes TypeScript. */
const SHARD = import.meta.url.endsWith('.ts') ? './shard.ts' : './shard.js'

export interface RedisServerOptions {
  readonly host?: string
  /** 0, which is any, if not given. */
  readonly port?: number
  /** How much keys and values may take, all shards together, in bytes, about; unlimited if not given. */
  readonly bytesMax?: number
}

export interface ShardedOptions extends RedisServerOptions {
  /** As many as the process has processors if not given. */
  readonly shards?: number
  readonly placement?: PoolPlacement
}

/** A cache that speaks the Redis protocol, on this thread or on many. */
export class RedisServer implements AsyncDisposable {
  readonly address: SocketAddress
  /** The threads that it serves on; null for this one alone. */
  readonly pool: ExecutorPool<number> | null
  readonly #stop: () => Promise<readonly number[]>

  private constructor(
    address: SocketAddress,
    stop: () => Promise<readonly number[]>,
    pool: ExecutorPool<number> | null = null,
  ) {
    this.address = address
    this.pool = pool
    this.#stop = stop
  }

  /** Serves on this thread alone. */
  static async startSingle(options: RedisServerOptions = {}): Promise<RedisServer> {
    const { host = '127.0.0.1', port = 0, bytesMax } = options
    const listener = await TcpListener.bind({ host, port })
    const { address } = listener
    const store = new Store(bytesMax === undefined ? {} : { bytesMax })
    const keys = new LocalKeyspace(store)
    const controller = new AbortController()
    const { signal } = controller
    const serving = spawn(() => serveConnections({ listener, keys, store, shard: 0, signal }))
    return new RedisServer(address, async () => {
      controller.abort()
      return [await serving]
    })
  }

  /** Serves on a thread for each shard; keys are spread over them. */
  static async start(options: ShardedOptions = {}): Promise<RedisServer> {
    const { host = '127.0.0.1', port = 0, placement } = options
    const { bytesMax = Number.POSITIVE_INFINITY, shards = availableParallelism() } = options
    // One socket, from which all shards accept; this thread does not.
    const listener = await TcpListener.bind({ host, port })
    const { address } = listener
    try {
      const mesh = createMesh({ shards, capacity: MESH_CAPACITY, codec: 'bytes' })
      const pool = await ExecutorPool.start<RedisShardOptions, number>({
        module: new URL(SHARD, import.meta.url),
        name: 'redis',
        argument: { listener: listener.share(), mesh, bytesMax },
        ...(placement === undefined ? { shards } : { placement }),
      })
      return new RedisServer(
        address,
        async () => {
          const exits = await pool.stop()
          // Not before: a shard that has just begun may not have adopted it yet.
          await listener.close()
          // What one that was terminated has served nobody counts; a failure is told.
          const isFailed = exits.some(
            ({ reason }) => reason !== 'returned' && reason !== 'terminated',
          )
          if (isFailed) return await pool.results()
          return exits.map((exit) => (exit.reason === 'returned' ? exit.value : 0))
        },
        pool,
      )
    } catch (error) {
      await listener.close()
      throw error
    }
  }

  /** Answers what it has read, then ends; resolves to how many connections each shard has had. */
  stop(): Promise<readonly number[]> {
    return this.#stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}
