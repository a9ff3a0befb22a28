/**
 * How a shard gets at its services: what they are made of is loaded with the first module that defines one, so that shards without any
 * start without it, and without `percore/channels`.
 */
import type { Executor } from '../executor/index.ts'
import type { FromServices, ToServices } from './service-messages.ts'
import type { ServicePort } from './service-port.ts'
import type { Shard } from './shard.ts'

/** What the services of a shard are given. */
export interface ShardServicesParts {
  readonly home: Executor
  readonly shard: Shard
  /** Sends to the pool. @throws for what cannot be cloned; then nothing was sent. */
  readonly post: (message: FromServices) => void
}

/** The services of a shard, as its thread has them. */
export interface ShardServices extends ServicePort {
  /** Whether anything runs here, or was joined. */
  readonly isInUse: boolean
  onMessage(message: ToServices): void
  /** Leaves all that was joined; resolves once nothing runs here. */
  end(): Promise<void>
}

type Create = (parts: ShardServicesParts) => ShardServices

let create: Create | null = null

/** What can define services has been loaded: shards of this thread can have some. */
export function provideServices(createOne: Create): void {
  create = createOne
}

/** Null where no module that is loaded can have defined one. */
export function createServices(parts: ShardServicesParts): ShardServices | null {
  return create === null ? null : create(parts)
}

/** The pool starts a service on a shard that does not know it. */
export function notDefined(name: string, shardName: string): Error {
  return new Error(
    `the module of the shard must define it, or import what does: '${name}' is not defined on '${shardName}'`,
  )
}
