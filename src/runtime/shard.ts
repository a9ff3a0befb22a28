import { RuntimeError, showAs } from '../base/index.ts'
import { currentOrNull, type Executor } from '../executor/index.ts'
import { CpuSet } from '../topology/index.ts'
import type { ServicePort } from './service-port.ts'
import type { ShardPeer } from './shard-options.ts'
import type { ShardProgram } from './shard-thread.ts'

/** The default export of a shard's module: what each shard runs, with what it is given. */
export type ShardMain<Argument = unknown, Result = unknown> = (
  shard: Shard<Argument>,
) => Result | PromiseLike<Result>

/**
 * A shard, as the program that runs on it sees it: who it is, and what it was given.
 *
 * Belongs to the shard's own thread.
 */
export class Shard<Argument = unknown> {
  static {
    showAs(Shard, ({ name, id, count, cpus }) => `Shard(${name}) ${id} of ${count} on ${cpus}`)
  }

  /** 0 … {@link count} - 1. */
  readonly id: number
  /** How many shards the pool has. */
  readonly count: number
  /** 1 at first; 2 for what takes its place when it has failed, and so on. */
  readonly generation: number
  readonly name: string
  /** The processors that it runs on. */
  readonly cpus: CpuSet
  /** The NUMA node of them all; null if they are of several. */
  readonly node: number | null
  /** This shard's copy of the pool's `argument`. */
  readonly argument: Argument
  /** @internal Null before it has an executor, and where nothing can have defined a service. */
  useServices: () => ServicePort | null = nothing
  #peers: readonly ShardPeer[] = []
  #controller: AbortController | null = null
  #stopReason: RuntimeError | null = null

  /** @internal */
  constructor(program: ShardProgram) {
    this.id = program.id
    this.count = program.count
    this.generation = program.generation
    this.name = program.name
    this.cpus = new CpuSet(program.cpus)
    this.node = program.node
    this.argument = program.argument as Argument
  }

  /**
   * Aborted when the pool is stopped. A program that has asked for it is given half of the deadline to come to an
   * end; for one that never has, the executor is closed at once.
   */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#stopReason !== null) this.#controller.abort(this.#stopReason)
    return this.#controller.signal
  }

  /** All shards of the pool by their ids, this one among them: those that run now. */
  get peers(): readonly ShardPeer[] {
    return this.#peers
  }

  /** @internal Why it was stopped, else null. */
  get stopReason(): RuntimeError | null {
    return this.#stopReason
  }

  /** @internal Whether the program may react to a stop by itself. */
  get isSignalTaken(): boolean {
    return this.#controller !== null
  }

  /** @internal */
  setPeers(peers: readonly ShardPeer[]): void {
    this.#peers = Object.freeze([...peers])
  }

  /** @internal */
  stop(): void {
    this.#stopReason = new RuntimeError(
      'ERR_SHARD_STOPPED',
      `Cannot go on as shard '${this.name}' was stopped`,
    )
    this.#controller?.abort(this.#stopReason)
  }
}

const shards = new WeakMap<Executor, Shard>()

/** @internal The executor is that of a shard, until it is no more. */
export function noteShard(executor: Executor, shard: Shard): void {
  shards.set(executor, shard)
}

/**
 * The shard whose thread the running code is on: what its program was called with. For code that is handed no shard, such as work of a
 * {@link Driver}, which is one as well: by it services are called from there.
 *
 * @throws {RuntimeError} `ERR_UNSUPPORTED` on a thread that is none, such as the one that has started the pool.
 *
 * @example
 * ```ts
 * import { currentShard } from 'percore/runtime'
 *
 * export function describeDriver(): string {
 *   const { name, cpus } = currentShard()
 *   return `${name} on ${cpus}`
 * }
 * ```
 */
export function currentShard(): Shard {
  const home = currentOrNull()
  const shard = home === null ? undefined : shards.get(home)
  if (shard !== undefined) return shard
  throw new RuntimeError(
    'ERR_UNSUPPORTED',
    'Cannot find a shard as this must be a thread of a pool or a runtime: it is none',
  )
}

function nothing(): null {
  return null
}
