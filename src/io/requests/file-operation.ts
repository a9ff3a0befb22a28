import { assert, KernelError, type KernelErrorContext } from '../../base/index.ts'
import { AwaitedOperation, type TaskQueue, type WaitOptions } from '../../executor/index.ts'
import type { Ring } from '../../ring/index.ts'
import type { Dispatched } from '../devices/dispatcher.ts'
import type { Descriptor } from './descriptor.ts'

/**
 * An operation on an open file, which does not close before it has ended.
 *
 * It goes by the dispatcher of its device, each of its requests, and there it may be held back: what it needs is its own
 * from its making on, and its descriptor stays open. An operation of a latency-sensitive queue goes to the latency
 * ring, so that its completion preempts; any other to the main ring.
 */
export abstract class FileOperation<T> extends AwaitedOperation<T> implements Dispatched {
  readonly descriptor: Descriptor

  constructor(descriptor: Descriptor) {
    super(descriptor.executor)
    this.descriptor = descriptor
  }

  /** What the kernel calls it, for errors of the kernel. */
  abstract get syscall(): string
  /** What the user calls it, for errors of ours. */
  abstract get action(): string
  /** Whether it may be submitted before the turn ends, so that cancelling comes too late to undo it. */
  get submitsEarly(): boolean {
    return false
  }
  /** Whose it is, for the scheduler of the device. */
  get queue(): TaskQueue {
    return this.home as TaskQueue
  }
  /** Whether it moves bytes, which that may hold back; all else passes. */
  get isTransfer(): boolean {
    return false
  }
  get isWrite(): boolean {
    return false
  }
  /** Whether it takes time of the device, as what the page cache answers does not, or not now. */
  get isMetered(): boolean {
    return false
  }
  /** How much its next request moves at the most. */
  get lengthBytes(): number {
    return 0
  }
  /** Writes the entry at `base` of `ring`. */
  protected abstract encode(ring: Ring, base: number): void

  /** Submits it with this turn's. The descriptor is open, or a caller keeps it so. */
  start(options: WaitOptions | undefined, action: string = this.action): Promise<T> {
    // First, since a binding ends with the operation only: it must not outlive one that never began.
    this.prepare()
    try {
      this.bind(options, action)
      this.begin()
    } catch (error) {
      this.unbind()
      this.unprepare()
      throw error
    }
    return this.promise
  }

  /** The same, but nothing cancels it: for what puts things right again. */
  startShielded(): Promise<T> {
    this.prepare()
    try {
      this.shield()
      this.begin()
    } catch (error) {
      this.unprepare()
      throw error
    }
    return this.promise
  }

  /** Takes what {@link finish} gives back; throwing refuses the operation. */
  protected prepare(): void {}
  /** Gives that back where the operation is refused after all. */
  protected unprepare(): void {}

  /** @internal Puts its next request into a ring, to be submitted with this turn's. Called by the dispatcher alone. */
  issue(): Ring {
    assert(this.slot !== -2, 'what is done is not submitted again') // SLOT_DONE
    const ring = this.chooseRing()
    this.encode(ring, ring.begin())
    ring.commit(this)
    return ring
  }

  /** Has one whose request has ended go on with the next, or end where the ring takes no more. */
  protected submitNext(flags: number): void {
    try {
      this.descriptor.dispatcher.submit(this)
    } catch (error) {
      // Reaping has to go on, and whoever waits for this to be told.
      if (!(error instanceof KernelError)) throw error
      this.settle(error.errno, flags)
    }
  }

  /** Where it goes, now. */
  protected chooseRing(): Ring {
    return this.executor.io.ringFor(this.home as TaskQueue)
  }

  /** @internal It was held back, and now the ring refuses it. */
  refuse(errno: number): void {
    assert(errno < 0, 'a refusal is a negative error number')
    this.settle(errno, 0)
  }

  protected override dequeue(): void {
    this.descriptor.dispatcher.withdraw(this)
  }

  protected override describe(): KernelErrorContext {
    return { syscall: this.syscall, path: this.descriptor.path, fd: this.descriptor.fd }
  }

  protected override finish(): void {
    this.descriptor.leave()
  }

  // Counted once it is submitted, since the ring may refuse it; until the next reap nothing ends.
  protected begin(): void {
    assert(this.slot === -1, 'an operation begins once') // SLOT_CREATED
    this.descriptor.dispatcher.submit(this)
    this.executor.io.control.counters[32]!++ // COUNTER_FILE_OPERATIONS
    this.descriptor.enter()
  }
}
