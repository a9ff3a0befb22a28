import {
  assert,
  KernelError,
  NS_PER_US,
  type RunQueue,
  type RuntimeError,
} from '../../base/index.ts'
import type { ListOfWaits, TaskQueue, Waits } from '../../executor/index.ts'
import { DOUBLE_NOW_NS, type LoopControl } from '../../kernel/index.ts'
import { Timer, type TimerPort } from '../../reactor/index.ts'
import type { Operation, Ring } from '../../ring/index.ts'
import { DeviceScheduler, type ScheduledRequest } from './device-scheduler.ts'
import { HeldCounts } from './held-counts.ts'
import { capOf } from './io-cap.ts'
import type { Flow } from './io-flow.ts'
import type { DeviceLimits } from './io-model.ts'

/** What a {@link Dispatcher} knows of an operation. */
export interface Dispatched extends Operation, ScheduledRequest {
  /** Whether its request may be submitted before the turn ends. */
  readonly submitsEarly: boolean
  /** Whose it is. */
  readonly queue: TaskQueue
  /** Whether it moves bytes, so that it may be held back. */
  readonly isTransfer: boolean
  /** Puts its next request into a ring. Throws where the ring takes no more. */
  issue(): Ring
  /** Ends one that was held back and is refused by the ring. */
  refuse(errno: number): void
}

/** What a dispatcher needs of its executor. */
export interface DispatcherHome {
  readonly waits: Waits
  readonly timers: TimerPort
  readonly defaultQueue: RunQueue
  readonly io: { readonly control: LoopControl }
  nowNs(): number
}

/** The device that a {@link Dispatcher} is for. */
export interface Device {
  readonly limits: DeviceLimits | null
  /** See `shareWords()`. */
  readonly words: Int32Array
}

/**
 * So many entries are submitted at once rather than with the turn's end: a device that gets its
 * requests in one burst a turn runs dry in between. Measured at depth 32 against fio: 1 costs a
 * quarter more CPU, waiting for the end of the turn a sixth of the throughput.
 */
const BURST_COUNT_MIN = 4
/** Where requests complete within the call that submits them nothing runs dry: there calls are the cost. */
const BURST_COUNT_MAX = 32

/**
 * Stands between the operations on files of one device and the rings: each request goes by it, those that follow a
 * short one too.
 *
 * Everything passes, unless the device was measured and several task queues use it, or a task queue has a cap: then
 * {@link DeviceScheduler} says what is next. Local to one executor. O(1), no allocation, no clock while nothing has to wait.
 */
export class Dispatcher implements ListOfWaits {
  /** @internal As a list of waits. */
  earlier: ListOfWaits | null = null
  /** @internal */
  later: ListOfWaits | null = null
  readonly #home: DispatcherHome
  readonly #device: Device
  /** Of requests that the device answers, and of those that the page cache does: each file has the one or the other. */
  readonly #deviceBurst = new Burst()
  readonly #cacheBurst = new Burst()
  #scheduler: DeviceScheduler<Dispatched> | null = null
  readonly #flows = new WeakMap<TaskQueue, Flow<Dispatched>>()
  #lastQueue: TaskQueue | null = null
  #lastFlow: Flow<Dispatched> | null = null
  #timer: PumpTimer | null = null
  #isListed = false
  /** Where something was submitted that has waited, and what. */
  #issuedRing: Ring | null = null
  #issuedBurst: Burst = this.#deviceBurst

  constructor(home: DispatcherHome, device: Device) {
    this.#home = home
    this.#device = device
    if (device.limits !== null) this.#schedule()
  }

  /** How many operations are held back. */
  get queuedCount(): number {
    return this.#scheduler?.queuedCount ?? 0
  }

  /**
   * Submits the next request of `operation` with this turn's, or sooner; or holds it back.
   *
   * @throws {KernelError} where the ring takes no more; {@link RuntimeError} `ERR_EXECUTOR_CLOSED`.
   */
  submit(operation: Dispatched): void {
    const scheduler = operation.isTransfer ? this.#schedulerFor(operation) : null
    if (scheduler !== null && this.#holdsBack(scheduler, operation)) return
    const ring = scheduler === null ? operation.issue() : issueCharged(scheduler, operation)
    if (operation.submitsEarly) this.#burstOf(operation).submit(ring)
  }

  /** Takes out an operation that is queued; its end is the caller's to tell. */
  withdraw(operation: Dispatched): void {
    assert(operation.state === 'queued', 'what is withdrawn is queued')
    const scheduler = this.#scheduler!
    scheduler.withdraw(this.#flowOf(operation), operation, this.#nowUs())
    this.#pump(scheduler)
  }

  /** A request of an operation has ended, whatever follows. */
  completed(operation: Dispatched): void {
    const scheduler = this.#scheduler
    if (scheduler === null) return
    scheduler.completed(operation)
    if (scheduler.queuedCount > 0) this.#pump(scheduler)
  }

  /** @internal */
  audit(): void {
    this.#scheduler?.audit()
  }

  /** @internal Ends what waits; what nothing may cancel goes on. */
  executorCloses(waits: Waits, reason: RuntimeError): void {
    assert(waits === this.#home.waits, 'a dispatcher is of one executor')
    const scheduler = this.#scheduler!
    // What one says may end others, such as the blocks of a stream.
    for (const operation of scheduler.queued()) {
      if (operation.state === 'queued') operation.executorCloses(reason)
    }
    for (const operation of scheduler.queued()) {
      scheduler.withdraw(this.#flowOf(operation), operation, this.#nowUs())
      this.issue(operation)
    }
    this.#pump(scheduler)
  }

  /** @internal For its scheduler. */
  issue(operation: Dispatched): void {
    try {
      this.#issuedRing = operation.issue()
      this.#issuedBurst = this.#burstOf(operation)
    } catch (error) {
      // Its caller is gone, and whoever else is in line has to get on.
      if (!(error instanceof KernelError)) throw error
      this.#scheduler!.completed(operation)
      operation.refuse(error.errno)
    }
  }

  /** What decides about a transfer, and charges for it; null where it passes as it is. */
  #schedulerFor({ queue, isMetered }: Dispatched): DeviceScheduler<Dispatched> | null {
    const scheduler = this.#scheduler ?? (queue.ioCaps === null ? null : this.#schedule())
    if (scheduler === null || this.#home.waits.closeReason !== null) return null
    // What the page cache answers takes no time of the device: not even the clock is read for it.
    return isMetered || queue.ioCaps !== null ? scheduler : null
  }

  #holdsBack(scheduler: DeviceScheduler<Dispatched>, operation: Dispatched): boolean {
    const flow = this.#flowOf(operation)
    // The clock of the turn will do where nobody waits.
    const turnUs = this.#home.io.control.doubles[DOUBLE_NOW_NS]! / NS_PER_US
    if (scheduler.passesAlone(flow, operation, turnUs)) return false
    if (scheduler.offer(flow, operation, this.#nowUs())) return false
    this.#settle(scheduler)
    return true
  }

  #schedule(): DeviceScheduler<Dispatched> {
    const { limits, words } = this.#device
    this.#scheduler = new DeviceScheduler<Dispatched>({ port: this, limits, words })
    return this.#scheduler
  }

  #flowOf(operation: Dispatched): Flow<Dispatched> {
    const { queue } = operation
    if (queue === this.#lastQueue) return this.#lastFlow!
    let flow = this.#flows.get(queue)
    if (flow === undefined) {
      flow = this.#scheduler!.createFlow(new HeldCounts(queue, this.#home.io), capOf(queue))
      this.#flows.set(queue, flow)
    }
    this.#lastQueue = queue
    this.#lastFlow = flow
    return flow
  }

  #nowUs(): number {
    return this.#home.nowNs() / NS_PER_US
  }

  #pump(scheduler: DeviceScheduler<Dispatched>): void {
    scheduler.pump(this.#nowUs())
    this.#settle(scheduler)
  }

  /** Does what follows from what was submitted, and from what waits. */
  #settle(scheduler: DeviceScheduler<Dispatched>): void {
    const ring = this.#issuedRing
    this.#issuedRing = null
    if (ring !== null) this.#issuedBurst.submit(ring)
    const isWaiting = scheduler.queuedCount > 0
    const { timers, waits } = this.#home
    if (isWaiting !== this.#isListed) {
      this.#isListed = isWaiting
      if (isWaiting) waits.addList(this)
      else waits.removeList(this)
    }
    const nextNs = Math.ceil(scheduler.nextUs * NS_PER_US)
    this.#timer ??= isWaiting ? new PumpTimer(this.#home, () => this.#pump(scheduler)) : null
    if (this.#timer !== null) this.#timer.arm(timers, isWaiting ? nextNs : Number.POSITIVE_INFINITY)
  }

  #burstOf({ isMetered }: Dispatched): Burst {
    return isMetered ? this.#deviceBurst : this.#cacheBurst
  }
}

/** How many requests are submitted with one system call, by where those before completed. */
class Burst {
  #count = BURST_COUNT_MIN

  /** Submits what waits in `ring`, if that is enough. */
  submit(ring: Ring): void {
    const { unsubmittedCount } = ring
    if (unsubmittedCount < this.#count) return
    const { readyCount } = ring
    ring.submit()
    const completedCount = ring.readyCount - readyCount
    this.#count =
      completedCount < unsubmittedCount
        ? BURST_COUNT_MIN
        : Math.min(BURST_COUNT_MAX, this.#count * 2)
  }
}

/** Of an operation that may pass: what it was charged is given back where the ring refuses it. */
function issueCharged(scheduler: DeviceScheduler<Dispatched>, operation: Dispatched): Ring {
  try {
    return operation.issue()
  } catch (error) {
    scheduler.completed(operation)
    throw error
  }
}

/** Keeps the program alive while something waits, and looks when there may be room for it. */
class PumpTimer extends Timer {
  readonly #pump: () => void
  #deadlineNs = Number.POSITIVE_INFINITY

  constructor(home: DispatcherHome, pump: () => void) {
    super(home.defaultQueue, { keepsAlive: true })
    this.#pump = pump
  }

  /** Moves it; Infinity is never. */
  arm(timers: TimerPort, deadlineNs: number): void {
    if (deadlineNs === this.#deadlineNs && this.isArmed) return
    timers.disarm(this)
    this.#deadlineNs = deadlineNs
    if (deadlineNs < Number.POSITIVE_INFINITY) timers.arm(this, deadlineNs)
  }

  // What it submits runs no user code.
  override expire(): void {
    this.#deadlineNs = Number.POSITIVE_INFINITY
    this.#pump()
  }

  override run(): void {}
}
