import { executor } from '../executor/index.ts'
import {
  type AttachManyOptions,
  type AttachOptions,
  attachSender,
  checkAttach,
  checkManyOptions,
  openReader,
} from './attach-ends.ts'
import { ExpectedPeers } from './expected-peers.ts'
import { MergedReceiverState } from './merged-receiver-state.ts'
import {
  assertTable,
  channelOf,
  createCountedTable,
  placesOf,
  type RingTable,
  takePlace,
} from './ring-table.ts'
import type { SharedChannel, SharedChannelOptions } from './shared-channel.ts'
import { SharedReceiver } from './shared-receiver.ts'
import type { SharedSender } from './shared-sender.ts'

export interface MpscChannelOptions extends SharedChannelOptions {
  /** How many senders attach, 1 … 1,024; each has room of its own. */
  readonly senders: number
}

/** A channel from many threads to one, as plain data that can be posted. */
export interface MpscChannel<T> extends RingTable {
  readonly kind: 'mpsc'
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
  return { ...createCountedTable(action, 'mpsc', 'senders', options), kind: 'mpsc' }
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
  const action = 'attach a sender'
  assertTable(action, 'mpsc', channel)
  checkAttach(action, channelOf<T>(channel, 0), options)
  return takePlace(action, channel, 'producer', (place: SharedChannel<T>) => {
    return attachSender(place, options)
  })
}

/**
 * Attaches as the receiver, once, on this thread.
 *
 * Where the thread of a sender has ended without a close, one `receive()` rejects with `ERR_PEER_ENDED`, once all that
 * it had published was received, and those after it go on with the others. By `peers` that holds for threads that end
 * before they have attached, too.
 *
 * @throws as {@link attachReceiver}.
 */
export function attachMpscReceiver<T>(
  channel: MpscChannel<T>,
  options: AttachManyOptions<T> = {},
): SharedReceiver<T> {
  const action = 'attach a receiver'
  assertTable(action, 'mpsc', channel)
  const home = executor()
  home.assertOpen(action)
  checkManyOptions(action, options, channel.ringCount)
  const { peers, ...rest } = options
  const sources = Array.from({ length: channel.ringCount }, (_, index) => ({
    openReader: () => openReader(action, channelOf<T>(channel, index), rest),
    name: `sender ${index}`,
    index,
  }))
  const { capacity, codec } = channel
  let expected: ExpectedPeers | null = null
  const state = new MergedReceiverState<T, T>(home, {
    sources,
    capacity,
    isOfNumbers: codec === 'numbers',
    wrap: (value) => value,
    onClose: () => expected?.stop(),
  })
  // First, so that the sources find what it abandons.
  if (peers !== undefined) expected = new ExpectedPeers(home, placesOf(channel, 'producer'), peers)
  state.open()
  return new SharedReceiver(state, capacity)
}
