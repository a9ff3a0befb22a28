import { type SocketAddress, TcpListener } from 'percore/net'
import { ExecutorPool } from 'percore/runtime'
import type { PoolPlacement } from 'percore/topology'
import type { CacheShardOptions } from './shard.ts'

export interface CacheServerOptions {
  readonly host?: string
  /** 0, which is any, if not given. */
  readonly port?: number
  /** One for each core if not given. */
  readonly shards?: number
  readonly placement?: PoolPlacement
  /** How much of values all shards hold together, in bytes. */
  readonly bytesMax?: number
}

/** A cache on many cores: each owns a part of the keys, and serves connections, which ask for any key. */
export class CacheServer implements AsyncDisposable {
  readonly address: SocketAddress
  readonly pool: ExecutorPool<number>
  readonly #listener: TcpListener

  private constructor(listener: TcpListener, pool: ExecutorPool<number>) {
    this.#listener = listener
    this.pool = pool
    this.address = listener.address
  }

  static async start(options: CacheServerOptions = {}): Promise<CacheServer> {
    const { host = '127.0.0.1', port = 0, bytesMax = 256 << 20, shards, placement } = options
    // One socket, from which all shards accept; this thread does not.
    const listener = await TcpListener.bind({ host, port })
    try {
      const argument: CacheShardOptions = { listener: listener.share(), bytesMax }
      const pool = await ExecutorPool.start<CacheShardOptions, number>({
        module: new URL('./shard.js', import.meta.url),
        name: 'cache',
        argument,
        ...(shards !== undefined && { shards }),
        ...(placement !== undefined && { placement }),
      })
      return new CacheServer(listener, pool)
    } catch (error) {
      await listener.close()
      throw error
    }
  }

  /** Answers what was asked, then ends; resolves to how many connections each shard has had. */
  async stop(): Promise<number[]> {
    await this.pool.stop()
    // Not before: a shard that has just begun may not have adopted it yet.
    await this.#listener.close()
    return await this.pool.results()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}
