import {
  assert,
  count,
  NS_PER_MS,
  optionNames,
  RunQueue,
  RuntimeError,
  showAs,
  validateDurationMs,
  validateOptions,
  validateString,
  wrongType,
} from '../base/index.ts'
import {
  countQueue,
  QUEUE_BYTES_READ,
  QUEUE_BYTES_WRITTEN,
  QUEUE_HELD,
  QUEUE_HELD_NS,
  QUEUE_LIMITED,
  QUEUE_RUNTIME_NS,
  QUEUE_SETTLED,
  QUEUE_SHARES,
  QUEUE_TASKS,
  QUEUE_TRANSFERS,
  QUEUE_TURNS,
  type QueueRecord,
  type QueueRecords,
  readQueue,
} from '../stats/index.ts'
import { Claim, type Schedulable } from './scheduler.ts'
import { CurrentShares, SHARES_DEFAULT, type Shares } from './shares.ts'
import { batchLimitFor } from './turn-policy.ts'
import type { Waits } from './waits.ts'

/**
 * How soon tasks of a queue must run while others are busy: queues, or Node's own event loop.
 *
 * The queue goes before others while it has credit, which it earns as queues without a class run: three
 * times their time at 1000 shares, less with fewer. An iteration of Node's loop is not cut short.
 */
export interface LatencyClass {
  /** The longest wait, in milliseconds, beside cooperative tasks; bounds their slices. */
  readonly maxMs: number
}

export interface TaskQueueOptions {
  /** 1 … 1000, or a manager; 1000 if not given. */
  readonly shares?: Shares
  /** None if not given: the queue is for throughput. */
  readonly latency?: LatencyClass
  /** What its reads and writes of files may take at the most. */
  readonly io?: IoLimits
}

/**
 * What reads and writes of files in a task queue may take at the most, on all devices and through the page cache alike; no limit where none
 * is given. What is more waits; up to 10 ms of it go at once.
 */
export interface IoLimits {
  readonly bytesPerSecondMax?: number
  readonly operationsPerSecondMax?: number
}

/** {@link IoLimits}, checked. */
export interface IoCaps {
  readonly bytesPerSecondMax: number
  readonly operationsPerSecondMax: number
}

const NAMES = optionNames<TaskQueueOptions>({ shares: true, latency: true, io: true })
const LATENCY_NAMES = optionNames<LatencyClass>({ maxMs: true })
const IO_NAMES = optionNames<IoLimits>({
  bytesPerSecondMax: true,
  operationsPerSecondMax: true,
})

/** Counters of one queue since its creation; reading does not reset them. */
export interface TaskQueueStats {
  readonly name: string
  readonly shares: number
  /** Time its turns took. */
  readonly runtimeNs: number
  /** How often it was picked. */
  readonly turnCount: number
  /** How many waiters its turns settled, task starts included. */
  readonly settledCount: number
  readonly taskCount: number
  readonly files: QueueFileStats
}

/** What one queue has moved to and from files, and how long that was held back. */
export interface QueueFileStats {
  /** Reads and writes that did not fail; one is counted once, however many requests it took. */
  readonly transferCount: number
  readonly readBytes: number
  readonly writtenBytes: number
  /** Those that are held back now: for the queue's share of a device, or by its own limits. */
  readonly heldCount: number
  /** How long such were held back, all together, as far as they have gone on. */
  readonly heldNs: number
  /** How often its own limits have held back whatever was next. */
  readonly limitedCount: number
}

let lastNumber = -1

/** What a queue tells the executor that it belongs to. */
export interface QueueOwner {
  /** The one queue that is never removed. */
  readonly defaultQueue: TaskQueue
  /** Where its queues count. */
  readonly queueRecords: QueueRecords
  /** The waits of the executor, which its close looks through. */
  readonly waits: Waits
  /** Whether nothing more can be begun on it. */
  readonly isClosing: boolean
  /** The queue has got its first waiter. */
  wakeQueue(queue: TaskQueue): void
  /** The queue has lost its last waiter; only a turn takes any. */
  emptiedQueue(): void
  /** The queue was removed. */
  forgetQueue(queue: TaskQueue): void
}

/**
 * A queue of work that shares the thread with others in proportion to its shares.
 *
 * Made by {@link createTaskQueue}; belongs to one executor. Work in it runs first in, first out.
 */
export class TaskQueue extends RunQueue implements Schedulable {
  static {
    showAs(TaskQueue, (queue) => {
      const state = queue.isRemoved ? 'removed' : count(queue.taskCount, 'task')
      return `TaskQueue(${queue.name}) ${count(queue.shares, 'share')}, ${state}`
    })
  }

  readonly name: string
  /** @internal The wait that its latency class allows, or Infinity. */
  readonly latencyNs: number
  /** @internal */
  readonly claim: Claim | null
  /** @internal */
  readonly ioCaps: IoCaps | null
  /** @internal */
  readonly owner: QueueOwner
  /** @internal Names it where names do not fit; never used twice in a thread. */
  readonly number: number = ++lastNumber
  // What the scheduler knows of it.
  /** @internal */
  readonly isHost: false = false
  /** @internal */
  heapIndex: number = -1
  /** @internal */
  virtualRuntime: number = 0
  /** @internal */
  order: number = 0
  /** @internal */
  hasYielded: boolean = false
  /** @internal Tasks spawned into it that have not ended. */
  taskCount = 0
  /** @internal Streams whose consumers are called in it. */
  consumptionCount = 0
  /** @internal */
  readonly currentShares: CurrentShares
  #isRemoved = false
  #record: QueueRecord
  /** @internal What settling one waiter cost lately, its continuation included. */
  settleCostNs = 1000
  #batchCount = 0

  /** @internal */
  constructor(owner: QueueOwner, name: string, options: TaskQueueOptions) {
    super()
    const action = 'create a task queue'
    validateString(action, 'name', name)
    validateOptions(action, options, NAMES)
    const { latency } = options
    this.owner = owner
    this.name = name
    this.currentShares = new CurrentShares(options.shares ?? SHARES_DEFAULT)
    this.latencyNs =
      latency === undefined ? Number.POSITIVE_INFINITY : validateLatency(action, latency, 'latency')
    this.claim = latency === undefined ? null : new Claim(this.latencyNs, this.shares)
    this.ioCaps = options.io === undefined ? null : validateIoLimits(action, options.io)
    this.#record = owner.queueRecords.take(name, this.number)
    this.publishShares()
  }

  get shares(): number {
    return this.currentShares.value
  }

  get isLatencySensitive(): boolean {
    return this.latencyNs !== Number.POSITIVE_INFINITY
  }

  get isRemoved(): boolean {
    return this.#isRemoved
  }

  stats(): TaskQueueStats {
    const read = (field: number): number => readQueue(this.#record, field)
    return {
      name: this.name,
      shares: this.shares,
      runtimeNs: read(QUEUE_RUNTIME_NS),
      turnCount: read(QUEUE_TURNS),
      settledCount: read(QUEUE_SETTLED),
      taskCount: this.taskCount,
      files: {
        transferCount: read(QUEUE_TRANSFERS),
        readBytes: read(QUEUE_BYTES_READ),
        writtenBytes: read(QUEUE_BYTES_WRITTEN),
        heldCount: read(QUEUE_HELD),
        heldNs: read(QUEUE_HELD_NS),
        limitedCount: read(QUEUE_LIMITED),
      },
    }
  }

  /**
   * Removes the queue: nothing more can be spawned into it.
   *
   * What its code waits for without being a task, such as a read that it has begun and left behind, is still
   * settled in it.
   *
   * @throws {RuntimeError} `ERR_QUEUE_ACTIVE` while it has tasks, waiters or streams that are consumed in it;
   * `ERR_QUEUE_NOT_FOUND` if it
   * was removed before; `ERR_UNSUPPORTED` for the default queue.
   */
  remove(): void {
    if (this.#isRemoved) throw queueNotFound('remove', this)
    if (this === this.owner.defaultQueue) {
      throw new RuntimeError(
        'ERR_UNSUPPORTED',
        'Cannot remove the default task queue as every thread must have it',
      )
    }
    const { taskCount, length, consumptionCount } = this
    if (taskCount > 0 || length > 0 || consumptionCount > 0) {
      throw new RuntimeError(
        'ERR_QUEUE_ACTIVE',
        `Cannot remove task queue '${this.name}' as it must have no unfinished tasks, nothing to settle and no streams to consume: it has ${taskCount}, ${length} and ${consumptionCount}`,
      )
    }
    assert(this.heapIndex === -1, 'a queue with nothing to settle waits for no turn')
    this.#isRemoved = true
    this.#record = this.owner.queueRecords.release(this.#record)
    this.owner.forgetQueue(this)
  }

  /** @internal How many waiters a turn may settle, so that it takes about as long as it should. */
  beginBatch(): number {
    assert(this.length > 0, 'a queue has a turn when it has something to settle')
    assert(this.heapIndex === -1, 'a queue does not wait for a turn while it has one')
    this.#count(QUEUE_TURNS, 1)
    this.#batchCount = 0
    return batchLimitFor(this.settleCostNs)
  }

  /** @internal */
  endBatch(settledCount: number): void {
    assert(this.#batchCount === 0, 'a batch begins before it ends')
    this.#batchCount = settledCount
    this.#count(QUEUE_SETTLED, settledCount)
  }

  /** @internal Adds to the batch of the running turn. */
  extendBatch(settledCount: number): void {
    assert(this.#batchCount > 0, 'what follows a batch belongs to it')
    this.#batchCount += settledCount
    this.#count(QUEUE_SETTLED, settledCount)
  }

  /** @internal A task was spawned into it (1), or has ended (-1). */
  countTask(change: 1 | -1): void {
    this.taskCount += change
    assert(this.taskCount >= 0, 'a task ends once')
    assert(!this.#isRemoved, 'a queue with tasks stays')
    this.#count(QUEUE_TASKS, change)
  }

  /** @internal A read or write of a file has not failed. */
  countTransfer(isWrite: boolean, movedBytes: number): void {
    this.#count(QUEUE_TRANSFERS, 1)
    this.#count(isWrite ? QUEUE_BYTES_WRITTEN : QUEUE_BYTES_READ, movedBytes)
  }

  /** @internal A read or write of a file is held back (1), or no more (-1) after so long. */
  countHeld(change: 1 | -1, heldNs: number): void {
    this.#count(QUEUE_HELD, change)
    if (heldNs > 0) this.#count(QUEUE_HELD_NS, heldNs)
  }

  /** @internal Its limits hold back what is next. */
  countLimited(): void {
    this.#count(QUEUE_LIMITED, 1)
  }

  /** @internal Its shares are others than before. */
  publishShares(): void {
    this.#count(QUEUE_SHARES, this.shares - readQueue(this.#record, QUEUE_SHARES))
  }

  /** @internal Counts the time that the last turn took. */
  charge(elapsedNs: number): void {
    assert(elapsedNs >= 0, 'a turn does not end before it began')
    this.#count(QUEUE_RUNTIME_NS, elapsedNs)
    if (this.#batchCount > 0) {
      this.settleCostNs += (elapsedNs / this.#batchCount - this.settleCostNs) / 8
    }
  }

  #count(field: number, amount: number): void {
    countQueue(this.#record, field, amount)
  }

  /** @internal */
  protected override becameRunnable(): void {
    this.owner.wakeQueue(this)
  }

  /** @internal */
  protected override becameEmpty(): void {
    this.owner.emptiedQueue()
  }
}

/**
 * The bound of a latency class, in nanoseconds.
 *
 * @throws {TypeError | RangeError} for anything but {@link LatencyClass}.
 */
export function validateLatency(action: string, latency: LatencyClass, name: string): number {
  validateOptions(action, latency, LATENCY_NAMES, name)
  validateDurationMs(action, `${name}.maxMs`, latency.maxMs)
  return latency.maxMs * NS_PER_MS
}

function validateIoLimits(action: string, io: IoLimits): IoCaps {
  validateOptions(action, io, IO_NAMES, 'io')
  const rate = (name: keyof IoLimits): number => {
    const value = io[name]
    if (value === undefined) return Number.POSITIVE_INFINITY
    if (typeof value !== 'number') throw wrongType(action, `io.${name}`, 'a number', value)
    if (value >= 1) return value
    throw new RangeError(
      `Cannot ${action} as io.${name} must be 1 or more a second: current value is ${value}`,
    )
  }
  return {
    bytesPerSecondMax: rate('bytesPerSecondMax'),
    operationsPerSecondMax: rate('operationsPerSecondMax'),
  }
}

export function queueNotFound(action: string, queue: TaskQueue): RuntimeError {
  return new RuntimeError(
    'ERR_QUEUE_NOT_FOUND',
    `Cannot ${action} as task queue '${queue.name}' must be one of this executor: it was removed, or is another's`,
  )
}
