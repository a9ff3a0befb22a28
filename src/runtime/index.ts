/** @internal How a simulation starts threads of its own, and runs a shard on them. */
export { recordError, reviveError } from './error-record.ts'
export { ExecutorPool, type StopOptions } from './executor-pool.ts'
export type { ExecutorPoolOptions, ShardEnded } from './pool-options.ts'
export type { RestartOptions } from './restart-policy.ts'
/** @internal */
export { runShard } from './run-shard.ts'
export { Shard, type ShardMain } from './shard.ts'
export type { ShardExit } from './shard-exit.ts'
export { ShardHandle } from './shard-handle.ts'
export type { ShardState } from './shard-slot.ts'
/** @internal */
export type {
  FromShard,
  HeapOptions,
  ShardExecutorOptions,
  ShardHost,
  ShardPeer,
  ShardProgram,
  ShardReport,
  ShardThread,
  ThreadEnd,
  ThreadEvents,
  ThreadOptions,
  ThreadStarter,
  ToShard,
} from './shard-thread.ts'
/** @internal */
export { currentThreadStarter, provideThreadStarter } from './thread-starter.ts'
