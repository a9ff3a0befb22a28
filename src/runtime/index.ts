export { recordError, reviveError } from './error-record.ts'
export { runShard } from './run-shard.ts'
export { Shard, type ShardMain } from './shard.ts'
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
export { currentThreadStarter, provideThreadStarter } from './thread-starter.ts'
