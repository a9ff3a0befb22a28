import { assert, isBytes, NO_QUEUE, Runnable, RuntimeError, wrongBytes } from '../../base/index.ts'
import {
  bindCancellation,
  type Cancellable,
  type CancellationBinding,
  createDeferred,
  type Deferred,
  rejectFrom,
  type WaitOptions,
} from '../../executor/index.ts'
import { isLent, Lease } from '../../memory/index.ts'
import type { SentRights } from '../memory/sent-rights.ts'
import type { SocketPort } from '../memory/socket-port.ts'

/** The sending side that a write waits at. */
export interface WriteOwner {
  readonly target: SocketPort
  /** Stops a write: at once if none of it is with the kernel, else as soon as can be. */
  cancelWrite(write: PendingWrite): void
}

/** What has memory of a write until its last completion. */
export interface WriteHolder {
  hold(write: PendingWrite, lease: Lease): void
}

/** One call of write(), until all its bytes are sent. */
export class PendingWrite extends Runnable implements Cancellable {
  /** As it was when it was given. */
  lengthBytes = 0
  /** Where the data is for the kernel, or 0 if it has to be copied. */
  address = 0
  sentBytes = 0
  /** Counts the writes of its stream: those that came before it have lower ones. */
  order = 0
  preceding: PendingWrite | null = null
  following: PendingWrite | null = null
  /** The descriptors that go with its first byte. */
  rights: SentRights | null = null
  isCancelled = false
  cancelReason: unknown = null
  /** Whether the kernel has taken all of it, and not yet let go of its memory. */
  isSent = false
  /** Sends that have its memory beyond their results. */
  #holdCount = 0
  #owner: WriteOwner | null = null
  #data: Uint8Array = NO_DATA
  /** What the data is of, pinned. Its bytes are looked at only if they have to be copied. */
  #lease: Lease | null = null
  /** Whether it has ended, and its writer is to be told. */
  #isOver = false
  #writer: Deferred<void> | null = null
  #binding: CancellationBinding | null = null
  #failure: unknown = null

  constructor() {
    super(NO_QUEUE)
  }

  /** Whether the memory of its data was transferred, or made smaller, since it was given. */
  get isLost(): boolean {
    const lease = this.#lease
    if (lease === null) return this.#data.length < this.lengthBytes
    // What the kernel can reach stays, whatever becomes of the views on it.
    return this.address === 0 && lease.pinnedBytes(this.lengthBytes).length < this.lengthBytes
  }

  /** Whether nothing else goes in one send with it. */
  get isAlone(): boolean {
    return this.rights !== null
  }

  /** Whether it ends with the last completion of a send, rather than as it was sent. */
  get isHeld(): boolean {
    return this.#holdCount > 0
  }

  /** Leaves its memory to a send for as long as the kernel may have it, whatever becomes of this. */
  holdBy(send: WriteHolder): void {
    assert(this.#lease !== null, 'what is sent without a copy lies in I/O memory')
    this.#holdCount++
    send.hold(this, this.#lease)
  }

  /** A send that had its memory has it no more; all of it was sent and acknowledged, if that was the last one. */
  letGoOf(): void {
    assert(this.#holdCount > 0, 'what lets go had it')
    this.#holdCount--
    if (this.#holdCount === 0 && this.isSent) this.finish(null)
  }

  /** Copies what its data shows of lent memory, since it has to wait, and the lender may not. */
  keepLentBytes(): void {
    // Not by slice(), which of a Buffer copies nothing.
    if (this.#lease === null && isLent(this.#data)) this.#data = new Uint8Array(this.#data)
  }

  /** The same, where the lender may have its memory back already: `rest` is what is left to send, as it was copied. */
  keepLentRest(rest: Uint8Array): void {
    if (this.#lease !== null || !isLent(this.#data)) return
    assert(rest.length === this.lengthBytes - this.sentBytes, 'all of the rest is kept')
    const data = new Uint8Array(this.lengthBytes)
    data.set(rest, this.sentBytes)
    this.#data = data
  }

  /** Some of its data, to be copied. */
  bytes(startBytes: number, endBytes: number): Uint8Array {
    const bytes = this.#lease === null ? this.#data : this.#lease.pinnedBytes(this.lengthBytes)
    return startBytes === 0 && endBytes === bytes.length
      ? bytes
      : bytes.subarray(startBytes, endBytes)
  }

  /** @throws {TypeError} for data of the wrong kind; as {@link bindCancellation} does. */
  take(owner: WriteOwner, data: Uint8Array | Lease, options: WaitOptions | undefined): void {
    const { net } = owner.target
    this.#owner = owner
    if (isBytes(data)) {
      this.#binding = bindCancellation(net.executor, this, options, 'write')
      this.#data = data
      this.lengthBytes = data.length
    } else if (data instanceof Lease) {
      data.assertHeld()
      if (data.address === 0 && data.bytes.length < data.lengthBytes) throw dataGone()
      this.#binding = bindCancellation(net.executor, this, options, 'write')
      this.lengthBytes = data.lengthBytes
      data.pin()
      this.#lease = data
      this.address = data.address
    } else {
      throw wrongBytes('write', 'data', data, 'a Uint8Array or a Lease')
    }
  }

  begin(home: Runnable['home']): Promise<void> {
    this.home = home
    const writer = createDeferred<void>()
    this.#writer = writer
    return writer.promise
  }

  cancel(reason: unknown): void {
    if (this.isCancelled || this.#writer === null || this.#isOver) return
    this.isCancelled = true
    this.cancelReason = reason
    this.#owner!.cancelWrite(this)
  }

  /** Ends it: `failure` is null if all was sent. The memory is the writer's again. */
  finish(failure: unknown): void {
    this.#letGo()
    this.#isOver = true
    this.#failure = failure
    this.home.push(this)
  }

  /** Ends it before it has begun. */
  abandon(): void {
    this.#letGo()
    this.#binding?.end()
    this.#binding = null
    this.#keep()
  }

  override run(): void {
    const writer = this.#writer!
    const failure = this.#failure
    const { closeReason } = this.#owner!.target.net.executor.waits
    this.#binding?.end()
    this.#binding = null
    this.#writer = null
    this.#failure = null
    // A send that still has its memory will say so.
    if (this.#holdCount === 0) this.#keep()
    if (failure === null) writer.resolve()
    else rejectFrom(writer.resolve, failure, writer.reject)
    // The caller of close() does not want to be told of writes that nobody awaits.
    if (failure !== null && failure === closeReason) writer.promise.catch(ignore)
  }

  // Nobody knows it any more: neither a sender nor what could cancel it.
  #keep(): void {
    this.#owner = null
    this.#isOver = false
    this.home = NO_QUEUE
    if (idleWrites.length < IDLE_WRITES_MAX) idleWrites.push(this)
  }

  #letGo(): void {
    if (this.rights !== null) this.rights.end()
    this.rights = null
    this.#lease?.unpin()
    this.#lease = null
    this.#data = NO_DATA
    this.lengthBytes = 0
    this.address = 0
    this.sentBytes = 0
    this.order = 0
    this.preceding = null
    this.following = null
    this.isCancelled = false
    this.cancelReason = null
    this.isSent = false
  }
}

/** A write to be begun: one that has ended, or a new one. */
export function takeIdleWrite(): PendingWrite {
  return idleWrites.pop() ?? new PendingWrite()
}

function ignore(): void {}

const NO_DATA = new Uint8Array(0)
/** For the next writes of any stream of this thread, as most streams are idle most of the time. */
const idleWrites: PendingWrite[] = []
const IDLE_WRITES_MAX = 1024

/** Why a write fails whose memory is gone. */
export function dataGone(): RuntimeError {
  return new RuntimeError(
    'ERR_BUFFER_RELEASED',
    'Cannot write as data must keep its memory until it is sent: it has fewer bytes now',
  )
}

/** Why a stream refuses writes after a part of one was sent. */
export function writeCut(cause: unknown): RuntimeError {
  return new RuntimeError(
    'ERR_HANDLE_CLOSED',
    'Cannot write as the stream must be whole: a write ended after a part of it was sent',
    { cause },
  )
}
