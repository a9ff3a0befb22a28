export { currentCall, type ServiceCall } from './call-context.ts'
export { CallError, type CallErrorCode } from './call-error.ts'
export { Context } from './context.ts'
export { Driver } from './driver.ts'
export {
  type ContextPlan,
  type DriverKind,
  type DriverLayout,
  type DriverPlan,
  dedicatedCores,
  hybridPerCore,
  splitSiblings,
} from './driver-layout.ts'
export { type DriverLoad, type DriverPolicy, leastBusy } from './driver-policy.ts'
export { ExecutorPool, type StopOptions } from './executor-pool.ts'
/** @internal */
export type { PoolTimer } from './long-timer.ts'
export type { ExecutorPoolOptions, PoolThreadOptions, ShardEnded } from './pool-options.ts'
export type {
  ConnectionFailure,
  PortOptions,
  PortOutage,
  UdpPortOptions,
  UnixPortOptions,
} from './port-options.ts'
export type { Transport } from './port-transport.ts'
export type { RestartOptions } from './restart-policy.ts'
/** @internal */
export { runShard } from './run-shard.ts'
export { Runtime, type RuntimeOptions } from './runtime.ts'
export { RuntimeListener } from './runtime-listener.ts'
export {
  type ConnectionMain,
  ServedPort,
  type UdpMain,
  type UnixConnectionMain,
} from './served-port.ts'
export { defineService, Service, type ServiceMain, type ServiceOptions } from './service.ts'
export { currentShard, Shard, type ShardMain } from './shard.ts'
export type { ShardExit } from './shard-exit.ts'
export { ShardHandle } from './shard-handle.ts'
export type { HeapOptions, ShardExecutorOptions, ShardPeer, WorkPriority } from './shard-options.ts'
export type { ShardState } from './shard-slot.ts'
/** @internal */
export type {
  FromShard,
  ShardHost,
  ShardProgram,
  ShardReport,
  ShardThread,
  ThreadEnd,
  ThreadEvents,
  ThreadOptions,
  ThreadStarter,
  ToShard,
} from './shard-thread.ts'
export {
  type ArgsOf,
  type MethodOf,
  type RemoteService,
  type ResultOf,
  ShardedService,
} from './sharded-service.ts'
/** @internal */
export { currentThreadStarter, provideThreadStarter } from './thread-starter.ts'
export type { PickOptions, Work, WorkOptions } from './work.ts'
