import { RuntimeError } from '../base/index.ts'

/** Why a call to another shard has failed that its method did not fail itself. */
export type CallErrorCode = 'ERR_SHARD_FAILED' | 'ERR_SERVICE_NOT_RUNNING' | 'ERR_LIMIT_EXCEEDED'

/**
 * A call of a service's method that never came to an answer of the method.
 *
 * `ERR_SHARD_FAILED`: the shard's thread has ended; `ERR_SERVICE_NOT_RUNNING`: the service has not started there, or was stopped;
 * `ERR_LIMIT_EXCEEDED`: calls that were made by calls are too many.
 */
export class CallError extends RuntimeError {
  override readonly name: string = 'CallError'
  declare readonly code: CallErrorCode
  /**
   * Whether the method has certainly not run, so that the call can be made again. Where it is false the method may have run, in
   * part or to its end.
   */
  readonly hasNotRun: boolean

  /** @internal */
  constructor(code: CallErrorCode, message: string, hasNotRun: boolean) {
    super(code, message)
    this.hasNotRun = hasNotRun
  }
}
