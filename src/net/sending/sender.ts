import { assert, KernelError, type RuntimeError } from '../../base/index.ts'
import {
  answerDone,
  madeInTurn,
  refuse,
  type WaitOptions,
  type Waits,
} from '../../executor/index.ts'
import { EINTR, kernelError, MSG_DONTWAIT, MSG_NOSIGNAL } from '../../kernel/index.ts'
import type { Lease } from '../../memory/index.ts'
import { type SendBuffer, type SendMemoryUser, SendMemoryWait } from '../memory/send-memory.ts'
import {
  COPIED_BYTES_MAX,
  copiedBytesOf,
  gatheredCopyBytes,
  isCopiedFirst,
  planSend,
  SEND_COPY,
  SEND_GATHERED,
  SEND_ZERO_COPY,
} from '../memory/send-plan.ts'
import type { SentRights } from '../memory/sent-rights.ts'
import type { SocketPort } from '../memory/socket-port.ts'
import { isBreak, isFailure, isGone } from './break.ts'
import { Drains } from './drains.ts'
import {
  dataGone,
  type PendingWrite,
  takeIdleWrite,
  type WriteOwner,
  writeCut,
} from './pending-write.ts'
import {
  KIND_ONE,
  KIND_POLL,
  KIND_RIGHTS,
  KIND_VECTOR,
  KIND_ZERO_COPY,
  type SendKind,
  type SendOperation,
  type SendSide,
  takeIdleSend,
} from './send-operation.ts'
import { SendQueue } from './send-queue.ts'
import { stageCopies, stageGathered, stageInPlace } from './send-staging.ts'
import { UnfreedSends } from './unfreed-sends.ts'

/**
 * The sending side of a stream: a queue of writes, of which one operation at a time takes what {@link planSend} says.
 *
 * Data that lies in I/O memory is sent from where it is; other data is copied there as it is its
 * turn, small writes that wait together. Where there is no memory for that it stands in line for some; see
 * {@link SendMemory}.
 *
 * The result of an operation lets the next one begin, since what was sent is in order then; its memory is free with its
 * last completion. So a write that is sent without the kernel's copy ends with that, and others go on meanwhile.
 *
 * However many writes wait: to begin one is O(1), to withdraw one that is not with the kernel as well.
 * A completion costs O(1) for each write that it ends and each that the next send takes, of which there are
 * at most 1,024; a short send is gone on with as it is. So n writes cost n times one.
 */
export class Sender implements WriteOwner, SendMemoryUser, SendSide {
  /** Whether a send is in flight, or a wait for the peer. */
  isArmed = false
  /** Bytes that the kernel has taken. */
  sentBytes = 0
  /** With which of the errors of {@link isBreak} it was told that the connection is broken, or 0. */
  brokenBy = 0
  readonly target: SocketPort
  readonly #queue = new SendQueue()
  /** What is in flight or, if nothing is, what a short send has left. */
  #send: SendOperation | null = null
  /** Null before the first. */
  #unfreed: UnfreedSends | null = null
  /** Whether others stand in line for the memory that is sent from: the send does not wait for the peer. */
  #isUrged = false
  /** Its place in the line for memory, or null. */
  #wait: SendMemoryWait | null = null
  #failure: Error | null = null
  #isCancelling = false
  /** The callers of shutdown(), which wait until nothing is left to send. */
  #drains: Drains | null = null

  constructor(socket: SocketPort) {
    this.target = socket
  }

  /** `rights` are its own from now on, and go with the first byte: there is one. */
  write(
    data: Uint8Array | Lease,
    options: WaitOptions | undefined,
    rights: SentRights | null = null,
  ): Promise<void> {
    const { executor } = this.target.net
    const queue = this.#queue
    let write: PendingWrite
    try {
      executor.assertOpen('write')
      if (this.#failure !== null) throw this.#failure
      write = takeIdleWrite()
      write.take(this, data, options)
    } catch (error) {
      rights?.end()
      return refuse(error)
    }
    // Behind others it waits for its turn, as if it had bytes.
    if (write.lengthBytes === 0 && queue.first === null) {
      write.abandon()
      return answerDone(executor)
    }
    write.rights = rights
    const promise = write.begin(executor.currentQueue())
    const hasToWait = this.isArmed || this.#wait !== null
    this.target.watch?.writeBegins(!this.isArmed)
    queue.push(write)
    // All of a smaller one is copied as it starts.
    if (hasToWait || write.lengthBytes > COPIED_BYTES_MAX) write.keepLentBytes()
    if (!hasToWait) this.#start(write, null)
    return promise
  }

  /**
   * Resolves when nothing is left to send; null if there is nothing. Rejects if the rest failed.
   *
   * @throws as {@link bindCancellation} does.
   */
  drained(options: WaitOptions | undefined, action: string): Promise<void> | null {
    if (this.#queue.first === null && !this.isArmed) return null
    this.#drains ??= new Drains()
    return this.#drains.wait(this.target.net.executor, options, action)
  }

  /** Fails every write from now on. */
  refuse(reason: Error): void {
    this.#failure ??= reason
  }

  /** Takes writes again, unless there is another reason to refuse them. */
  takeBack(reason: Error): void {
    if (this.#failure === reason) this.#failure = null
  }

  /** Whether it refuses writes for good, and not for `reason` or an error of the kernel. */
  isRefusing(reason: Error): boolean {
    return this.#failure !== null && this.#failure !== reason && this.errno === 0
  }

  /** The error of the kernel that it has failed with, as a negative number; else 0. */
  get errno(): number {
    return this.#failure instanceof KernelError ? this.#failure.errno : 0
  }

  /** Begins where another side has left off. */
  restore(sentBytes: number, errno: number, refusal: Error | null): void {
    assert(this.sentBytes === 0 && this.#failure === null, 'a side begins where another has left')
    this.sentBytes = sentBytes
    if (isBreak(errno)) this.brokenBy = errno
    this.#failure = errno === 0 ? refusal : kernelError(errno, this.target.describe('send'))
  }

  cancelWrite(write: PendingWrite): void {
    if (write.isSent) {
      // The peer gets all of it; the memory stays the kernel's until it has acknowledged that.
      write.finish(write.cancelReason)
    } else if (!this.isArmed || write.order > this.#send!.lastOrder || write.lengthBytes === 0) {
      // None of it is with the kernel.
      this.#drop(write, write.cancelReason)
      // It may have stood before empty writes.
      this.#advance(0)
      if (this.#queue.first === null) this.#stopWaiting()
    } else {
      this.cancelSend()
    }
  }

  get waits(): Waits {
    return this.target.net.executor.waits
  }

  useBuffer(buffer: SendBuffer): void {
    this.#wait = null
    this.#dropLost()
    const { first } = this.#queue
    if (first !== null) {
      this.#start(first, buffer)
    } else {
      this.target.net.sendMemory.give(buffer)
      this.#drains?.fulfil()
    }
  }

  urge(): void {
    this.#isUrged = true
    // What is about to be submitted will not wait.
    if (this.isArmed) this.cancelSend()
  }

  close(reason: RuntimeError): void {
    this.#failure = reason
    // What is with the kernel keeps its memory until the completion.
    if (!this.isArmed) this.#failAll(reason)
    else this.#unfreed?.fail(reason)
  }

  /** Whether a write waits that is not wholly sent. */
  get hasWaitingWrite(): boolean {
    return this.#queue.first !== null
  }

  /** Asks what is in flight to end. */
  cancelSend(): void {
    if (this.#isCancelling) return
    assert(this.isArmed && this.#send !== null, 'what is cancelled is in flight')
    this.#isCancelling = true
    this.target.cancelOperation(this.#send)
  }

  isAwaiting(send: SendOperation): boolean {
    return send === this.#send ? this.#queue.first !== null : send.write?.isSent === true
  }

  executorCloses(reason: unknown): void {
    // One that is dropped may end others.
    for (const write of this.#queue.list()) write.cancel(reason)
    this.#unfreed?.fail(reason)
  }

  executorLeft(reason: RuntimeError): void {
    this.#failAll(reason)
  }

  completeSend(send: SendOperation, result: number, isLast: boolean): void {
    assert(
      this.isArmed && send === this.#send,
      'one send is in flight at a time, and has one result',
    )
    this.isArmed = false
    const hasCancelled = this.#isCancelling
    this.#isCancelling = false
    if (send.kind === KIND_POLL) {
      this.#endSend()
      // The peer takes more, or what it waited for is gone: errors are left to the next send.
      if (this.target.isClosing) this.#endClosing()
      else this.#goOn()
      return
    }
    const sentBytes = result > 0 ? result : 0
    send.skip(sentBytes)
    this.#advance(sentBytes)
    if (!isLast) this.#keepUnfreed(send)
    else if (send.write !== null) this.#endSend()
    if (isBreak(result)) this.brokenBy = result
    if (this.target.isClosing) {
      this.#endSend()
      this.#endClosing()
      return
    }
    if (isFailure(result)) {
      const isRefused = send.kind === KIND_RIGHTS && !isGone(result)
      this.#endSend()
      const failure = madeInTurn(kernelError(result, this.target.describe('send')))
      if (isRefused && this.#dropUnsent(failure)) return
      this.#failure = failure
      this.#failAll(failure)
      return
    }
    const isStuck = this.#isUrged && result < 0 && result !== -EINTR
    // What a short send has left is sent from where it was copied to, if all of it is still wanted.
    const isWhole = hasCancelled && this.#dropCancelled(send.lastOrder)
    const hasRest = this.#send?.bounce != null && send.lengthBytes > 0
    if (isWhole || !hasRest || this.#isUrged) this.#endSend()
    if (isStuck && this.#queue.first !== null) this.#poll()
    else this.#goOn()
  }

  freeSend(send: SendOperation): void {
    this.#unfreed!.end(send)
  }

  /** Begins the next send, or tells that nothing is left. */
  #goOn(): void {
    // What was copied needs the writer's memory no more.
    if (this.#send === null) this.#dropLost()
    const { first } = this.#queue
    if (first !== null) this.#start(first, null)
    else this.#drains?.fulfil()
  }

  #endClosing(): void {
    this.#failAll(this.#failure!)
    this.target.ended()
  }

  /** Waits until the peer takes more, without memory. */
  #poll(): void {
    assert(this.#send === null, 'nothing is left of the last send')
    this.#send = this.#begin(KIND_POLL)
    this.#submit(this.#queue.first!)
  }

  /** Ends the wait for memory or for the peer, as nothing is left to send. */
  #stopWaiting(): void {
    if (this.isArmed) {
      if (this.#send!.kind === KIND_POLL) this.cancelSend()
    } else {
      this.#leaveLine()
      this.#drains?.fulfil()
    }
  }

  #leaveLine(): void {
    if (this.#wait === null) return
    this.target.net.sendMemory.leave(this.#wait)
    this.#wait = null
  }

  #advance(lengthBytes: number): void {
    this.sentBytes += lengthBytes
    this.target.net.home.counters[18]! += lengthBytes // COUNTER_BYTES_SENT
    this.#queue.advance(lengthBytes)
  }

  /** Takes off what was cancelled while it was with the kernel; whether there was any. */
  #dropCancelled(lastOrder: number): boolean {
    let hasDropped = false
    let next: PendingWrite | null
    for (let write = this.#queue.first; write !== null; write = next) {
      if (write.order > lastOrder) break
      next = write.following
      if (!write.isCancelled) continue
      this.#drop(write, write.cancelReason)
      hasDropped = true
    }
    // What was dropped may have stood before empty writes.
    if (hasDropped) this.#advance(0)
    return hasDropped
  }

  /** Takes off the first write, unless some of it was sent, as its descriptors cannot be: no matter of the stream. */
  #dropUnsent(failure: Error): boolean {
    const { first } = this.#queue
    if (first === null || first.sentBytes > 0) return false
    this.#drop(first, failure)
    this.#advance(0)
    this.#goOn()
    return true
  }

  /** Takes off what stands first while its memory is gone. */
  #dropLost(): void {
    const queue = this.#queue
    for (let write = queue.first; write?.isLost === true; write = queue.first) {
      this.#drop(write, dataGone())
      this.#advance(0)
    }
  }

  /** Gives back what the last send was made of; it has no completion to come. */
  #endSend(): void {
    this.#isUrged = false
    const send = this.#send
    if (send === null) return
    this.#send = null
    const { bounce, vector } = send
    const { sendMemory } = this.target.net
    if (bounce !== null) this.#keepRest(send, bounce)
    send.bounce = null
    send.vector = null
    if (vector !== null && send.kind !== KIND_RIGHTS) sendMemory.giveHeader(vector)
    send.end()
    if (bounce !== null) sendMemory.give(bounce)
  }

  /**
   * Before the memory that was copied to goes back with something unsent in it: a write that did not have to wait is the only one in
   * its send, and its lender may count on that copy.
   */
  #keepRest(send: SendOperation, { lease }: SendBuffer): void {
    const { first } = this.#queue
    if (first === null || send.lengthBytes === 0 || send.kind === KIND_VECTOR) return
    const left = first.lengthBytes - first.sentBytes
    if (first.order !== send.lastOrder || left !== send.lengthBytes) return
    const start = send.address - lease.address
    first.keepLentRest(lease.bytes.subarray(start, start + left))
  }

  /** The kernel has its memory still, and the next send may begin. */
  #keepUnfreed(send: SendOperation): void {
    this.#send = null
    this.#unfreed ??= new UnfreedSends()
    this.#unfreed.add(send)
  }

  /** Takes one off that ends unsent; if it is cut in the middle, that ends the sending side. */
  #drop(write: PendingWrite, reason: unknown): void {
    this.#queue.remove(write)
    this.#end(write, reason)
  }

  /** Ends a write that is off the queue. */
  #end(write: PendingWrite, reason: unknown): void {
    const isCut = write.sentBytes > 0
    write.finish(reason)
    if (!isCut) return
    this.#failure = writeCut(reason)
    this.#failAll(this.#failure)
  }

  /** Fails all that waits, since the next send cannot be made; a write that is cut ends the sending side. */
  #fail(first: PendingWrite, reason: Error): void {
    this.#endSend()
    if (first.sentBytes > 0) this.#failure = writeCut(reason)
    this.#failAll(reason)
  }

  #failAll(reason: Error): void {
    this.#leaveLine()
    this.#queue.fail(reason)
    this.#unfreed?.fail(reason)
    this.#drains?.fail(reason)
  }

  /** Sends, from `buffer` if that is given and needed; stands in line where there is no memory. */
  #start(first: PendingWrite, buffer: SendBuffer | null): void {
    // What is left of a short send is where it was copied to, and the same writes have a part in it.
    if (this.#send === null && !this.#stage(first, buffer)) return
    this.#submit(first)
  }

  #submit(first: PendingWrite): void {
    const { ring } = this.target.net
    let base: number
    try {
      base = ring.begin()
    } catch (error) {
      this.#fail(first, error as Error)
      return
    }
    const send = this.#send!
    // Only now, since making room for the entry may bring other writers that stand in line.
    send.encode(ring.sqes, base, this.#isUrged ? MSG_NOSIGNAL | MSG_DONTWAIT : MSG_NOSIGNAL)
    ring.commit(send)
    this.isArmed = true
  }

  /** Finds out what the next send takes, and from where; false if it has to wait for memory to copy to. */
  #stage(first: PendingWrite, buffer: SendBuffer | null): boolean {
    const { sendMemory, sendLimits } = this.target.net
    const way = planSend(first, sendLimits)
    if (way === SEND_GATHERED && this.#stageGathered(first, buffer)) return true
    const isCopied = way === SEND_COPY || (way === SEND_GATHERED && isCopiedFirst(first))
    if (!isCopied) {
      if (buffer !== null) sendMemory.give(buffer)
      const isZeroCopy = way === SEND_ZERO_COPY
      const send = this.#begin(isZeroCopy ? KIND_ZERO_COPY : KIND_ONE)
      this.#send = stageInPlace(send, first)
      return true
    }
    const wantedBytes = copiedBytesOf(first)
    const bounce = buffer ?? sendMemory.take(this, wantedBytes)
    if (bounce === null) {
      // Until then the lender may release it.
      first.keepLentBytes()
      // It may be served before wait() returns.
      this.#wait = new SendMemoryWait(this, wantedBytes)
      sendMemory.wait(this.#wait)
      return false
    }
    this.#isUrged = sendMemory.isScarce
    this.#send = stageCopies(this.#begin(KIND_ONE), first, bounce)
    return true
  }

  /** Stages a vector; false, and nothing has happened, where there is no memory for it. */
  #stageGathered(first: PendingWrite, buffer: SendBuffer | null): boolean {
    const { sendMemory, sendLimits } = this.target.net
    const header = sendMemory.takeHeader()
    if (header === null) return false
    const wantedBytes = gatheredCopyBytes(first, sendLimits)
    const bounce = wantedBytes === 0 ? null : (buffer ?? sendMemory.take(this, wantedBytes))
    if (wantedBytes > 0 && bounce === null) {
      sendMemory.giveHeader(header)
      return false
    }
    if (bounce === null && buffer !== null) sendMemory.give(buffer)
    this.#isUrged = bounce !== null && sendMemory.isScarce
    this.#send = stageGathered(this.#begin(KIND_VECTOR), first, header, bounce, sendLimits)
    return true
  }

  #begin(kind: SendKind): SendOperation {
    return takeIdleSend().begin(this, this.target, kind)
  }
}
