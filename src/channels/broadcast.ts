import { showAs } from '../base/index.ts'
import {
  answerDone,
  checkCancellation,
  executor,
  refuse,
  type WaitOptions,
} from '../executor/index.ts'
import {
  type AttachManyOptions,
  type AttachOptions,
  attachReceiver,
  checkAttach,
  checkManyOptions,
  prepareSenders,
} from './attach-ends.ts'
import { ChannelError } from './channel-error.ts'
import { ExpectedPeers } from './expected-peers.ts'
import {
  assertTable,
  channelOf,
  createCountedTable,
  placesOf,
  type RingTable,
  takePlace,
} from './ring-table.ts'
import type { SharedChannel, SharedChannelOptions } from './shared-channel.ts'
import type { SharedReceiver } from './shared-receiver.ts'
import { SEND_ACTION, type SharedSenderState, ValueSendWaiter } from './shared-sender-state.ts'

export interface BroadcastOptions extends SharedChannelOptions {
  /** How many receivers attach, 1 … 1,024; each has room of its own. */
  readonly receivers: number
}

/** A channel from one thread to many, as plain data that can be posted. */
export interface BroadcastChannel<T> extends RingTable {
  readonly kind: 'broadcast'
  /** Never there: by it the compiler knows what crosses. */
  readonly value?: T
}

/**
 * Creates a channel from one thread to several, each of which receives all that is sent, in order.
 *
 * A ring for each receiver, with room for `capacity` values. The sender waits for the slowest: as many receivers are to
 * attach as were asked for, since it may fill the room of one that never does. One that closes, or whose thread ends, is waited
 * for no more. Otherwise as {@link createSharedChannel}.
 *
 * @throws {TypeError | RangeError} for options of the wrong kind, or more memory than 4 GiB.
 *
 * @example
 * ```ts run
 * import { attachBroadcastReceiver, attachBroadcastSender, createBroadcast } from 'percore/channels'
 *
 * const channel = createBroadcast<string>({ receivers: 2, capacity: 16 })
 * // Each in a worker that it was posted to:
 * const receivers = [attachBroadcastReceiver(channel), attachBroadcastReceiver(channel)]
 * using sender = attachBroadcastSender(channel)
 * await sender.send('to all')
 * for (const receiver of receivers) console.log(await receiver.receive())
 * ```
 */
export function createBroadcast(
  options: BroadcastOptions & { readonly codec: 'numbers' },
): BroadcastChannel<number>
export function createBroadcast(
  options: BroadcastOptions & { readonly codec: 'bytes' },
): BroadcastChannel<Uint8Array>
export function createBroadcast<T>(options: BroadcastOptions): BroadcastChannel<T>
export function createBroadcast(options: BroadcastOptions): BroadcastChannel<unknown> {
  const action = 'create a broadcast'
  return { ...createCountedTable(action, 'broadcast', 'receivers', options), kind: 'broadcast' }
}

/**
 * Attaches as the next of the receivers, on this thread; it receives all that was sent, before, too.
 *
 * @throws {RuntimeError} `ERR_LIMIT_EXCEEDED` where as many have attached as the channel is for; else as
 * {@link attachReceiver}.
 */
export function attachBroadcastReceiver<T>(
  channel: BroadcastChannel<T>,
  options: AttachOptions<T> = {},
): SharedReceiver<T> {
  const action = 'attach a receiver'
  assertTable(action, 'broadcast', channel)
  checkAttach(action, channelOf<T>(channel, 0), options)
  return takePlace(action, channel, 'consumer', (place: SharedChannel<T>) => {
    return attachReceiver(place, options)
  })
}

/**
 * Attaches as the sender, once, on this thread.
 *
 * It waits for no receiver whose thread has ended; by `peers` also where that was before it has attached.
 *
 * @throws as {@link attachSender}.
 */
export function attachBroadcastSender<T>(
  channel: BroadcastChannel<T>,
  options: AttachManyOptions<T> = {},
): BroadcastSender<T> {
  const action = 'attach a sender'
  assertTable(action, 'broadcast', channel)
  const home = executor()
  home.assertOpen(action)
  checkManyOptions(action, options, channel.ringCount)
  const { peers, ...rest } = options
  const places = Array.from({ length: channel.ringCount }, (_, index) => {
    return { channel: channelOf<T>(channel, index), options: rest }
  })
  const states = prepareSenders(action, places).map(({ state }) => state)
  // First, so that the states find what it abandons.
  const expected =
    peers === undefined ? null : new ExpectedPeers(home, placesOf(channel, 'consumer'), peers)
  for (const state of states) state.open()
  return new BroadcastSender(states, expected)
}

/** The end of a broadcast that values go into. Made by {@link attachBroadcastSender}. */
export class BroadcastSender<T> implements Disposable {
  static {
    showAs(BroadcastSender, (sender) => {
      const openCount = sender.#states.filter(({ refusal }) => refusal === null).length
      return `BroadcastSender to ${openCount} of ${sender.#states.length}`
    })
  }

  readonly #states: readonly SharedSenderState<T>[]
  readonly #expected: ExpectedPeers | null

  /** @internal Use {@link attachBroadcastSender}. */
  constructor(states: readonly SharedSenderState<T>[], expected: ExpectedPeers | null) {
    this.#states = states
    this.#expected = expected
  }

  /** Whether nothing more can be sent: this end is closed, or all receivers are, or have ended. */
  get isClosed(): boolean {
    return this.#states.every(({ refusal }) => refusal !== null)
  }

  /**
   * Sends to each receiver that is open, encoded once; resolves when all of them have it, or have closed.
   *
   * Rejects with a {@link ChannelError} of code `ERR_CHANNEL_CLOSED`, which has the value, where {@link isClosed}; with what
   * the codec throws; and as {@link WaitOptions} say: those receivers that had room then have the value. O(receivers).
   */
  send(value: T, options?: WaitOptions): Promise<void> {
    const open = this.#states.filter(({ refusal }) => refusal === null)
    try {
      const first = open[0]
      if (first === undefined) throw closedError(value)
      const { home } = first
      const packed = first.writer.pack(value)
      checkCancellation(home, options, SEND_ACTION)
      const waits: Promise<void>[] = []
      let kept: unknown
      for (const state of open) {
        if (state.tryStage(packed)) continue
        kept ??= state.writer.keep(packed)
        const wait = state.wait(new ValueSendWaiter(home, value, kept), options)
        // Of a receiver that closes meanwhile nobody wants to know.
        waits.push(wait.catch(ignoreClosed))
      }
      return waits.length === 0 ? answerDone(home) : Promise.all(waits).then(ignore)
    } catch (error) {
      return refuse(error)
    }
  }

  /** Ends the channel for all receivers, after what has been sent. Again is nothing. */
  close(): void {
    for (const state of this.#states) state.close()
    this.#expected?.stop()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

function ignoreClosed(error: unknown): void {
  if (!(error instanceof ChannelError)) throw error
}

function ignore(): void {}

function closedError<T>(value: T): ChannelError<T> {
  const why = 'it and a receiver must be open: it was closed, or all of them have'
  return new ChannelError('ERR_CHANNEL_CLOSED', `Cannot ${SEND_ACTION} as ${why}`, value)
}
