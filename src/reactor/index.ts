export { Reactor, type ReactorOptions } from './reactor.ts'
export { RegisteredFiles, type RegisteredFilesStats } from './registered-files.ts'
export { Timer, Timers } from './timers.ts'
