import { RuntimeError, wrongType } from '../base/index.ts'
import { executor } from '../executor/index.ts'
import { type AttachOptions, attachSender, checkAttach, openReader } from './attach-ends.ts'
import { MergedReceiverState } from './merged-receiver-state.ts'
import {
  CHANNEL_NAMES,
  channelOf,
  createRingTable,
  pickChannelOptions,
  type RingTable,
  takeNextIndex,
  validateThreadCount,
} from './ring-table.ts'
import type { SharedChannelOptions } from './shared-channel.ts'
import { SharedReceiver } from './shared-receiver.ts'
import type { SharedSender } from './shared-sender.ts'

export interface MpscChannelOptions extends SharedChannelOptions {
  /** How many senders attach, 1 … 1,024; each has room of its own. */
  readonly senders: number
}

const NAMES: ReadonlySet<string> = new Set([...CHANNEL_NAMES, 'senders'])

/** A channel from many threads to one, as plain data that can be posted. */
export interface MpscChannel<T> extends RingTable {
  /** Never there: by it the compiler knows what crosses. */
  readonly value?: T
}

/**
 * Creates a channel from several threads to one: what one sender sends stays in order, and senders take turns.
 *
 * A ring for each sender, with room for `capacity` values: senders never wait for each other. It ends once as many as
 * were asked for have attached and closed. Otherwise as {@link createSharedChannel}.
 *
 * @throws {TypeError | RangeError} for options of the wrong kind, or more memory than 4 GiB.
 *
 * @example
 * ```ts run
 * import { spawn } from 'percore'
 * import { attachMpscReceiver, attachMpscSender, createMpscChannel } from 'percore/channels'
 *
 * const channel = createMpscChannel<string>({ senders: 2, capacity: 16 })
 * for (const name of ['a', 'b']) {
 *   // As a worker would that it was posted to.
 *   spawn(async () => {
 *     using sender = attachMpscSender(channel)
 *     await sender.send(name)
 *   })
 * }
 * for await (const name of attachMpscReceiver(channel)) console.log(name)
 * ```
 */
export function createMpscChannel(
  options: MpscChannelOptions & { readonly codec: 'numbers' },
): MpscChannel<number>
export function createMpscChannel(
  options: MpscChannelOptions & { readonly codec: 'bytes' },
): MpscChannel<Uint8Array>
export function createMpscChannel<T>(options: MpscChannelOptions): MpscChannel<T>
export function createMpscChannel(options: MpscChannelOptions): MpscChannel<unknown> {
  const action = 'create a channel of many senders'
  const picked = pickChannelOptions(action, options, NAMES)
  validateThreadCount(action, 'senders', options.senders)
  return createRingTable(action, options.senders, picked)
}

/**
 * Attaches as the next of the senders, on this thread.
 *
 * @throws {RuntimeError} `ERR_LIMIT_EXCEEDED` where as many have attached as the channel is for; else as
 * {@link attachSender}.
 */
export function attachMpscSender<T>(
  channel: MpscChannel<T>,
  options: AttachOptions<T> = {},
): SharedSender<T> {
  assertChannel('attach a sender', channel)
  executor().assertOpen('attach a sender')
  // Before a place is taken, which nobody could give back.
  checkAttach('attach a sender', channelOf<T>(channel, 0), options)
  const index = takeNextIndex(channel)
  if (index >= channel.ringCount) {
    throw new RuntimeError(
      'ERR_LIMIT_EXCEEDED',
      `Cannot attach a sender as the channel must have at most ${channel.ringCount}: it has had as many`,
    )
  }
  return attachSender(channelOf<T>(channel, index), options)
}

/**
 * Attaches as the receiver, once, on this thread.
 *
 * Where the thread of a sender has ended without a close, one `receive()` rejects with `ERR_PEER_ENDED`, once all that
 * it had published was received, and those after it go on with the others.
 *
 * @throws as {@link attachReceiver}.
 */
export function attachMpscReceiver<T>(
  channel: MpscChannel<T>,
  options: AttachOptions<T> = {},
): SharedReceiver<T> {
  const action = 'attach a receiver'
  assertChannel(action, channel)
  const home = executor()
  home.assertOpen(action)
  const sources = Array.from({ length: channel.ringCount }, (_, index) => ({
    reader: openReader(action, channelOf<T>(channel, index), options),
    name: `sender ${index}`,
    index,
  }))
  const { capacity } = channel
  const state = new MergedReceiverState<T, T>(home, { sources, capacity, wrap: (value) => value })
  return new SharedReceiver(state, capacity)
}

function assertChannel(action: string, channel: unknown): asserts channel is RingTable {
  if ((channel as RingTable | null)?.memory instanceof SharedArrayBuffer) return
  throw wrongType(action, 'channel', 'an MpscChannel', channel)
}
