import { assert, KernelError, NO_QUEUE, type RuntimeError } from '../base/index.ts'
import {
  answerDone,
  ListedWaiter,
  madeInTurn,
  refuse,
  WaitList,
  type WaitListOwner,
  type WaitOptions,
  type Waits,
} from '../executor/index.ts'
import {
  EAGAIN,
  ECANCELED,
  ECONNABORTED,
  ECONNRESET,
  EHOSTUNREACH,
  EINTR,
  ENETUNREACH,
  ETIMEDOUT,
  kernelError,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  POLLOUT,
} from '../kernel/index.ts'
import type { Lease } from '../memory/index.ts'
import { encodePoll, encodeSend, Operation, type SendArgs } from '../ring/index.ts'
import {
  dataGone,
  type PendingWrite,
  takeIdleWrite,
  WriteList,
  type WriteOwner,
  writeCut,
} from './pending-write.ts'
import { type SendBuffer, type SendMemoryUser, SendMemoryWait } from './send-memory.ts'
import type { SocketPort } from './socket-port.ts'

/** Smaller writes that have to wait are sent together. */
const COALESCED_BYTES_MAX = 4 * 1024
/** How much one send takes from a queue of small writes. */
const GATHERED_BYTES_MAX = 64 * 1024
/** How many writes one send takes, so that a send which is cut short again and again is cheap to repeat. */
const GATHERED_WRITES_MAX = 1024
/** How much of one large write is copied at a time. */
const COPIED_BYTES_MAX = 256 * 1024
/** Errors that end a connection of which no end has come; the kernel tells of one once. */
const BREAKS: ReadonlySet<number> = new Set([
  -ECONNABORTED,
  -ECONNRESET,
  -EHOSTUNREACH,
  -ENETUNREACH,
  -ETIMEDOUT,
])
/** What one send is asked for at most; its count must fit the result. */
const SENT_BYTES_MAX: number = 2 ** 30

/**
 * The sending side of a stream: writes in order, one operation at a time.
 *
 * Data that lies in I/O memory is sent from where it is; other data is copied there as it is its
 * turn, small writes that wait together. Where there is no memory for that it stands in line for some; see
 * {@link SendMemory}.
 *
 * However many writes wait: to begin one is O(1), to withdraw one that is not with the kernel as well.
 * A completion costs O(1) for each write that it ends and each that the next send takes, of which there are
 * at most 1,024; a short send is gone on with as it is. So n writes cost n times one.
 */
export class Sender extends Operation implements SendArgs, WriteOwner, SendMemoryUser {
  /** Whether a send is in flight, or a wait for the peer. */
  isArmed = false
  /** Bytes that the kernel has taken. */
  sentBytes = 0
  /** With which of {@link BREAKS} it was told that the connection is broken, or 0. */
  brokenBy = 0
  readonly target: SocketPort
  // Not MSG_WAITALL: an error after a part of the data would then be lost, with the count as the result.
  messageFlags: number = MSG_NOSIGNAL
  address = 0
  lengthBytes = 0
  readonly #writes = new WriteList()
  /** The order of the last write that the send in flight takes from. */
  #lastStaged = 0
  /** What the send is copied to, or null. */
  #bounce: SendBuffer | null = null
  /** Whether others stand in line for that: the send does not wait for the peer. */
  #isUrged = false
  /** Whether what is in flight waits for the peer to take more, and sends nothing. */
  #isPolling = false
  /** Its place in the line for memory, or null. */
  #wait: SendMemoryWait | null = null
  #failure: Error | null = null
  #isCancelling = false
  /** The callers of shutdown(), which wait until nothing is left to send. */
  #drains: WaitList<ListedWaiter<void>> | null = null

  constructor(socket: SocketPort) {
    super(NO_QUEUE)
    this.target = socket
  }

  write(data: Uint8Array | Lease, options: WaitOptions | undefined): Promise<void> {
    const { executor } = this.target.net
    const writes = this.#writes
    let write: PendingWrite
    try {
      executor.assertOpen('write')
      if (this.#failure !== null) throw this.#failure
      write = takeIdleWrite()
      write.take(this, data, options)
    } catch (error) {
      return refuse(error)
    }
    // Behind others it waits for its turn, as if it had bytes.
    if (write.lengthBytes === 0 && writes.first === null) {
      write.abandon()
      return answerDone(executor)
    }
    const promise = write.begin(executor.currentQueue())
    const hasToWait = this.isArmed || this.#wait !== null
    writes.push(write)
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
    if (this.#writes.first === null && !this.isArmed) return null
    const { executor } = this.target.net
    const waiter = new ListedWaiter<void>(executor)
    waiter.bindListed(executor, options, action)
    this.#drains ??= new WaitList(NOBODY)
    this.#drains.push(waiter)
    return waiter.promise
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
    if (BREAKS.has(errno)) this.brokenBy = errno
    this.#failure = errno === 0 ? refusal : kernelError(errno, this.target.describe('send'))
  }

  cancelWrite(write: PendingWrite): void {
    if (!this.isArmed || !this.#isStaged(write)) {
      this.#drop(write, write.cancelReason)
      // It may have stood before empty writes.
      this.#advance(0)
      if (this.#writes.first === null) this.#stopWaiting()
    } else {
      this.#cancel()
    }
  }

  get waits(): Waits {
    return this.target.net.executor.waits
  }

  useBuffer(buffer: SendBuffer): void {
    this.#wait = null
    this.#dropLost()
    const { first } = this.#writes
    if (first !== null) {
      this.#start(first, buffer)
    } else {
      this.target.net.sendMemory.give(buffer)
      this.#endDrains()
    }
  }

  urge(): void {
    this.#isUrged = true
    // What is about to be submitted will not wait.
    if (this.isArmed) this.#cancel()
  }

  close(reason: RuntimeError): void {
    this.#failure = reason
    // What is with the kernel keeps its memory until the completion.
    if (!this.isArmed) this.#failAll(reason)
  }

  override get isAwaited(): boolean {
    return this.#writes.first !== null
  }

  override executorCloses(reason: unknown): void {
    const writes: PendingWrite[] = []
    for (let write = this.#writes.first; write !== null; write = write.following) writes.push(write)
    // One that is dropped may end others.
    for (const write of writes) write.cancel(reason)
  }

  override executorLeft(reason: RuntimeError): void {
    this.#failAll(reason)
  }

  override complete(result: number): void {
    assert(this.isArmed, 'one send is in flight at a time, and completes once')
    this.isArmed = false
    const hasCancelled = this.#isCancelling
    this.#isCancelling = false
    if (this.#isPolling) {
      this.#completePoll()
      return
    }
    const sentBytes = result > 0 ? result : 0
    assert(sentBytes <= this.lengthBytes, 'the kernel takes no more than it was given')
    this.address += sentBytes
    this.lengthBytes -= sentBytes
    this.#advance(sentBytes)
    if (BREAKS.has(result)) this.brokenBy = result
    if (this.target.isClosing) {
      this.#returnBounce()
      this.#failAll(this.#failure!)
      this.target.ended()
      return
    }
    if (result < 0 && result !== -EINTR && result !== -EAGAIN && result !== -ECANCELED) {
      this.#returnBounce()
      this.#failure = madeInTurn(kernelError(result, this.target.describe('send')))
      this.#failAll(this.#failure)
      return
    }
    const isStuck = this.#isUrged && result < 0 && result !== -EINTR
    // What a short send has left is sent from where it was copied to, if all of it is still wanted.
    const isBounceDone = (hasCancelled && this.#dropCancelled()) || this.lengthBytes === 0
    if (isBounceDone || this.#isUrged) this.#returnBounce()
    if (isStuck && this.#writes.first !== null) this.#poll()
    else this.#goOn()
  }

  override run(): void {}

  /** Begins the next send, or tells that nothing is left. */
  #goOn(): void {
    // What was copied needs the writer's memory no more.
    if (this.#bounce === null) this.#dropLost()
    const { first } = this.#writes
    if (first !== null) this.#start(first, null)
    else this.#endDrains()
  }

  /** The peer takes more, or what it waited for is gone. Errors are left to the next send. */
  #completePoll(): void {
    this.#isPolling = false
    if (this.target.isClosing) {
      this.#failAll(this.#failure!)
      this.target.ended()
    } else {
      this.#goOn()
    }
  }

  /** Waits until the peer takes more, without memory. */
  #poll(): void {
    const { ring } = this.target.net
    let base: number
    try {
      base = ring.begin()
    } catch (error) {
      this.#fail(this.#writes.first!, error as Error)
      return
    }
    this.#lastStaged = 0
    encodePoll(ring.sqes, base, { target: this.target, events: POLLOUT, multishot: false })
    ring.commit(this)
    this.isArmed = true
    this.#isPolling = true
  }

  #cancel(): void {
    if (this.#isCancelling) return
    this.#isCancelling = true
    this.target.cancelOperation(this)
  }

  /** Ends the wait for memory or for the peer, as nothing is left to send. */
  #stopWaiting(): void {
    if (this.#isPolling) {
      this.#cancel()
    } else if (!this.isArmed) {
      this.#leaveLine()
      this.#endDrains()
    }
  }

  #leaveLine(): void {
    if (this.#wait === null) return
    this.target.net.sendMemory.leave(this.#wait)
    this.#wait = null
  }

  /** Counts bytes as sent, in order; empty writes behind them are done as well. */
  #advance(lengthBytes: number): void {
    const writes = this.#writes
    this.sentBytes += lengthBytes
    this.target.net.home.counters[18]! += lengthBytes // COUNTER_BYTES_SENT
    let left = lengthBytes
    for (let write = writes.first; write !== null; write = writes.first) {
      const missing = write.lengthBytes - write.sentBytes
      if (left < missing) {
        write.sentBytes += left
        return
      }
      left -= missing
      writes.remove(write)
      write.finish(null)
    }
  }

  /** Whether some of it is with the kernel while a send is in flight. */
  #isStaged({ order, lengthBytes }: PendingWrite): boolean {
    return order <= this.#lastStaged && lengthBytes > 0
  }

  /** Takes off what was cancelled while it was with the kernel; whether there was any. */
  #dropCancelled(): boolean {
    let hasDropped = false
    let next: PendingWrite | null
    for (let write = this.#writes.first; write !== null; write = next) {
      if (write.order > this.#lastStaged) break
      next = write.following
      if (!write.isCancelled) continue
      this.#drop(write, write.cancelReason)
      hasDropped = true
    }
    // What was dropped may have stood before empty writes.
    if (hasDropped) this.#advance(0)
    return hasDropped
  }

  /** Takes off what stands first while its memory is gone. */
  #dropLost(): void {
    const writes = this.#writes
    for (let write = writes.first; write?.isLost === true; write = writes.first) {
      this.#drop(write, dataGone())
      this.#advance(0)
    }
  }

  #returnBounce(): void {
    const bounce = this.#bounce
    this.#isUrged = false
    if (bounce === null) return
    this.#bounce = null
    this.target.net.sendMemory.give(bounce)
  }

  /** Takes one off that ends unsent; if it is cut in the middle, that ends the sending side. */
  #drop(write: PendingWrite, reason: unknown): void {
    const isCut = write.sentBytes > 0
    this.#writes.remove(write)
    write.finish(reason)
    if (!isCut) return
    this.#failure = writeCut(reason)
    this.#failAll(this.#failure)
  }

  /** Fails all that waits, since the next send cannot be made; a write that is cut ends the sending side. */
  #fail(first: PendingWrite, reason: Error): void {
    this.#returnBounce()
    if (first.sentBytes > 0) this.#failure = writeCut(reason)
    this.#failAll(reason)
  }

  #failAll(reason: Error): void {
    this.#leaveLine()
    this.#writes.fail(reason)
    this.#drains?.fail(reason)
  }

  #endDrains(): void {
    const drains = this.#drains
    if (drains === null) return
    for (let next = drains.shift(); next !== null; next = drains.shift()) next.fulfil()
  }

  /** Sends, from `buffer` if that is given and needed; stands in line where there is no memory. */
  #start(first: PendingWrite, buffer: SendBuffer | null): void {
    const { ring } = this.target.net
    // What is left of a short send is where it was copied to, and the same writes have a part in it.
    if (this.#bounce === null && !this.#stage(first, buffer)) return
    assert(this.lengthBytes > 0, 'a send has something to send')
    let base: number
    try {
      base = ring.begin()
    } catch (error) {
      this.#fail(first, error as Error)
      return
    }
    // Only now, since making room for the entry may bring other writers that stand in line.
    this.messageFlags = this.#isUrged ? MSG_NOSIGNAL | MSG_DONTWAIT : MSG_NOSIGNAL
    encodeSend(ring.sqes, base, this)
    ring.commit(this)
    this.isArmed = true
  }

  /** Finds out what the next send takes, and from where; false if it has to wait for memory to copy to. */
  #stage(first: PendingWrite, buffer: SendBuffer | null): boolean {
    const { sendMemory } = this.target.net
    const left = first.lengthBytes - first.sentBytes
    const isSmall = left < COALESCED_BYTES_MAX && first.following !== null
    if (first.address !== 0 && !isSmall) {
      this.#lastStaged = first.order
      this.address = first.address + first.sentBytes
      this.lengthBytes = left < SENT_BYTES_MAX ? left : SENT_BYTES_MAX
      if (buffer !== null) sendMemory.give(buffer)
      return true
    }
    const wantedBytes = gatheredBytes(first, left)
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
    this.#gather(first, left, bounce)
    return true
  }

  /** Copies what the next send takes. */
  #gather(first: PendingWrite, left: number, bounce: SendBuffer): void {
    const { bytes } = bounce.lease
    // Less than a writer may count on to be copied at once, as memory is short.
    if (bytes.length < left) first.keepLentBytes()
    let used = 0
    let count = 0
    for (let write: PendingWrite | null = first; write !== null; write = write.following) {
      if (used === bytes.length || count === GATHERED_WRITES_MAX) break
      // One whose memory is gone is told so when it is first.
      if (write !== first && (isSentAlone(write) || write.isLost)) break
      const start = write.sentBytes
      const end = Math.min(write.lengthBytes, start + bytes.length - used)
      bytes.set(write.bytes(start, end), used)
      used += end - start
      count++
      this.#lastStaged = write.order
    }
    this.#bounce = bounce
    this.address = bounce.lease.address
    this.lengthBytes = used
  }
}

/** How much there is to copy for a send that begins with `first`, of which `left` bytes are unsent. */
function gatheredBytes(first: PendingWrite, left: number): number {
  if (left > GATHERED_BYTES_MAX) return Math.min(left, COPIED_BYTES_MAX)
  let wanted = left
  let count = 1
  for (let next = first.following; next !== null && !isSentAlone(next); next = next.following) {
    if (wanted >= GATHERED_BYTES_MAX || count === GATHERED_WRITES_MAX) break
    wanted += next.lengthBytes
    count++
  }
  return Math.min(wanted, GATHERED_BYTES_MAX)
}

/** Whether a write is large, and needs no copy. */
function isSentAlone({ address, lengthBytes }: PendingWrite): boolean {
  return address !== 0 && lengthBytes >= COALESCED_BYTES_MAX
}

/** A drain that gives up lets no other go on. */
const NOBODY: WaitListOwner = { waiterLeft(): void {} }
