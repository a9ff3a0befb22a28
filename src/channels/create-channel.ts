import { optionNames, validateInteger, validateOptions } from '../base/index.ts'
import { ChannelReceiver } from './channel-receiver.ts'
import { ChannelSender } from './channel-sender.ts'
import { ChannelState } from './channel-state.ts'

export interface ChannelOptions {
  /**
   * How many values it holds at most, at least 1. `Infinity` is allowed, and makes every send
   * succeed at once: then nothing slows a sender down that is faster than its receivers.
   */
  readonly capacity: number
}

const NAMES = optionNames<ChannelOptions>({ capacity: true })

/** The two ends of a channel. */
export interface Channel<T> {
  readonly sender: ChannelSender<T>
  readonly receiver: ChannelReceiver<T>
}

/**
 * Creates a channel between tasks of this thread: first in, first out, with back-pressure.
 *
 * Values are handed over as they are, without a copy. Senders and receivers are each served in the
 * order in which they asked; a value or a place that was granted stays so if its waiter is cancelled
 * afterwards. O(1) for each value.
 *
 * Source: glommio::channels::local_channel.
 *
 * @throws {TypeError | RangeError} for a capacity of the wrong kind.
 *
 * @example
 * ```ts run
 * import { spawn } from 'percore'
 * import { createChannel } from 'percore/channels'
 *
 * const { sender, receiver } = createChannel<number>({ capacity: 2 })
 * spawn(async () => {
 *   for (let i = 0; i < 5; i++) await sender.send(i)
 *   sender.close()
 * })
 * for await (const value of receiver) console.log(value)
 * ```
 */
export function createChannel<T>(options: ChannelOptions): Channel<T> {
  const action = 'create a channel'
  validateOptions(action, options, NAMES)
  const { capacity } = options
  if (capacity !== Number.POSITIVE_INFINITY) {
    validateInteger(action, 'capacity', capacity, { min: 1, max: Number.MAX_SAFE_INTEGER })
  }
  const state = new ChannelState<T>(capacity)
  return { sender: new ChannelSender(state), receiver: new ChannelReceiver(state) }
}
