import { spawn } from 'percore'
import { type SocketAddress, TcpListener } from 'percore/net'
import { LocalKeyspace } from './keyspace.ts'
import { serveConnections } from './serve.ts'
import { Store } from './store.ts'

export interface RedisServerOptions {
  readonly host?: string
  /** 0, which is any, if not given. */
  readonly port?: number
  /** How much keys and values may take, all shards together, in bytes, about; unlimited if not given. */
  readonly bytesMax?: number
}

/** A cache that speaks the Redis protocol, on this thread. */
export class RedisServer implements AsyncDisposable {
  readonly address: SocketAddress
  readonly #stop: () => Promise<readonly number[]>

  private constructor(address: SocketAddress, stop: () => Promise<readonly number[]>) {
    this.address = address
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

  /** Answers what it has read, then ends; resolves to how many connections each shard has had. */
  stop(): Promise<readonly number[]> {
    return this.#stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}
