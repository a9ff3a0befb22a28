import { RuntimeError } from '../base/index.ts'

/** Why a value was not sent. */
export type ChannelErrorCode =
  | 'ERR_CHANNEL_CLOSED'
  | 'ERR_CHANNEL_FULL'
  | 'ERR_PEER_ENDED'
  | 'ERR_TASK_CANCELLED'
  | 'ERR_LIMIT_EXCEEDED'
  | 'ERR_VALUE_UNREADABLE'

/**
 * A failed send, with the value that was not sent.
 *
 * Its code is `ERR_CHANNEL_CLOSED` or `ERR_CHANNEL_FULL`; between threads also `ERR_PEER_ENDED`, for what is left of a
 * batch whose wait was ended `ERR_TASK_CANCELLED`, and in a mesh whose shard does not receive `ERR_LIMIT_EXCEEDED`;
 * `ERR_VALUE_UNREADABLE` has those that could be taken back beside some that could not.
 */
export class ChannelError<T = unknown> extends RuntimeError {
  override readonly name: string = 'ChannelError'
  /** What was to be sent: the sender's again. */
  readonly value: T

  constructor(code: ChannelErrorCode, message: string, value: T, options?: ErrorOptions) {
    super(code, message, options)
    this.value = value
  }
}
