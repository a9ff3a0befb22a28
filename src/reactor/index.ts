export {
  Doorbell,
  type DoorbellAddress,
  type DoorbellAtomics,
  type DoorbellPort,
  type DoorbellWords,
  INBOX_COUNT_MAX,
  type Inbox,
  ringDoorbell,
  ringFromAnywhere,
  sleeperOf,
  takeRung,
} from './doorbell.ts'
export type { IoPort } from './io-port.ts'
export type { LivenessPort } from './liveness.ts'
export type { LoansPort } from './loans.ts'
export { Reactor, type ReactorOptions, type SpinLimits } from './reactor.ts'
export { type FileTable, RegisteredFiles, type RegisteredFilesStats } from './registered-files.ts'
export { RetryTimer } from './retry-timer.ts'
export { Timer, type TimerPort, Timers } from './timers.ts'
