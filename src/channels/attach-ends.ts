import { optionNames, validateOptions, wrongType } from '../base/index.ts'
import { executor } from '../executor/index.ts'
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

export interface AttachOptions<T> {
  /** The codec of a channel whose codec is `custom`; both ends are to have equal ones. */
  readonly codec?: ChannelCodec<T>
}

const NAMES = optionNames<AttachOptions<unknown>>({ codec: true })

/**
 * Attaches to the sending end of a channel, once, on this thread.
 *
 * The end belongs to the thread's executor. Waits for nobody: what is sent before there is a receiver stays in the channel.
 *
 * @throws {TypeError} for what is no {@link SharedChannel}, and options of the wrong kind.
 * @throws {RuntimeError} `ERR_STILL_HELD` if the channel has, or had, a sender; `ERR_LIMIT_EXCEEDED` where the executor
 * has 4,095 ends; else as {@link executor}.
 */
export function attachSender<T>(
  channel: SharedChannel<T>,
  options: AttachOptions<T> = {},
): SharedSender<T> {
  executor().assertOpen('attach a sender')
  return attachSenderState('attach a sender', channel, options).sender
}

/** A sender, and the state behind it. @throws as {@link attachSender}. */
export function attachSenderState<T>(
  action: string,
  channel: SharedChannel<T>,
  options: AttachOptions<T>,
): { readonly sender: SharedSender<T>; readonly state: SharedSenderState<T> } {
  const codec = checkAttach(action, channel, options)
  const { ring, capacity } = channel
  // Of numbers T is a number, which only whoever has made the channel can tell the compiler.
  const writer =
    codec === null
      ? (new NumberWriter(SpscNumberProducer.attach(ring)) as unknown as ValueWriter<T, unknown>)
      : (new FrameWriter<T>(SpscFrameProducer.attach(ring), codec) as ValueWriter<T, unknown>)
  const openLeft = () =>
    codec === null
      ? (new NumberReader(SpscNumberConsumer.follow(ring)) as unknown as ValueReader<T>)
      : new FrameReader<T>(SpscFrameConsumer.follow(ring), codec)
  const state = new SharedSenderState<T>(executor(), writer)
  return { state, sender: new SharedSender(state, capacity, openLeft) }
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
  const reader = openReader(action, channel, options)
  return new SharedReceiver(new SingleReceiverState(home, reader), channel.capacity)
}

/** The reading end of a channel. @throws as {@link attachReceiver}. */
export function openReader<T>(
  action: string,
  channel: SharedChannel<T>,
  options: AttachOptions<T>,
): ValueReader<T> {
  const codec = checkAttach(action, channel, options)
  return codec === null
    ? (new NumberReader(SpscNumberConsumer.attach(channel.ring)) as unknown as ValueReader<T>)
    : new FrameReader<T>(SpscFrameConsumer.attach(channel.ring), codec)
}

/** The codec of its frames; null for numbers. @throws {TypeError} for what is no channel, or for wrong options. */
export function checkAttach<T>(
  action: string,
  channel: SharedChannel<T>,
  options: AttachOptions<T>,
): ChannelCodec<T> | null {
  validateOptions(action, options, NAMES)
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
