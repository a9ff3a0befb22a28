import { assert, optionNames, validateInteger, validateOptions } from '../base/index.ts'
import {
  DOUBLE_HOST_ALONE_NS,
  DOUBLE_HOST_CONTESTED_NS,
  DOUBLE_HOST_VISITS,
  type LoopControl,
  WORD_HOST_READY,
} from '../kernel/index.ts'
import { Claim, type Schedulable } from './scheduler.ts'
import { SHARES_DEFAULT, SHARES_MIN } from './shares.ts'
import {
  type LatencyClass,
  type QueueFileStats,
  type TaskQueueStats,
  validateLatency,
} from './task-queue.ts'

const HOST_SHARES_MAX = 10_000
const HOST_LATENCY_MS = 1

/** How Node's own event loop takes part in the scheduling of this thread. */
export interface HostOptions {
  /** 1 … 10,000, beside those of task queues; 1000 if not given. */
  readonly shares?: number
  /**
   * How soon its sockets, timers and messages are looked at while task queues are busy; `{ maxMs: 1 }` if
   * not given. With null it runs by its shares alone, which suits a program that serves nothing with it.
   */
  readonly latency?: LatencyClass | null
}

/** What Node moves itself is not counted here. */
const NO_FILES: QueueFileStats = {
  transferCount: 0,
  readBytes: 0,
  writtenBytes: 0,
  heldCount: 0,
  heldNs: 0,
  limitedCount: 0,
}
const NAMES = optionNames<HostOptions>({ shares: true, latency: true })

/** {@link HostOptions}, checked. */
export interface CheckedHostOptions {
  readonly shares: number
  /** Infinity without a class. */
  readonly latencyNs: number
}

/** @throws {TypeError | RangeError} for anything but {@link HostOptions}. */
export function validateHostOptions(action: string, options: HostOptions): CheckedHostOptions {
  validateOptions(action, options, NAMES, 'host')
  const { shares = SHARES_DEFAULT, latency = { maxMs: HOST_LATENCY_MS } } = options
  validateInteger(action, 'host.shares', shares, { min: SHARES_MIN, max: HOST_SHARES_MAX })
  if (latency === null) return { shares, latencyNs: Number.POSITIVE_INFINITY }
  return { shares, latencyNs: validateLatency(action, latency, 'host.latency') }
}

/** What {@link HostQueue.sync} asks of the scheduler. */
interface HostScheduler {
  remove(host: HostQueue): void
  charge(host: HostQueue, elapsedNs: number): void
  wake(host: HostQueue, nowNs: number): void
}

/**
 * Node's event loop as the scheduler sees it: a queue that is runnable while libuv has something to do,
 * and whose turn is an iteration of libuv's.
 */
export class HostQueue implements Schedulable {
  readonly name = 'node'
  readonly isHost: true = true
  readonly shares: number
  readonly latencyNs: number
  readonly claim: Claim | null
  heapIndex: number = -1
  virtualRuntime: number = 0
  order: number = 0
  hasYielded: boolean = false
  readonly #control: LoopControl
  #chargedNs = 0

  constructor({ shares, latencyNs }: CheckedHostOptions, control: LoopControl) {
    this.shares = shares
    this.latencyNs = latencyNs
    this.claim = latencyNs === Number.POSITIVE_INFINITY ? null : new Claim(latencyNs, shares, true)
    this.#control = control
  }

  get isRunnable(): boolean {
    return this.heapIndex !== -1
  }

  /**
   * The time that it ran while task queues waited, since the last call. What it ran while nobody
   * else wanted the thread is charged to nobody, as if all had started anew.
   */
  takeElapsedNs(): number {
    const contestedNs = this.#control.doubles[DOUBLE_HOST_CONTESTED_NS]!
    const elapsedNs = contestedNs - this.#chargedNs
    assert(elapsedNs >= 0, 'the time that the host loop has run only grows')
    this.#chargedNs = contestedNs
    return elapsedNs
  }

  /** Charges Node's loop what it has run, and has it wait for its turn if it has something to do. */
  sync(scheduler: HostScheduler, nowNs: number): void {
    const elapsedNs = this.takeElapsedNs()
    const isReady = this.#control.words[WORD_HOST_READY] !== 0
    if (elapsedNs === 0 && isReady === this.isRunnable) return
    // The hook leaves by itself when no task queue is runnable: then the host has had its turn.
    scheduler.remove(this)
    if (elapsedNs > 0) scheduler.charge(this, elapsedNs)
    if (isReady) scheduler.wake(this, nowNs)
    assert(this.isRunnable === isReady, "Node's loop waits for a turn while it has something to do")
  }

  stats(): TaskQueueStats {
    const { doubles } = this.#control
    return {
      name: this.name,
      shares: this.shares,
      runtimeNs: doubles[DOUBLE_HOST_CONTESTED_NS]! + doubles[DOUBLE_HOST_ALONE_NS]!,
      turnCount: doubles[DOUBLE_HOST_VISITS]!,
      settledCount: 0,
      taskCount: 0,
      files: NO_FILES,
    }
  }
}

/** The task queues that wait for a turn. Node's loop, which may wait too, does not end what is short anyway. */
export class WaitingQueues {
  readonly #all: { readonly size: number }
  readonly #host: HostQueue

  constructor(all: { readonly size: number }, host: HostQueue) {
    this.#all = all
    this.#host = host
  }

  get size(): number {
    return this.#all.size - (this.#host.isRunnable ? 1 : 0)
  }
}
