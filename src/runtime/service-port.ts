import type { WaitOptions } from '../executor/index.ts'

/** The services of a shard, as what users hold reaches them. */
export interface ServicePort {
  /** Starts a service on all shards, or joins those who have; rejects where it does not start. */
  join(name: string, argument: unknown): Promise<JoinedService>
  /** The service that runs here, for its own methods; null where none of that name does. */
  find(name: string): JoinedService | null
}

/** A service that runs on all shards, as one that uses it on this shard has it. */
export interface JoinedService {
  readonly name: string
  readonly shardId: number
  readonly shardCount: number
  /** This shard's. */
  readonly instance: object
  /** The same on all shards, in the same order. */
  readonly methods: readonly string[]
  /** Calls one of the methods on a shard. */
  call(request: CallRequest): Promise<unknown>
  /** Nothing is called through this any more; resolves at once where others use the service, else as it has ended. */
  leave(): Promise<void>
}

/** What is called where. */
export interface CallRequest {
  readonly shard: number
  /** Its place in {@link JoinedService.methods}. */
  readonly method: number
  readonly args: readonly unknown[]
  readonly options: WaitOptions | undefined
}
