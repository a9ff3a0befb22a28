import { RuntimeError } from '../base/index.ts'

/**
 * A failed send, with the value that was not sent.
 *
 * Its code is `ERR_CHANNEL_CLOSED` or `ERR_CHANNEL_FULL`.
 */
export class ChannelError<T = unknown> extends RuntimeError {
  override readonly name: string = 'ChannelError'
  /** What was to be sent: the sender's again. */
  readonly value: T

  constructor(code: 'ERR_CHANNEL_CLOSED' | 'ERR_CHANNEL_FULL', message: string, value: T) {
    super(code, message)
    this.value = value
  }
}
