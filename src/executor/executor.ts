import { assert, NS_PER_MS, RuntimeError } from '../base/index.ts'
import {
  DOUBLE_DEADLINE_NS,
  DOUBLE_NOW_NS,
  DOUBLE_TURN_END_NS,
  kernelError,
  LEAVE_ALONE,
  LEAVE_CONTESTED,
  WORD_ENTER_ERROR,
  WORD_HOST_READY,
  WORD_LEAVE,
  WORD_REFERENCED,
  WORD_RUNNABLE,
  WORD_TURN_SEQUENCE,
} from '../kernel/index.ts'
import { Reactor, type Timers } from '../reactor/index.ts'
import { Audit } from './audit.ts'
import { CompletionChains } from './completion-chains.ts'
import { currentContext } from './context.ts'
import { checkExecutorOptions, type ExecutorOptions } from './executor-options.ts'
import { FollowUps } from './follow-ups.ts'
import { HostQueue } from './host-queue.ts'
import { Preemption, watchPreemption } from './preempt.ts'
import { Scheduler } from './scheduler.ts'
import { type CheckedStallOptions, StallDetector, validateStallOptions } from './stall-detector.ts'
import type { StallOptions } from './stall-report.ts'
import { type ExecutorStats, readStats } from './stats.ts'
import { Task, type TaskBody, TaskStart } from './task.ts'
import { type QueueOwner, queueNotFound, TaskQueue, type TaskQueueOptions } from './task-queue.ts'
import { assertThreadFree, claimThread } from './thread-claim.ts'
import { isBudgetTimed, READY_BUDGET, TURN_TARGET_NS } from './turn-policy.ts'

/**
 * The tasks of one thread, and who runs next.
 *
 * One per thread, attached to Node's own event loop by the first use of {@link executor}, or by
 * {@link attachExecutor} with options. Everything it gives out belongs to its thread.
 */
export class Executor {
  readonly name: string
  /** @internal */
  readonly reactor: Reactor
  /** @internal */
  readonly timers: Timers
  readonly defaultQueue: TaskQueue
  /** @internal */
  readonly preemption: Preemption
  /** @internal How the turn goes on behind the continuations of its first batch. */
  readonly followUps: FollowUps
  /** @internal The smallest latency class among the queues, or Infinity. */
  latencyNsMin = Number.POSITIVE_INFINITY

  readonly #scheduler = new Scheduler<TaskQueue | HostQueue>()
  readonly #host: HostQueue
  readonly #queues = new Set<TaskQueue>()
  readonly #words: Int32Array
  readonly #doubles: Float64Array
  #running: TaskQueue | null = null
  #turnStartNs = 0
  #readyBudget = READY_BUDGET
  readonly #chains: CompletionChains
  #taskCount = 0
  /** When a manager of shares is to be asked next. */
  #adjustNs = Number.POSITIVE_INFINITY
  #isClosed = false
  /** In simulation only. */
  #audit: Audit | null = null
  readonly #sliceNs: number
  #stalls: StallDetector | null = null
  readonly #leaveThread: () => void

  /** @internal Use {@link attachExecutor}. */
  constructor(options: ExecutorOptions = {}) {
    const checked = checkExecutorOptions(options)
    this.name = checked.name
    assertThreadFree(checked.kernel)
    this.reactor = new Reactor(checked, () => this.#turn())
    this.timers = this.reactor.timers
    this.#words = this.reactor.control.words
    this.#doubles = this.reactor.control.doubles
    this.preemption = new Preemption(this.reactor, this, checked.sliceNs)
    this.#host = new HostQueue(checked.host, this.#doubles)
    const waiting = new WaitingQueues(this.#scheduler, this.#host)
    this.#chains = new CompletionChains(this.reactor, waiting)
    this.followUps = new FollowUps(this, waiting)
    if (checked.kernel.name === 'sim') {
      const [queues, scheduler, reactor] = [this.#queues, this.#scheduler, this.reactor]
      this.#audit = new Audit({ queues, scheduler, reactor, waiting })
    }
    this.defaultQueue = new TaskQueue(this, 'default', {})
    this.#queues.add(this.defaultQueue)
    this.#sliceNs = checked.sliceNs
    if (checked.stalls !== null) this.#stalls = this.#startStallDetector(checked.stalls)
    this.#leaveThread = claimThread(checked.kernel, this.name)
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  nowNs(): number {
    return this.reactor.kernel.nowNs()
  }

  /** The queue that the running code belongs to; the default queue outside of any task. */
  currentQueue(): TaskQueue {
    const queue = currentContext()?.queue
    if (queue === undefined) return this.defaultQueue
    if (queue.owner === this) return queue
    refuseConfined(queue.owner, this)
    // Code may outlive the executor that it was started on, and go on with the next.
    return this.defaultQueue
  }

  /** The task that the running code belongs to, or null. */
  currentTask(): Task<unknown> | null {
    const task = currentContext()?.task
    return task !== undefined && task.queue.owner === this ? (task as Task<unknown>) : null
  }

  createTaskQueue(name: string, options: TaskQueueOptions = {}): TaskQueue {
    this.assertOpen('create a task queue')
    const queue = new TaskQueue(this, name, options)
    this.#queues.add(queue)
    this.latencyNsMin = Math.min(this.latencyNsMin, queue.latencyNs)
    this.#adjustNs = Math.min(this.#adjustNs, queue.currentShares.dueNs)
    this.#stalls?.addQueue(queue)
    return queue
  }

  /** Every task queue, the default one first. */
  taskQueues(): TaskQueue[] {
    return [...this.#queues]
  }

  /** @internal */
  spawnInto<T>(queue: TaskQueue, body: TaskBody<T>, name?: string): Task<T> {
    this.assertOpen('spawn a task')
    if (queue.isRemoved || queue.owner !== this) throw queueNotFound('spawn a task', queue)
    const task = new Task<T>(queue, name ?? (body.name || 'anonymous'))
    this.#taskCount++
    queue.push(new TaskStart(queue, task, body))
    return task
  }

  stats(): ExecutorStats {
    return readStats({
      name: this.name,
      reactor: this.reactor,
      queues: this.#queues,
      host: this.#host,
      taskCount: this.#taskCount,
      followUpCount: this.followUps.count,
    })
  }

  /**
   * Reports every turn that takes longer than its budget, with the JavaScript stack of the code that
   * held it up; null ends it. Off at first.
   *
   * A turn is what a task queue runs between two looks at the clock: tasks, and continuations
   * of awaits of percore's. Code that Node calls by itself (a timer's callback, an HTTP handler)
   * is no turn.
   *
   * A stall is reported once: `onStall` is called when it is over. One that lasts a second longer than
   * its budget is also written to standard error while it goes on, since it might never end.
   * The time is the clock's: a process that is stopped, or a thread that gets no CPU, stalls too.
   *
   * Costs one store per turn, and a thread that wakes up twice per budget. Neither it nor a report to
   * come keeps the program alive: at its end `onStall` gets what is left. The stack is taken with the
   * help of Node's inspector, in a worker by way of the main thread; a report without one says why,
   * as those of the first moments, in which the watching thread starts.
   *
   * @throws {TypeError | RangeError} for options of the wrong kind.
   * @throws {RuntimeError} `ERR_UNSUPPORTED` on a simulated kernel; `ERR_EXECUTOR_CLOSED`.
   *
   * Source: glommio's `detect_stalls`.
   *
   * @example Find what holds up a thread
   * ```ts run
   * import { executor, spawn } from 'percore'
   *
   * executor().detectStalls({ budgetMs: 20, onStall: (stall) => console.log(stall) })
   * await spawn(function busy() {
   *   const endMs = performance.now() + 200
   *   while (performance.now() < endMs);
   * })
   * ```
   */
  detectStalls(options: StallOptions | null): void {
    this.assertOpen('detect stalls')
    const checked = options === null ? null : validateStallOptions(options, this.#sliceNs)
    this.#stalls?.stop()
    this.#stalls = null
    if (checked !== null) this.#stalls = new StallDetector(this, checked)
  }

  /**
   * @internal Takes one piece of the turn's budget for answers that need no waiting.
   *
   * When it is used up, by count or by the clock, what is ready has to wait for a later turn all the
   * same: else a loop over ready data would be a chain of microtasks that never lets anybody else run.
   *
   * Source: tokio's cooperative budget.
   */
  takeReadyBudget(): boolean {
    if (this.#readyBudget === 0) return false
    this.#readyBudget--
    if (isBudgetTimed(this.#readyBudget) && this.#isTurnOver()) this.#readyBudget = 0
    return true
  }

  /** Whether a turn goes on that has taken its time; between turns the host runs code of its own. */
  #isTurnOver(): boolean {
    if ((this.#words[WORD_TURN_SEQUENCE]! & 1) === 0) return false
    return this.nowNs() - this.#turnStartNs >= TURN_TARGET_NS
  }

  /** @internal @throws {RuntimeError} `ERR_EXECUTOR_CLOSED` */
  assertOpen(action: string): void {
    if (this.#isClosed) {
      throw new RuntimeError(
        'ERR_EXECUTOR_CLOSED',
        `Cannot ${action} as executor '${this.name}' must be open: it was closed`,
      )
    }
  }

  /**
   * Leaves the event loop: what is in flight is cancelled, and its promises stay pending.
   *
   * A program that simply ends need not call it.
   */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.followUps.end()
    this.#stalls?.stop()
    this.#stalls = null
    this.reactor.close()
    this.#leaveThread()
    if (current === this) setCurrent(null)
  }

  #startStallDetector(options: CheckedStallOptions): StallDetector {
    try {
      return new StallDetector(this, options)
    } catch (error) {
      this.reactor.close()
      throw error
    }
  }

  /** @internal */
  forgetQueue(queue: TaskQueue): void {
    this.#queues.delete(queue)
    this.#stalls?.removeQueue(queue)
    this.latencyNsMin = Number.POSITIVE_INFINITY
    for (const { latencyNs } of this.#queues)
      this.latencyNsMin = Math.min(this.latencyNsMin, latencyNs)
  }

  /** @internal The queue whose turn has not been charged yet, or null. */
  get runningQueue(): TaskQueue | null {
    return this.#running
  }

  /** @internal Charges the last turn now, which is over, rather than with the next one. */
  settleTurn(): void {
    this.#endTurn((this.#words[WORD_TURN_SEQUENCE]! - 1) | 0)
  }

  /** @internal A queue has got its first waiter. */
  wakeQueue(queue: TaskQueue): void {
    this.#words[WORD_RUNNABLE]!++
    if (queue !== this.#running) {
      this.#scheduler.wake(queue, this.#doubles[DOUBLE_NOW_NS]!)
      if (queue.claim !== null && this.#scheduler.hasUrgent()) this.preemption.isDue = true
    }
    if (this.#words[WORD_REFERENCED] === 0) this.reactor.host.reference()
  }

  /** @internal A queue has lost its last waiter; only a turn takes any. */
  emptiedQueue(): void {
    this.#words[WORD_RUNNABLE]!--
  }

  /** @internal Whether a queue other than the running one is runnable and has a claim to go first. */
  hasUrgentQueue(): boolean {
    return this.#scheduler.hasUrgent()
  }

  /** @internal The latency class of Node's loop while that waits for its turn, else Infinity. */
  get hostLatencyNs(): number {
    return this.#host.isRunnable ? this.#host.latencyNs : Number.POSITIVE_INFINITY
  }

  /** @internal Node's loop has something to do. */
  hostIsReady(): void {
    this.#words[WORD_HOST_READY] = 1
    if (!this.#host.isRunnable) this.#scheduler.wake(this.#host, this.nowNs())
  }

  /**
   * One round of the event loop: charges the last turn, reaps, and settles a batch of the queue whose
   * turn it is, or leaves to Node's loop. Microtasks, and with them continuations, run as this returns.
   */
  #turn(): void {
    if (this.#words[WORD_ENTER_ERROR] !== 0) this.#failEnter()
    this.#endTurn((this.#words[WORD_TURN_SEQUENCE]! - 2) | 0)
    this.reactor.reap()
    this.#syncHost()
    this.#audit?.check(this.#words[WORD_RUNNABLE]!)
    const nowNs = this.#chains.collect(this.#doubles[DOUBLE_NOW_NS]!)
    if (nowNs >= this.#doubles[DOUBLE_DEADLINE_NS]!) this.reactor.timers.expire(nowNs)
    if (nowNs >= this.#adjustNs) this.#adjustShares(nowNs)
    const next = this.#scheduler.pick()
    const queue = next instanceof TaskQueue ? next : undefined
    if (this.#stalls !== null) this.#stalls.beginTurn(queue)
    if (queue !== undefined) this.#runBatch(queue, nowNs)
    else if (next !== undefined) this.#leave()
    // Also while others are waiting: the host's events may not wait until nobody is.
    this.reactor.arm()
  }

  /** Charges Node's loop what it has run, and has it wait for its turn if it has something to do. */
  #syncHost(): void {
    const host = this.#host
    const elapsedNs = host.takeElapsedNs()
    const isReady = this.#words[WORD_HOST_READY] !== 0
    if (elapsedNs > 0 || isReady !== host.isRunnable) {
      // The hook leaves by itself when no task queue is runnable: then the host has had its turn.
      this.#scheduler.remove(host)
      if (elapsedNs > 0) this.#scheduler.charge(host, elapsedNs)
      if (isReady) this.#scheduler.wake(host, this.#doubles[DOUBLE_NOW_NS]!)
    }
  }

  /** Has the hook leave to Node's loop as this turn ends. */
  #leave(): void {
    this.#words[WORD_LEAVE] = this.#words[WORD_RUNNABLE]! > 0 ? LEAVE_CONTESTED : LEAVE_ALONE
  }

  /** Asks managers of shares; also for queues that wait, since few shares can make them wait long. */
  #adjustShares(nowNs: number): void {
    // One that throws ends this turn: the others are asked soon.
    this.#adjustNs = nowNs + NS_PER_MS
    let dueNs = Number.POSITIVE_INFINITY
    for (const queue of this.#queues) {
      const before = queue.shares
      queue.currentShares.adjust(nowNs)
      if (queue.shares !== before) this.#scheduler.rescale(queue, queue.shares / before)
      dueNs = Math.min(dueNs, queue.currentShares.dueNs)
    }
    this.#adjustNs = dueNs
  }

  #endTurn(sequence: number): void {
    const queue = this.#running
    if (queue === null) return
    this.#running = null
    this.followUps.end()
    const elapsedNs = this.#doubles[DOUBLE_TURN_END_NS]! - this.#turnStartNs
    queue.charge(elapsedNs)
    this.#scheduler.charge(queue, elapsedNs)
    if (queue.length > 0) this.#scheduler.add(queue, this.#doubles[DOUBLE_TURN_END_NS]!)
    // Last, since a report makes a queue runnable: maybe this one.
    if (this.#stalls !== null) this.#stalls.endTurn(queue, sequence, elapsedNs)
  }

  #runBatch(queue: TaskQueue, nowNs: number): void {
    this.#running = queue
    this.#turnStartNs = nowNs
    this.#readyBudget = READY_BUDGET
    this.preemption.beginTurn(nowNs)
    const limit = queue.beginBatch()
    const first = queue.peek()
    assert(first !== null, 'a runnable queue has a waiter')
    const count = this.settle(queue, limit, first.runsUserCode)
    queue.endBatch(count)
    if (!first.runsUserCode) this.followUps.begin(queue, count, limit - count, nowNs)
  }

  /**
   * @internal Settles up to `limit` waiters of the queue whose turn it is, of one kind: promises settled
   * run on when the turn returns, tasks start at once, so tasks would overtake.
   */
  settle(queue: TaskQueue, limit: number, runsUserCode: boolean): number {
    const { preemption } = this
    let count = 0
    for (let next = queue.peek(); next !== null; next = queue.peek()) {
      if (next.runsUserCode !== runsUserCode || count === limit) break
      if (runsUserCode && (preemption.isDue || this.#isClosed)) break
      queue.pop()
      next.run()
      count++
    }
    return count
  }

  #failEnter(): never {
    const error = kernelError(-this.#words[WORD_ENTER_ERROR]!, { syscall: 'io_uring_enter' })
    this.#words[WORD_ENTER_ERROR] = 0
    // Nothing can be submitted or collected any more: once is enough to say so.
    this.close()
    throw error
  }
}

/** The task queues that wait for a turn. Node's loop, which may wait too, does not end what is short anyway. */
class WaitingQueues {
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

/** The one ambient value: the executor of this thread. Factories read it as their default. */
let current: Executor | null = null
/** Those that are ambient for their own tasks alone, whatever runs beside them or after them. */
const confined = new WeakSet<QueueOwner>()
let hasConfined = false

/** The executor of the running code: that of its task if it is {@link confine}d, else the thread's. */
export function currentOrNull(): Executor | null {
  if (!hasConfined) return current
  const owner = currentContext()?.queue.owner
  return owner !== undefined && confined.has(owner) ? (owner as Executor) : current
}

export function setCurrent(executor: Executor | null): void {
  current = executor
  // With two of them at a time it depends on the caller which one needPreempt() asks.
  watchPreemption(hasConfined ? null : (executor?.preemption ?? null))
}

/**
 * Makes an executor the ambient one of its own tasks, and of nobody else: not of the code beside it,
 * and still when it is closed, so that what its tasks leave behind can't reach another.
 *
 * The thread then pays a look at the asynchronous context for each question.
 */
export function confine(executor: Executor): void {
  confined.add(executor)
  hasConfined = true
  watchPreemption(null, () => currentOrNull()?.preemption ?? null)
}

/** A simulated program that used a real file, made outside of it, would change a real disk. */
function refuseConfined(owner: QueueOwner, other: Executor): void {
  if (!hasConfined || !confined.has(owner)) return
  throw new RuntimeError(
    'ERR_UNSUPPORTED',
    `Cannot go on as a simulated program must make what it uses: this is of executor '${other.name}'`,
  )
}

/**
 * The executor of this thread; the first call attaches one with default options.
 *
 * @throws {RuntimeError} `ERR_URING_UNAVAILABLE`, `ERR_MEMLOCK_LIMIT`, `ERR_ADDON_MISSING`, each naming
 * cause and cure; `ERR_EXECUTOR_EXISTS` if another copy of the package has the thread;
 * `ERR_EXECUTOR_CLOSED` in a simulated program whose simulation has ended.
 */
export function executor(): Executor {
  const found = currentOrNull()
  if (found === null) return attachExecutor()
  // Nobody else's is ambient once it is closed.
  if (hasConfined) found.assertOpen('go on')
  return found
}

/**
 * Attaches an executor to this thread's event loop.
 *
 * @throws {RuntimeError} `ERR_EXECUTOR_EXISTS` if the thread has one; else as {@link executor}.
 * @throws {TypeError | RangeError} for options of the wrong kind.
 */
export function attachExecutor(options: ExecutorOptions = {}): Executor {
  const existing = currentOrNull()
  if (existing !== null) {
    existing.assertOpen('attach another')
    throw new RuntimeError(
      'ERR_EXECUTOR_EXISTS',
      `Cannot attach an executor as a thread must have only one: it has '${existing.name}'`,
    )
  }
  const attached = new Executor(options)
  setCurrent(attached)
  return attached
}
