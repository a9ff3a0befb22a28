import { assert, NO_QUEUE, type RuntimeError } from '../../base/index.ts'
import { IORING_CQE_F_MORE, IORING_CQE_F_NOTIF, MSG_NOSIGNAL, POLLOUT } from '../../kernel/index.ts'
import type { Lease } from '../../memory/index.ts'
import {
  encodePoll,
  encodeSend,
  encodeSendMessage,
  encodeSendZeroCopy,
  type MessageArgs,
  Operation,
  type SendArgs,
  type SqeWords,
  type Target,
} from '../../ring/index.ts'
import type { MessageHeader } from '../memory/message-header.ts'
import type { SendBuffer } from '../memory/send-memory.ts'
import type { PendingWrite } from './pending-write.ts'

/** What an operation of a sending side does. */
export type SendKind = 0 | 1 | 2 | 3 | 4
/** Sends from one piece of memory; */
export const KIND_ONE = 0
/** from several; */
export const KIND_VECTOR = 1
/** from one, without the kernel's copy: two completions. */
export const KIND_ZERO_COPY = 2
/** Waits until the peer takes more, and sends nothing. */
export const KIND_POLL = 3
/** Sends from one piece of memory, and descriptors with it: its vector is of its write. */
export const KIND_RIGHTS = 4

/** The sending side that an operation is of. */
export interface SendSide {
  /** Told of its result: the kernel has taken so much, or `-errno`; `isLast` unless its memory stays the kernel's. */
  completeSend(send: SendOperation, result: number, isLast: boolean): void
  /** Told by one whose result was not its last completion that its memory is free. */
  freeSend(send: SendOperation): void
  /** Whether somebody waits for it whom the close of the executor gives time for. */
  isAwaiting(send: SendOperation): boolean
  executorCloses(reason: unknown): void
  executorLeft(reason: RuntimeError): void
}

/**
 * One send, or one wait for the peer, from its staging to its last completion: borrowed from those that are idle.
 *
 * Memory that it sends from is its own until then, whatever becomes of the writes and of the socket: a copy in
 * {@link bounce}, or what {@link hold} keeps. A send without the kernel's copy has a result and, with
 * IORING_CQE_F_NOTIF, another completion, once the peer has acknowledged: only that is the last, and a failure may
 * have it as well.
 */
export class SendOperation extends Operation implements SendArgs, MessageArgs {
  kind: SendKind = KIND_ONE
  target: Target = NO_TARGET
  address = 0
  lengthBytes = 0
  messageFlags: number = MSG_NOSIGNAL
  /** The order of the last write that it takes from. */
  lastOrder = 0
  /** What was copied for it, or null. */
  bounce: SendBuffer | null = null
  /** The pieces that it sends, or null if it is one. */
  vector: MessageHeader | null = null
  /** The write whose memory it keeps beyond its result, or null. */
  write: PendingWrite | null = null
  #lease: Lease | null = null
  #side: SendSide | null = null

  constructor() {
    super(NO_QUEUE)
  }

  /** Address of the `struct msghdr`, for the encoder. */
  get header(): number {
    return this.vector!.address
  }

  /** Gives it to a side, with nothing to send yet. */
  begin(side: SendSide, target: Target, kind: SendKind): this {
    assert(this.#side === null, "an idle operation is nobody else's")
    this.#side = side
    this.target = target
    this.kind = kind
    this.address = 0
    this.lengthBytes = 0
    this.lastOrder = 0
    return this
  }

  /** Keeps memory of a write until the last completion. */
  hold(write: PendingWrite, lease: Lease): void {
    assert(this.#lease === null, 'an operation sends one write without a copy')
    lease.pin()
    this.#lease = lease
    this.write = write
  }

  /** Writes its entry. */
  encode(sqes: SqeWords, base: number, messageFlags: number): void {
    this.messageFlags = messageFlags
    if (this.kind === KIND_ONE) encodeSend(sqes, base, this)
    else if (this.vector !== null) encodeSendMessage(sqes, base, this)
    else if (this.kind === KIND_ZERO_COPY) encodeSendZeroCopy(sqes, base, this)
    else encodePoll(sqes, base, { target: this.target, events: POLLOUT, multishot: false })
  }

  /** Takes off what the kernel has taken; the rest may be sent again. */
  skip(lengthBytes: number): void {
    assert(lengthBytes <= this.lengthBytes, 'the kernel takes no more than it was given')
    this.address += lengthBytes
    this.lengthBytes -= lengthBytes
    this.vector?.skip(lengthBytes)
  }

  /** Lets go of what it still holds, and is idle. It has no completion to come. */
  end(): void {
    const { write } = this
    this.#side = null
    this.target = NO_TARGET
    this.write = null
    this.#lease?.unpin()
    this.#lease = null
    assert(this.bounce === null && this.vector === null, 'what was borrowed is given back first')
    if (idleSends.length < IDLE_SENDS_MAX) idleSends.push(this)
    if (write !== null) write.letGoOf()
  }

  override complete(result: number, flags: number): void {
    const side = this.#side!
    if ((flags & IORING_CQE_F_NOTIF) !== 0) side.freeSend(this)
    else side.completeSend(this, result, (flags & IORING_CQE_F_MORE) === 0)
  }

  override run(): void {}

  override get isAwaited(): boolean {
    return this.#side?.isAwaiting(this) === true
  }

  override executorCloses(reason: RuntimeError): void {
    this.#side?.executorCloses(reason)
  }

  override executorLeft(reason: RuntimeError): void {
    this.#side?.executorLeft(reason)
  }
}

/** An operation that nobody has: one that has ended, or a new one. */
export function takeIdleSend(): SendOperation {
  return idleSends.pop() ?? new SendOperation()
}

const NO_TARGET: Target = { fd: -1, registered: false }
/** For the next sends of any stream of this thread, as most streams are idle most of the time. */
const idleSends: SendOperation[] = []
const IDLE_SENDS_MAX = 1024
