export { abortHub } from './abort-hub.ts'
export { allocateBuffer } from './allocate-buffer.ts'
export { AwaitedOperation } from './awaited-operation.ts'
export type { Cancellable } from './cancellable.ts'
export {
  bindCancellation,
  type CancellationBinding,
  checkCancellation,
  timeoutError,
  validateWaitOptions,
  type WaitHome,
  type WaitOptions,
  WaitStep,
} from './cancellation.ts'
export { submitClose } from './close-descriptor.ts'
export { attachExecutor, confine, currentOrNull, executor } from './current.ts'
export { Deadline } from './deadline.ts'
export {
  createDeferred,
  type Deferred,
  madeInTurn,
  newPromise,
  rejectFrom,
  takeResolve,
  traceHere,
} from './deferred.ts'
export { Executor } from './executor.ts'
export type { ExecutorOptions } from './executor-options.ts'
export { adoptBuffer, type BufferTicket, detachBuffer, discardBuffer } from './hand-over-buffer.ts'
export { HoldingWaiter } from './holding-waiter.ts'
export type { HostOptions } from './host-queue.ts'
export {
  checkIoProperties,
  type DeviceProperties,
  type DirectionProperties,
  IO_PROPERTIES_VARIABLE,
  type IoProperties,
} from './io-properties.ts'
export { metricsText, type QueueValues, readExecutors, readQueueValues } from './metrics.ts'
export { type DescriptorKind, OwnedDescriptor } from './owned-descriptor.ts'
export type { Poll } from './polls.ts'
export { needPreempt } from './preempt.ts'
export { random } from './random.ts'
export { answerDone, answerReady } from './ready.ts'
export { refusalOf, refuse } from './refuse.ts'
export {
  type CounterSample,
  type ExecutorSample,
  isInTurn,
  METRICS,
  type Metric,
  readHeldNs,
  takeSamples,
} from './sample.ts'
export { type Scope, ScopeError, type ScopeOptions, scope } from './scope.ts'
export type { Shares, SharesManager } from './shares.ts'
export { createTaskQueue, currentTaskQueue, type SpawnOptions, spawn, spawnInto } from './spawn.ts'
export type { Stall, StallOptions } from './stall-report.ts'
export type { ExecutorStats } from './stats.ts'
export { Task, type TaskBody, type TaskState } from './task.ts'
export {
  type IoCaps,
  type IoLimits,
  type LatencyClass,
  type QueueFileStats,
  TaskQueue,
  type TaskQueueOptions,
  type TaskQueueStats,
} from './task-queue.ts'
export {
  ClosingWaiter,
  type Listed,
  ListedWaiter,
  ShieldedWaiter,
  WaitList,
  type WaitListOwner,
} from './wait-list.ts'
export { keepWaitLog, type LoggedTask, WaitLog } from './wait-log.ts'
export { Waiter } from './waiter.ts'
export type { ListOfWaits, LooseWait, Waits } from './waits.ts'
export { yieldIfNeeded, yieldNow, yieldQueue } from './yield.ts'
