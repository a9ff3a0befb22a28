import type { ExecutorOptions } from '../executor/index.ts'

/** Sizes of a shard's heap, in MiB; Node's own where not given. */
export interface HeapOptions {
  /** What lives long: above it the shard ends with `outOfMemory`. */
  readonly oldMiB?: number
  /** What was made just now. A large one makes collections rare, and each of them no dearer: what is dead costs nothing. */
  readonly youngMiB?: number
  /** Compiled code. */
  readonly codeMiB?: number
  /** The stack; 4 if not given. */
  readonly stackMiB?: number
}

/** Options of a shard's executor: plain data, since they cross to its thread. */
export type ShardExecutorOptions = Omit<ExecutorOptions, 'kernel' | 'name' | 'detectStalls'>

/** How urgent work is: `high` goes first and bounds its wait to 2 ms, `low` takes a tenth of what `normal` takes. */
export type WorkPriority = 'high' | 'normal' | 'low'

/** A shard as the others know it. */
export interface ShardPeer {
  readonly id: number
  readonly generation: number
  readonly name: string
  /** By which its executor is rung; 0 while it has none. */
  readonly executorId: number
}
