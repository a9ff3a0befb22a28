import { createDeferred, executor } from '../executor/index.ts'
import { ExecutorPool, type Shard, type ShardMain } from '../runtime/index.ts'
import type { SimKernel } from '../sim/index.ts'
import { ShardFailure } from './shard-failure.ts'
import { nameFunction } from './simulated-starter.ts'
import type { Simulation, SimulationOptions } from './simulation-run.ts'

/** How a program is simulated that runs on several shards. */
export interface ShardedSimulationOptions extends SimulationOptions {
  /** How many shards there are, named `shard-0`, `shard-1` and so on; each is on a core of its own. */
  readonly shards: number
}

/** What a simulated program gets on each of its shards. */
export interface ShardSimulation extends Simulation {
  /** Which of them it is, as a pool's shard is told. */
  readonly shard: Shard
}

/**
 * Runs a function on each of so many shards of a simulation, and resolves to what they return; fails with the first
 * that does.
 */
export async function runOnShards<T>(
  { seed }: Simulation,
  main: (simulation: ShardSimulation) => T | PromiseLike<T>,
  { shards, executor: options = {} }: ShardedSimulationOptions,
): Promise<T[]> {
  const failed = createDeferred<never>()
  failed.promise.catch(ignore)
  const fail = ({ name }: { readonly name: string }, error: unknown): void => {
    const what = error instanceof Error ? error.message : String(error)
    failed.reject(new ShardFailure(`${name} fails: ${what}`, { cause: error }))
  }
  const run: ShardMain = async (shard) => {
    try {
      const own = executor()
      return await main({ seed, kernel: own.kernel as SimKernel, executor: own, shard })
    } catch (error) {
      // Before the pool is told, which has a copy of it.
      fail(shard, error)
      throw error
    }
  }
  const { name: _name, detectStalls: _stalls, ...poolExecutor } = options
  const module = nameFunction(run)
  try {
    const pool = await ExecutorPool.start<unknown, T>({
      module: new URL(module.url),
      name: 'shard',
      shards,
      executor: poolExecutor,
      onExit: ({ shard, exit }) => {
        if (exit.reason !== 'returned') fail(shard, 'error' in exit ? exit.error : exit.reason)
      },
    })
    return await Promise.race([pool.results(), failed.promise])
  } finally {
    module.forget()
  }
}

function ignore(): void {}
