export { type ErrorRecord, recordError, reviveError } from '../base/index.ts'
