import { assert, KernelError, type KernelErrorContext, RuntimeError } from '../../base/index.ts'
import {
  AwaitedOperation,
  ClosingWaiter,
  checkCancellation,
  type Executor,
  refusalOf,
  type TaskQueue,
  Waiter,
  type WaitOptions,
} from '../../executor/index.ts'
import { encodeClose, type Ring, type Target } from '../../ring/index.ts'
import { devicesOf } from '../devices/devices.ts'
import type { Dispatcher } from '../devices/dispatcher.ts'
import type { Polling } from '../devices/polling.ts'
import type { RangeLock } from '../ranges/range-lock.ts'
import { AttachedStreams, throwFailures } from './attached-streams.ts'

/** Transfers of one file that did not fail; one is counted once, however many requests it took. */
export interface TransferStats {
  readonly readCount: number
  /** Bytes that came from the file, alignment included. */
  readonly readBytes: number
  readonly writeCount: number
  /** Bytes that went to the file, alignment included. */
  readonly writeBytes: number
}

/**
 * An open descriptor, and how many operations are on it: it closes after the last of them.
 *
 * Whatever happens to its owner, it is closed with the environment at the latest.
 */
export class Descriptor {
  readonly executor: Executor
  path: string
  readCount = 0
  readBytes = 0
  writeCount = 0
  writeBytes = 0
  /** What reads and writes it piece by piece, and ends before it does. */
  readonly streams: AttachedStreams = new AttachedStreams()
  /** How transfers are polled for; null where they are not. */
  polling: Polling | null = null
  /** By which its operations go to the rings: that of its device, once that is known. */
  dispatcher: Dispatcher
  /** Whether its I/O goes past the page cache, once that is known. */
  isDirect = false
  /** What positions, lengths and addresses of transfers must be multiples of, once that is known: a power of two, 1 if not direct. */
  alignmentBytes = 1
  /** Where its writes hold their places, once it is known. */
  ranges: RangeLock | null = null
  /** Called once it is closed, or has failed to be. */
  onClosed: (() => void) | null = null
  #fd: number
  #inFlightCount = 0
  #isClosed = false
  #closing: Promise<void> | null = null
  /** Leaving for another thread, unless that fails; null once it has come to either. */
  #detaching: Promise<unknown> | null = null
  #drained: Waiter<void> | null = null
  readonly #index: number
  readonly #mainTarget: Target
  /** By the index of the ring, but for the first; null until one is used there. */
  #furtherTargets: (Target | undefined)[] | null = null

  /**
   * Takes over `fd`, which is tracked already.
   *
   * @throws {RuntimeError} `ERR_EXECUTOR_CLOSED`: then it is closed, and its number maybe another's.
   */
  constructor(executor: Executor, fd: number, path: string) {
    executor.assertOpen('open a file')
    const { files, main } = executor.io
    this.executor = executor
    this.path = path
    this.dispatcher = devicesOf(executor).unknown
    this.#fd = fd
    this.#index = files.add(fd)
    this.#mainTarget = files.target(main, fd, this.#index)
  }

  /** The number, or -1 once it is closed. */
  get fd(): number {
    return this.executor.isClosed ? -1 : this.#fd
  }

  /** Whether closing has begun; an executor that was closed has closed its descriptors. */
  get isClosed(): boolean {
    return this.#isLeaving || this.#isClosed || this.executor.isClosed
  }

  get #isLeaving(): boolean {
    return this.#closing !== null || this.#detaching !== null
  }

  get inFlightCount(): number {
    return this.#inFlightCount
  }

  /** Counts a transfer that did not fail, once, however many requests it took. */
  countMoved(queue: TaskQueue, isWrite: boolean, movedBytes: number): void {
    const { counters } = this.executor.io.control
    queue.countTransfer(isWrite, movedBytes)
    if (isWrite) {
      this.writeCount++
      this.writeBytes += movedBytes
      counters[34]! += movedBytes // COUNTER_BYTES_WRITTEN
    } else {
      this.readCount++
      this.readBytes += movedBytes
      counters[33]! += movedBytes // COUNTER_BYTES_READ
    }
  }

  stats(): TransferStats {
    const { readCount, readBytes, writeCount, writeBytes } = this
    return { readCount, readBytes, writeCount, writeBytes }
  }

  /** @throws {RuntimeError} `ERR_HANDLE_CLOSED`, `ERR_EXECUTOR_CLOSED` */
  assertOpen(action: string): void {
    if (this.#isLeaving || this.#isClosed) {
      throw new RuntimeError(
        'ERR_HANDLE_CLOSED',
        `Cannot ${action} as the file must be open: '${this.path}' was closed, or given away`,
      )
    }
    this.executor.assertOpen(action)
  }

  /** The same for async functions: what they return if it is refused, else null. */
  refusal(action: string): Promise<never> | null {
    return refusalOf(action, this)
  }

  /** Keeps it open until as many calls of {@link leave}. */
  enter(): void {
    this.#inFlightCount++
  }

  leave(): void {
    assert(this.#inFlightCount > 0, 'an operation leaves its descriptor once')
    this.#inFlightCount--
    if (this.#inFlightCount === 0) this.#drained?.fulfil()
  }

  /** How `ring` names it. */
  targetOn(ring: Ring): Target {
    if (ring.index === 0) return this.#mainTarget
    this.#furtherTargets ??= []
    const known = this.#furtherTargets[ring.index]
    if (known !== undefined) return known
    const target = this.executor.io.files.target(ring, this.#fd, this.#index)
    this.#furtherTargets[ring.index] = target
    return target
  }

  /** A transfer that was polled for is refused. Whether it, and others, go on without. */
  giveUpPolling(): boolean {
    if (this.polling?.giveUp() === false) return false
    this.polling = null
    return true
  }

  /** Closes it after what is in flight; again is nothing. Rejects if the kernel reports an error. */
  close(): Promise<void> {
    // What was begun before its executor was closed never ends, but the descriptor is gone.
    if (this.#isClosed || (this.#closing !== null && this.executor.isClosed))
      return Promise.resolve()
    if (this.#detaching !== null) return this.#closeUnlessDetached(this.#detaching)
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #closeUnlessDetached(detaching: Promise<unknown>): Promise<void> {
    await detaching.then(undefined, () => {})
    await this.close()
  }

  /**
   * Gives the descriptor away by `pass`, once nothing is in flight, rather than close it; until then nothing more is
   * begun. If the wait or `pass` fails it is open as before.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`, `ERR_EXECUTOR_CLOSED`
   */
  detach<T>(action: string, wait: WaitOptions, pass: (fd: number) => T): Promise<T> {
    const refusal = this.refusal(action)
    if (refusal !== null) return refusal
    const detaching = this.#detach(action, wait, pass).finally(() => {
      this.#detaching = null
    })
    this.#detaching = detaching
    return detaching
  }

  async #detach<T>(action: string, wait: WaitOptions, pass: (fd: number) => T): Promise<T> {
    const { executor } = this
    checkCancellation(executor, wait, action)
    if (!this.streams.isEmpty) {
      throwFailures(await this.streams.end(), 'Cannot end the streams of a file')
    }
    if (this.#inFlightCount > 0) {
      const drained = new Waiter<void>(executor)
      drained.bind(executor, wait, action, () => {
        this.#drained = null
      })
      this.#drained = drained
      await drained.promise
      this.#drained = null
      if (executor.isClosed) throw executor.waits.closedError(action)
    }
    assert(this.#inFlightCount === 0, 'what is given away has nothing in flight')
    const passed = pass(this.#fd)
    executor.io.files.remove(this.#index)
    this.#isClosed = true
    this.#fd = -1
    this.onClosed?.()
    return passed
  }

  #close(): Promise<void> {
    return this.streams.isEmpty ? this.#closeDrained() : this.#closeWithStreams()
  }

  async #closeWithStreams(): Promise<void> {
    const failures = await this.streams.end()
    await this.#closeDrained().catch((error) => failures.push(error))
    throwFailures(failures, 'Cannot close a file, nor end its streams')
  }

  async #closeDrained(): Promise<void> {
    const { executor } = this
    try {
      // What is in flight when an executor is closed never ends for us.
      if (this.#inFlightCount > 0 && !executor.isClosed) {
        this.#drained = new ClosingWaiter(executor)
        await this.#drained.promise
      }
      // An executor that has left the loop has closed its descriptors; the number may be another's.
      if (!executor.isClosed) await this.#closeNow()
    } finally {
      this.#isClosed = true
      this.#fd = -1
      this.onClosed?.()
    }
  }

  #closeNow(): Promise<void> {
    const { io, descriptors } = this.executor
    io.files.remove(this.#index)
    const operation = new CloseOperation(this.executor, this.#fd, this.path)
    try {
      operation.submit()
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
      // The ring takes no more, and nobody comes back to close it later: by a call, which may block.
      operation.complete(descriptors.closeFd(this.#fd), 0)
      return operation.promise
    }
    // Not before, lest nobody knew of it; nor upon completion: then the number may be another file's.
    descriptors.trackFd(this.#fd, false)
    return operation.promise
  }
}

/** Not to be cancelled: a descriptor that stays open by mistake is a leak. */
class CloseOperation extends AwaitedOperation<void> {
  readonly #fd: number
  readonly #path: string

  constructor(executor: Executor, fd: number, path: string) {
    super(executor)
    this.#fd = fd
    this.#path = path
  }

  submit(): void {
    const { main } = this.executor.io
    this.shield()
    encodeClose(main.sqes, main.begin(), { fd: this.#fd, registered: false })
    main.commitClosing(this)
  }

  // An executor that has left the loop has closed its descriptors.
  override executorLeft(): void {
    this.complete(0, 0)
  }

  protected override interpret(): void {}

  protected override describe(): KernelErrorContext {
    return { syscall: 'close', path: this.#path, fd: this.#fd }
  }
}
