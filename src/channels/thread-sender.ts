import {
  isAbortSignal,
  optionNames,
  RuntimeError,
  showAs,
  validateDurationMs,
  validateOptions,
  wrongType,
} from '../base/index.ts'
import type { WaitOptions } from '../executor/index.ts'
import { currentKernel, ENOSPC } from '../kernel/index.ts'
import { type AttachOptions, checkAttach, leftReader, openWriter } from './attach-ends.ts'
import { BatchProgress } from './batch-progress.ts'
import { ChannelError } from './channel-error.ts'
import type { MpscChannel } from './mpsc-channel.ts'
import { channelOf, type RingTable, takePlace } from './ring-table.ts'
import type { SharedChannel } from './shared-channel.ts'
import { assertBatch, SEND_ACTION } from './shared-sender-state.ts'
import { takeLeft } from './take-back.ts'
import { ThreadSend, ThreadSenderState } from './thread-sender-state.ts'
import type { ValueReader } from './value-reader.ts'

const ATTACH_ACTION = 'attach a sender of a thread'
const NAMES = optionNames<WaitOptions>({ signal: true, timeoutMs: true })

/**
 * Attaches to the sending end of a channel on a thread that has no executor, and gets none: a `Worker`, or the main thread,
 * of which only the other end is on an executor. Needs no io_uring on this thread.
 *
 * Of a channel of many senders it takes the place of one. For each thread that does so a place of the process's 1,023 executors is
 * taken, until it ends, so that receivers learn of that. Where there is an executor {@link attachSender} costs less.
 *
 * @throws {TypeError | RangeError} for what is no channel, and options of the wrong kind.
 * @throws {RuntimeError} `ERR_STILL_HELD`, `ERR_CHANNEL_CLOSED` as {@link attachSender}; `ERR_LIMIT_EXCEEDED` where all places of the
 * channel, or of the process, are taken; `ERR_ADDON_MISSING`; `ERR_UNSUPPORTED` in simulation, where all threads have executors.
 *
 * @example From Node's main thread to a shard
 * ```ts fragment
 * const channel = createSharedChannel<string>({ capacity: 64 })
 * const pool = await ExecutorPool.start({ module, argument: channel, shards: 1 })
 * using sender = attachThreadSender(channel)
 * await sender.send('work')
 * ```
 */
export function attachThreadSender<T>(
  channel: SharedChannel<T> | MpscChannel<T>,
  options: AttachOptions<T> = {},
): ThreadSender<T> {
  const { directory } = currentKernel()
  const table = channel as Partial<RingTable> | null
  const isTable = table?.kind === 'mpsc'
  const first = isTable ? channelOf<T>(channel as RingTable, 0) : (channel as SharedChannel<T>)
  const codec = checkAttach(ATTACH_ACTION, first, options)
  const id = directory.join()
  if (id <= 0) throw refusedThread(id)
  const attach = (place: SharedChannel<T>): ThreadSender<T> => {
    const writer = openWriter(place, codec, id)
    const state = new ThreadSenderState<T>({ directory, id, writer, expectedId: options.peer })
    return new ThreadSender(state, place, () => leftReader(place, codec))
  }
  return isTable
    ? takePlace(ATTACH_ACTION, channel as RingTable, 'producer', attach)
    : attach(first)
}

/**
 * The end of a shared channel that values go into, on a thread without an executor. Made by {@link attachThreadSender}.
 *
 * As {@link SharedSender}, but that it waits by `Atomics.waitAsync()` (and, where that is not there, by a timer), and wakes the
 * receiver's thread by a system call. What is sent is seen at the end of the current microtasks. Close it: a thread that ends
 * without leaves the receiver with `ERR_PEER_ENDED`. That the receiver's thread has ended is noticed within 100 ms, or as more is sent.
 */
export class ThreadSender<T> implements Disposable {
  static {
    showAs(ThreadSender, (sender) => {
      return `ThreadSender ${sender.length} of ${sender.capacity}, ${sender.isClosed ? 'closed' : 'open'}`
    })
  }

  /** How many values there is room for. */
  readonly capacity: number
  readonly #state: ThreadSenderState<T>
  readonly #openLeft: () => ValueReader<T>

  /** @internal Use {@link attachThreadSender}. */
  constructor(
    state: ThreadSenderState<T>,
    channel: SharedChannel<T>,
    openLeft: () => ValueReader<T>,
  ) {
    this.#state = state
    this.capacity = channel.capacity
    this.#openLeft = openLeft
  }

  /** About how many values wait for the receiver, those that take more room than others counted as several. */
  get length(): number {
    const { producer } = this.#state.writer
    const unitCells = producer.capacity / this.capacity
    return Math.ceil((producer.capacity - producer.countFree()) / unitCells)
  }

  /** Whether there is no room for a value of the channel's `valueBytes`, or others wait for room; see {@link SharedSender.isFull}. O(1). */
  get isFull(): boolean {
    return this.#state.hasWaiters || this.#state.writer.isFull
  }

  /** Whether nothing more can be sent: either end is closed, or the receiver's thread has ended. */
  get isClosed(): boolean {
    return this.#state.refusal !== null
  }

  /**
   * Waits for room, first come, first served, and puts `value` in. Who waits keeps the thread alive.
   *
   * Rejects with a {@link ChannelError} that has the value: `ERR_CHANNEL_CLOSED`, `ERR_PEER_ENDED`; with what the codec
   * throws; with the reason of its signal, and `ERR_TASK_TIMEOUT`: the value is then not sent. `bytes` may be used again
   * at once. O(1).
   */
  async send(value: T, options: WaitOptions = {}): Promise<void> {
    checkWait(options)
    const state = this.#state
    state.assertSendable(value)
    const packed = state.writer.pack(value)
    options.signal?.throwIfAborted()
    if (state.tryStage(packed)) return
    const progress = new BatchProgress(state.writer, [value], [packed], 0)
    await state.wait(new ThreadSend(progress, false), options)
  }

  /**
   * Puts `value` in if there is room. O(1).
   *
   * @throws {ChannelError} as {@link SharedSender.trySend}.
   */
  trySend(value: T): void {
    const state = this.#state
    state.assertSendable(value)
    const packed = state.writer.pack(value)
    if (state.tryStage(packed)) return
    const why = state.writer.isWhole(packed)
      ? 'it must have room: it has too little'
      : 'the value must be at most half as long as its memory: await send() instead'
    throw new ChannelError('ERR_CHANNEL_FULL', `Cannot ${SEND_ACTION} as ${why}`, value)
  }

  /**
   * Sends many, in their order and with nothing in between; resolves when all are in. The array, and `bytes` in it,
   * may be used again at once.
   *
   * Rejects as {@link SharedSender.sendBatch}: the error has those that were not sent. O(values).
   */
  async sendBatch(values: ArrayLike<T>, options: WaitOptions = {}): Promise<void> {
    checkWait(options)
    assertBatch(values)
    const state = this.#state
    state.assertSendable(values as never)
    const packed = state.writer.packBatch(values)
    options.signal?.throwIfAborted()
    const sentCount = state.tryStageBatch(packed)
    if (sentCount === packed.length) return
    const progress = new BatchProgress(state.writer, values, packed, sentCount)
    await state.wait(new ThreadSend(progress, true), options)
  }

  /** Shows the receiver what was sent so far, now rather than at the end of the microtasks: before a long computation. */
  flush(): void {
    this.#state.flush()
  }

  /** Ends the channel after what has been sent, sends that wait for room included. Again is nothing. */
  close(): void {
    this.#state.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** Takes back what was sent and not received: as {@link SharedSender.takeBack}. */
  takeBack(): T[] {
    const state = this.#state
    if (!state.lookForPeer() && !state.writer.producer.isConsumerClosed) return []
    state.flush()
    return takeLeft(this.#openLeft())
  }
}

function checkWait(options: WaitOptions): void {
  validateOptions(SEND_ACTION, options, NAMES)
  const { signal, timeoutMs } = options
  if (signal !== undefined && !isAbortSignal(signal)) {
    throw wrongType(SEND_ACTION, 'signal', 'an AbortSignal', signal)
  }
  if (timeoutMs !== undefined) validateDurationMs(SEND_ACTION, 'timeoutMs', timeoutMs)
}

function refusedThread(result: number): RuntimeError {
  if (result === -ENOSPC) {
    const why = 'a process must have at most 1,023 executors and such threads: it has'
    return new RuntimeError('ERR_LIMIT_EXCEEDED', `Cannot ${ATTACH_ACTION} as ${why}`)
  }
  const why = 'the thread must be a real one: in simulation all have executors, for attachSender()'
  return new RuntimeError('ERR_UNSUPPORTED', `Cannot ${ATTACH_ACTION} as ${why}`)
}
