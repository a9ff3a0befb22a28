import { optionNames, validateInteger, validateOptions, wrongType } from '../base/index.ts'
import { type Executor, executor } from '../executor/index.ts'
import { type ChannelCodec, CODEC_NAMES, frameCodec, refuseCodec } from './codec.ts'
import { SingleReceiverState } from './receiver-state.ts'
import {
  SpscFrameConsumer,
  SpscFrameProducer,
  SpscNumberConsumer,
  SpscNumberProducer,
} from './shared/index.ts'
import type { SharedChannel } from './shared-channel.ts'
import { SharedReceiver } from './shared-receiver.ts'
import { SharedSender } from './shared-sender.ts'
import { SharedSenderState } from './shared-sender-state.ts'
import { FrameReader, NumberReader, type ValueReader } from './value-reader.ts'
import { FrameWriter, NumberWriter, type ValueWriter } from './value-writer.ts'

export interface CodecOptions<T> {
  /** The codec of a channel whose codec is `custom`; both ends are to have equal ones. */
  readonly codec?: ChannelCodec<T>
}

export interface AttachOptions<T> extends CodecOptions<T> {
  /**
   * The executor that is to attach to the other end, by its number (`executorId` of a shard). Should its thread end before it
   * has, this end fails with `ERR_PEER_ENDED`, as it does where it ends later. If not given, whoever attaches is waited for.
   */
  readonly peer?: number
}

/** How to attach to ends of several others at once. */
export interface AttachManyOptions<T> extends CodecOptions<T> {
  /**
   * The executors that are to attach to the other ends, by their numbers (`executorId` of shards). One whose thread ends before it
   * has attached counts as one that has ended later, with `ERR_PEER_ENDED`. If not given, whoever attaches is waited for.
   */
  readonly peers?: readonly number[]
}

const NAMES = optionNames<AttachOptions<unknown>>({ codec: true, peer: true })
const MANY_NAMES = optionNames<AttachManyOptions<unknown>>({ codec: true, peers: true })

/**
 * Attaches to the sending end of a channel, once, on this thread.
 *
 * The end belongs to the thread's executor. Waits for nobody: what is sent before there is a receiver stays in the channel.
 * A thread that ends before it attaches is missed only where it is known which that was to be: by `peer`, or by whoever
 * knows of its end ({@link abandonReceiver}).
 *
 * @throws {TypeError} for what is no {@link SharedChannel}, and options of the wrong kind.
 * @throws {RuntimeError} `ERR_STILL_HELD` if the channel has, or had, a sender; `ERR_CHANNEL_CLOSED` if that end was abandoned;
 * `ERR_LIMIT_EXCEEDED` where the executor has 4,095 ends; else as {@link executor}.
 */
export function attachSender<T>(
  channel: SharedChannel<T>,
  options: AttachOptions<T> = {},
): SharedSender<T> {
  executor().assertOpen('attach a sender')
  const { sender, state } = prepareSender('attach a sender', channel, options)
  state.open()
  return sender
}

/** A sender, and the state behind it, which is to be opened, or cancelled. */
export interface PreparedSender<T> {
  readonly sender: SharedSender<T>
  readonly state: SharedSenderState<T>
}

/** What to attach to, and how. */
export interface SenderPlace<T> {
  readonly channel: SharedChannel<T>
  readonly options: AttachOptions<T>
}

/** Takes the sending end of several channels, or of none. @throws as {@link attachSender}. */
export function prepareSenders<T>(
  action: string,
  places: Iterable<SenderPlace<T>>,
): PreparedSender<T>[] {
  const prepared: PreparedSender<T>[] = []
  try {
    for (const { channel, options } of places)
      prepared.push(prepareSender(action, channel, options))
    return prepared
  } catch (error) {
    // The first at last: whoever finds it free finds all of them so.
    for (const { state } of prepared.reverse()) state.cancel()
    throw error
  }
}

/** Takes the sending end of a channel, of which nobody hears yet. @throws as {@link attachSender}. */
export function prepareSender<T>(
  action: string,
  channel: SharedChannel<T>,
  options: AttachOptions<T>,
): PreparedSender<T> {
  const codec = checkAttach(action, channel, options)
  const home = executor()
  const writer = openWriter(channel, codec, home.doorbell.address)
  const state = takeSenderState(home, writer, options.peer)
  const openLeft = () => leftReader(channel, codec)
  return { state, sender: new SharedSender(state, channel.capacity, openLeft) }
}

/** The writing end of a channel, for the thread of that number. @throws as {@link attachSender}. */
export function openWriter<T>(
  { ring, capacity }: SharedChannel<T>,
  codec: ChannelCodec<T> | null,
  ownerId: number,
): ValueWriter<T, unknown> {
  if (codec !== null) {
    const producer = SpscFrameProducer.attach(ring, ownerId)
    return new FrameWriter<T>(producer, codec, ring.capacity / capacity) as ValueWriter<T, unknown>
  }
  // Of numbers T is a number, which only whoever has made the channel can tell the compiler.
  const producer = SpscNumberProducer.attach(ring, ownerId)
  return new NumberWriter(producer) as unknown as ValueWriter<T, unknown>
}

/** Reads what a receiver has left that uses the channel no more. */
export function leftReader<T>(
  { ring }: SharedChannel<T>,
  codec: ChannelCodec<T> | null,
): ValueReader<T> {
  if (codec !== null) return new FrameReader<T>(SpscFrameConsumer.follow(ring), codec)
  return new NumberReader(SpscNumberConsumer.follow(ring)) as unknown as ValueReader<T>
}

/**
 * Attaches to the receiving end of a channel, once, on this thread. As {@link attachSender} does.
 *
 * @throws as {@link attachSender}, `ERR_STILL_HELD` if the channel has, or had, a receiver.
 */
export function attachReceiver<T>(
  channel: SharedChannel<T>,
  options: AttachOptions<T> = {},
): SharedReceiver<T> {
  const action = 'attach a receiver'
  const home = executor()
  home.assertOpen(action)
  const open = () => openReader(action, channel, options)
  const state = new SingleReceiverState(home, open, options.peer)
  return new SharedReceiver(state, channel.capacity)
}

/** The reading end of a channel. @throws as {@link attachReceiver}. */
export function openReader<T>(
  action: string,
  channel: SharedChannel<T>,
  options: AttachOptions<T>,
): ValueReader<T> {
  const codec = checkAttach(action, channel, options)
  const ownerId = executor().doorbell.address
  return codec === null
    ? (new NumberReader(
        SpscNumberConsumer.attach(channel.ring, ownerId),
      ) as unknown as ValueReader<T>)
    : new FrameReader<T>(SpscFrameConsumer.attach(channel.ring, ownerId), codec)
}

/** The state of an end that was attached to; one that is refused what it needs leaves the end to others. */
function takeSenderState<T>(
  home: Executor,
  writer: ValueWriter<T, unknown>,
  expectedId: number | undefined,
): SharedSenderState<T> {
  try {
    return new SharedSenderState<T>(home, writer, expectedId)
  } catch (error) {
    writer.producer.unclaim()
    throw error
  }
}

/** The codec of its frames; null for numbers. @throws {TypeError} for what is no channel, or for wrong options. */
export function checkAttach<T>(
  action: string,
  channel: SharedChannel<T>,
  options: AttachOptions<T>,
): ChannelCodec<T> | null {
  validateOptions(action, options, NAMES)
  validatePeer(action, 'peer', options.peer)
  const found: unknown = channel
  const isChannel =
    typeof found === 'object' &&
    found !== null &&
    CODEC_NAMES.includes((found as SharedChannel<T>).codec) &&
    (found as SharedChannel<T>).ring?.memory instanceof SharedArrayBuffer
  if (!isChannel) throw wrongType(action, 'channel', 'a SharedChannel', found)
  const name = channel.codec
  if (name !== 'numbers') {
    return frameCodec(action, name, options.codec as ChannelCodec<unknown>) as ChannelCodec<T>
  }
  refuseCodec(action, name, options.codec)
  return null
}

/** @throws {TypeError | RangeError} unless the number of an executor, or undefined. */
export function validatePeer(action: string, name: string, id: unknown): void {
  if (id !== undefined) validateInteger(action, name, id, { min: 0, max: 2 ** 31 - 1 })
}

/** @throws {TypeError | RangeError} for options of the wrong kind, and peers that are not as many as there are places. */
export function checkManyOptions(action: string, options: unknown, count: number): void {
  validateOptions(action, options, MANY_NAMES)
  const { peers } = options as AttachManyOptions<unknown>
  if (peers === undefined) return
  if (!Array.isArray(peers)) throw wrongType(action, 'peers', 'an array', peers)
  if (peers.length !== count) {
    throw new RangeError(
      `Cannot ${action} as peers must be as many as there are places, ${count}: there are ${peers.length}`,
    )
  }
  for (const id of peers) validatePeer(action, 'peers', id)
}
