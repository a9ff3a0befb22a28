import {
  assert,
  optionNames,
  RuntimeError,
  showAs,
  validateInteger,
  validateOptions,
  wrongType,
} from '../base/index.ts'
import {
  answerReady,
  checkCancellation,
  type Executor,
  executor,
  refuse,
  WaitList,
  type WaitOptions,
} from '../executor/index.ts'
import { type AttachOptions, validatePeer } from './attach-ends.ts'
import { ChannelError } from './channel-error.ts'
import {
  type ChannelCodec,
  type CodecName,
  checkCodecName,
  encodeValue,
  valueCodec,
} from './codec.ts'
import { type EndWords, type LinkParts, PeerLink, type PeerListener } from './peers.ts'
import {
  createOneshotCell,
  type OneshotCell,
  OneshotReceiver,
  OneshotSender,
  WORD_ONESHOT_RECEIVER_CLAIM,
  WORD_ONESHOT_RECEIVER_EXECUTOR,
  WORD_ONESHOT_RECEIVER_INBOX,
  WORD_ONESHOT_SENDER_CLAIM,
  WORD_ONESHOT_SENDER_EXECUTOR,
  WORD_ONESHOT_SENDER_INBOX,
} from './shared/index.ts'
import { SharedWaiter } from './shared-wait.ts'

const VALUE_BYTES_DEFAULT = 1024
const SEND_ACTION = 'send through a oneshot'
const RECEIVE_ACTION = 'receive from a oneshot'

export const ONESHOT_SENDER_WORDS: EndWords = {
  claim: WORD_ONESHOT_SENDER_CLAIM,
  executor: WORD_ONESHOT_SENDER_EXECUTOR,
  inbox: WORD_ONESHOT_SENDER_INBOX,
}
export const ONESHOT_RECEIVER_WORDS: EndWords = {
  claim: WORD_ONESHOT_RECEIVER_CLAIM,
  executor: WORD_ONESHOT_RECEIVER_EXECUTOR,
  inbox: WORD_ONESHOT_RECEIVER_INBOX,
}

export interface SharedOneshotOptions {
  /** What crosses it, and how; `clone` if not given. */
  readonly codec?: CodecName
  /** The longest value, encoded, in bytes, up to 2^30; 1,024 if not given. */
  readonly valueBytes?: number
}

const NAMES = optionNames<SharedOneshotOptions>({ codec: true, valueBytes: true })
const ATTACH_NAMES = optionNames<AttachOptions<unknown>>({ codec: true, peer: true })

/** One value from one thread to one other, once, as plain data that can be posted to both. */
export interface SharedOneshot<T> {
  readonly codec: CodecName
  readonly cell: OneshotCell
  /** Never there: by it the compiler knows what crosses. */
  readonly value?: T
}

/**
 * Creates what takes one value from one thread to one other: an answer, a result.
 *
 * As {@link createSharedChannel}, which see, but for one value.
 *
 * @throws {TypeError | RangeError} for options of the wrong kind.
 *
 * @example
 * ```ts run
 * import {
 *   attachOneshotReceiver,
 *   attachOneshotSender,
 *   createSharedOneshot,
 * } from 'percore/channels'
 *
 * const oneshot = createSharedOneshot<string>()
 * // In a worker that it was posted to:
 * attachOneshotSender(oneshot).send('done')
 * console.log(await attachOneshotReceiver(oneshot).receive())
 * ```
 */
export function createSharedOneshot<T>(options: SharedOneshotOptions = {}): SharedOneshot<T> {
  const action = 'create a oneshot'
  validateOptions(action, options, NAMES)
  const { codec = 'clone', valueBytes = VALUE_BYTES_DEFAULT } = options
  checkCodecName(action, codec)
  validateInteger(action, 'valueBytes', valueBytes, { min: 0, max: 2 ** 30 })
  return { codec, cell: createOneshotCell(codec === 'numbers' ? 8 : valueBytes) }
}

/**
 * Attaches to the sending end, once, on this thread.
 *
 * @throws as {@link attachSender}.
 */
export function attachOneshotSender<T>(
  oneshot: SharedOneshot<T>,
  options: AttachOptions<T> = {},
): SharedOneshotSender<T> {
  const action = 'attach a sender'
  const codec = checkAttach(action, oneshot, options)
  const home = executor()
  home.assertOpen(action)
  const sender = OneshotSender.attach(oneshot.cell, home.doorbell.address)
  return new SharedOneshotSender(home, sender, codec, options.peer)
}

/**
 * Attaches to the receiving end, once, on this thread.
 *
 * @throws as {@link attachReceiver}.
 */
export function attachOneshotReceiver<T>(
  oneshot: SharedOneshot<T>,
  options: AttachOptions<T> = {},
): SharedOneshotReceiver<T> {
  const action = 'attach a receiver'
  const codec = checkAttach(action, oneshot, options)
  const home = executor()
  home.assertOpen(action)
  const receiver = OneshotReceiver.attach(oneshot.cell, home.doorbell.address)
  return new SharedOneshotReceiver(home, receiver, codec, options.peer)
}

/** The end of a oneshot that the value goes into. Made by {@link attachOneshotSender}. */
export class SharedOneshotSender<T> implements Disposable {
  static {
    showAs(SharedOneshotSender, (sender) => {
      return `SharedOneshotSender ${sender.#isDone ? 'done' : 'open'}`
    })
  }

  readonly #sender: OneshotSender
  readonly #codec: ChannelCodec<T>
  readonly #link: PeerLink
  #isDone = false

  /** @internal Use {@link attachOneshotSender}. */
  constructor(
    home: Executor,
    sender: OneshotSender,
    codec: ChannelCodec<T>,
    expectedId: number | undefined,
  ) {
    this.#sender = sender
    this.#codec = codec
    const { words } = sender
    const parts = { words, self: ONESHOT_SENDER_WORDS, peer: ONESHOT_RECEIVER_WORDS, expectedId }
    this.#link = openLink(home, parts, this, sender)
  }

  /**
   * Sends the value, at once: there is always room. O(length).
   *
   * @throws {ChannelError} with the value: `ERR_CHANNEL_CLOSED` if one was sent, or either end is closed;
   * `ERR_PEER_ENDED` if the receiver's thread has ended.
   * @throws {RangeError} if it is longer than the oneshot's, which may be sent something else then; what the codec throws.
   */
  send(value: T): void {
    if (this.#isDone) throw closedError('nothing must have been sent or closed here: it was', value)
    const bytes = encodeValue(SEND_ACTION, this.#codec, value)
    if (this.#link.isPeerEnded) {
      throw new ChannelError(
        'ERR_PEER_ENDED',
        `Cannot ${SEND_ACTION} as the receiver's thread must go on: it has ended`,
        value,
      )
    }
    const isSent = this.#sender.send(bytes)
    this.#finish()
    if (!isSent) throw closedError('the receiver must be open: it was closed', value)
  }

  /** Lets the receiver know that nothing will come; nothing if something was sent. */
  close(): void {
    if (this.#isDone) return
    this.#sender.close()
    this.#finish()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** @internal */
  collect(): void {}

  /** @internal */
  peerEnded(): void {}

  #finish(): void {
    assert(!this.#isDone, 'a oneshot is sent or closed once')
    this.#isDone = true
    this.#link.ring()
    this.#link.detach()
  }
}

/** The end of a oneshot that the value comes out of, once. Made by {@link attachOneshotReceiver}. */
export class SharedOneshotReceiver<T> implements Disposable {
  static {
    showAs(SharedOneshotReceiver, (receiver) => {
      return `SharedOneshotReceiver ${receiver.#isDone ? 'done' : 'open'}`
    })
  }

  readonly #home: Executor
  readonly #receiver: OneshotReceiver
  readonly #codec: ChannelCodec<T>
  readonly #link: PeerLink
  readonly #waiters = new WaitList<OneshotWaiter<T>>(this)
  #isDone = false

  /** @internal Use {@link attachOneshotReceiver}. */
  constructor(
    home: Executor,
    receiver: OneshotReceiver,
    codec: ChannelCodec<T>,
    expectedId: number | undefined,
  ) {
    this.#home = home
    this.#receiver = receiver
    this.#codec = codec
    const { words } = receiver
    const parts = { words, self: ONESHOT_RECEIVER_WORDS, peer: ONESHOT_SENDER_WORDS, expectedId }
    this.#link = openLink(home, parts, this, receiver)
  }

  /**
   * Waits for the value, and takes it: the first who asks gets it.
   *
   * Rejects with `ERR_CHANNEL_CLOSED` if there is none: it was taken, or either end was closed; with `ERR_PEER_ENDED` if
   * the sender's thread has ended without one; with what the codec throws; and as {@link WaitOptions} say. Who waits
   * keeps the program alive.
   */
  receive(options?: WaitOptions): Promise<T> {
    const home = this.#home
    try {
      checkCancellation(home, options, RECEIVE_ACTION)
      if (this.#waiters.length === 0) {
        const bytes = this.#take()
        if (bytes !== undefined) return answerReady(home, this.#codec.decode(bytes))
      }
      const error = this.#endError()
      if (error !== null) throw error
      const waiter = new OneshotWaiter<T>(home)
      waiter.bindListed(home, options, RECEIVE_ACTION)
      this.#waiters.push(waiter)
      return waiter.promise
    } catch (error) {
      return refuse(error)
    }
  }

  /** Takes nothing any more: a send fails and has its value; one that was sent before is dropped. */
  close(): void {
    if (this.#isDone) return
    this.#receiver.close()
    this.#finish()
    this.#settle()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** @internal */
  waiterLeft(): void {}

  /** @internal */
  collect(): void {
    this.#settle()
  }

  /** @internal */
  peerEnded(): void {
    this.#settle()
  }

  #settle(): void {
    const first = this.#waiters.first
    if (first !== null) {
      const bytes = this.#take()
      if (bytes !== undefined) {
        this.#waiters.shift()
        try {
          first.fulfil(this.#codec.decode(bytes))
        } catch (error) {
          first.fail(error)
        }
      }
    }
    const error = this.#endError()
    if (error !== null) this.#waiters.fail(error)
  }

  #take(): Uint8Array | undefined {
    const bytes = this.#receiver.tryTake()
    if (bytes !== undefined) this.#finish()
    return bytes
  }

  #finish(): void {
    this.#isDone = true
    this.#link.detach()
  }

  #endError(): RuntimeError | null {
    if (this.#isDone || this.#receiver.isEnded) {
      const why = 'there must be a value: it was taken, or an end was closed'
      return new RuntimeError('ERR_CHANNEL_CLOSED', `Cannot ${RECEIVE_ACTION} as ${why}`)
    }
    if (!this.#link.isPeerEnded) return null
    const why = "the sender's thread must go on until it has sent: it has ended"
    return new RuntimeError('ERR_PEER_ENDED', `Cannot ${RECEIVE_ACTION} as ${why}`)
  }
}

/** Opens the link of an end that was attached to; where it is refused what it needs the end is left to others. */
function openLink(
  home: Executor,
  parts: LinkParts,
  listener: PeerListener,
  end: { unclaim(): void },
): PeerLink {
  try {
    const link = new PeerLink(home, parts, listener)
    link.open()
    return link
  } catch (error) {
    end.unclaim()
    throw error
  }
}

class OneshotWaiter<T> extends SharedWaiter<T> {}

function closedError<T>(why: string, value: T): ChannelError<T> {
  return new ChannelError('ERR_CHANNEL_CLOSED', `Cannot ${SEND_ACTION} as ${why}`, value)
}

function checkAttach<T>(
  action: string,
  oneshot: SharedOneshot<T>,
  options: AttachOptions<T>,
): ChannelCodec<T> {
  validateOptions(action, options, ATTACH_NAMES)
  validatePeer(action, 'peer', options.peer)
  if (!((oneshot as SharedOneshot<T> | null)?.cell?.memory instanceof SharedArrayBuffer)) {
    throw wrongType(action, 'oneshot', 'a SharedOneshot', oneshot)
  }
  const custom = options.codec as ChannelCodec<unknown> | undefined
  return valueCodec(action, oneshot.codec, custom) as ChannelCodec<T>
}
