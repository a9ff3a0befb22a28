export { Reactor, type ReactorOptions } from './reactor.ts'
export { RegisteredFiles, type RegisteredFilesStats } from './registered-files.ts'
export { RetryTimer } from './retry-timer.ts'
export { Timer, Timers } from './timers.ts'
