import { assert, count, showAs } from '../base/index.ts'
import {
  type DescriptorTable,
  DOUBLE_DEADLINE_NS,
  DOUBLE_NOW_NS,
  DOUBLE_TURN_END_NS,
  type Kernel,
  kernelError,
  LEAVE_ALONE,
  LEAVE_CONTESTED,
  WORD_DOORBELL,
  WORD_ENTER_ERROR,
  WORD_HOST_READY,
  WORD_LEAVE,
  WORD_QUEUE,
  WORD_REFERENCED,
  WORD_RUNNABLE,
  WORD_TURN_SEQUENCE,
} from '../kernel/index.ts'
import type { IoMemory } from '../memory/index.ts'
import {
  type DoorbellPort,
  type IoPort,
  type LivenessPort,
  type LoansPort,
  Reactor,
  type TimerPort,
} from '../reactor/index.ts'
import { COUNTER_TASKS, EXECUTOR_NAME_INDEX, QueueRecords, writeName } from '../stats/index.ts'
import { Audit } from './audit.ts'
import { Closing } from './closing.ts'
import { CompletionChains } from './completion-chains.ts'
import { refuseConfined } from './confined.ts'
import { taskInContext } from './context.ts'
import { checkExecutorOptions, type ExecutorOptions } from './executor-options.ts'
import { FollowUps } from './follow-ups.ts'
import { GcMeter } from './gc-meter.ts'
import { HostQueue, WaitingQueues } from './host-queue.ts'
import type { DeviceProperties } from './io-properties.ts'
import { Preemption } from './preempt.ts'
import { QueueSet } from './queue-set.ts'
import { Scheduler } from './scheduler.ts'
import { type CheckedStallOptions, StallDetector, validateStallOptions } from './stall-detector.ts'
import type { StallOptions } from './stall-report.ts'
import { type ExecutorStats, readStats } from './stats.ts'
import { abandonLater, Task, type TaskBody, TaskStart } from './task.ts'
import { queueNotFound, TaskQueue, type TaskQueueOptions } from './task-queue.ts'
import { assertThreadFree, claimThread } from './thread-claim.ts'
import { isBudgetTimed, READY_BUDGET, TURN_TARGET_NS } from './turn-policy.ts'
import { Waits } from './waits.ts'

/**
 * The tasks of one thread, and which queue runs next.
 *
 * One per thread, attached to Node's own event loop by the first use of {@link executor}, or by {@link attachExecutor}
 * with options. Everything it gives out belongs to its thread. Disposing of it is {@link close}.
 */
export class Executor implements AsyncDisposable {
  static {
    showAs(Executor, (executor) => {
      const state = executor.isClosed ? 'closed' : executor.isClosing ? 'closing' : 'open'
      return `Executor(${executor.name}) ${state}, ${count(executor.#queues.size, 'queue')}`
    })
  }

  readonly name: string
  /** @internal What devices can do, as far as they were measured. */
  readonly ioProperties: readonly DeviceProperties[]
  /** @internal */
  readonly kernel: Kernel
  /** @internal Where operations go. */
  readonly io: IoPort
  /** @internal */
  readonly memory: IoMemory
  /** @internal */
  readonly timers: TimerPort
  /** @internal What else keeps the program alive. */
  readonly liveness: LivenessPort
  /** @internal How other threads reach it. */
  readonly doorbell: DoorbellPort
  /** @internal */
  readonly loans: LoansPort
  /** @internal Descriptors that are closed with the loop at the latest. */
  readonly descriptors: DescriptorTable
  /** @internal Waits for neither the kernel nor a time, which {@link close} looks through. */
  readonly waits: Waits
  readonly defaultQueue: TaskQueue
  /** @internal */
  readonly preemption: Preemption
  /** @internal How the turn goes on behind the continuations of its first batch. */
  readonly followUps: FollowUps
  /** @internal Called as it leaves the event loop. */
  onLeave: (() => void) | null = null
  readonly #reactor: Reactor
  readonly #scheduler = new Scheduler<TaskQueue | HostQueue>()
  readonly #host: HostQueue
  readonly #queues = new QueueSet()
  #words: Int32Array
  #doubles: Float64Array
  #running: TaskQueue | null = null
  #turnStartNs = 0
  #readyBudget = READY_BUDGET
  readonly #chains: CompletionChains
  /** @internal Where each of its queues counts. */
  readonly queueRecords: QueueRecords
  #closing: Closing | null = null
  #isClosed = false
  #audit: Audit | null = null // in simulation only
  readonly #sliceNs: number
  #stalls: StallDetector | null = null
  readonly #gc: GcMeter | null
  readonly #leaveThread: () => void

  /** @internal Use {@link attachExecutor}. */
  constructor(options: ExecutorOptions = {}) {
    const checked = checkExecutorOptions(options)
    ;({ name: this.name, ioProperties: this.ioProperties } = checked)
    assertThreadFree(checked.kernel)
    const reactor = new Reactor(checked, () => this.#turn())
    this.#reactor = reactor
    this.kernel = reactor.kernel
    this.io = reactor
    ;({ memory: this.memory, timers: this.timers, liveness: this.liveness } = reactor)
    ;({ doorbell: this.doorbell, loans: this.loans } = reactor)
    this.descriptors = reactor.host
    this.waits = new Waits(checked.name)
    ;({ words: this.#words, doubles: this.#doubles } = reactor.control)
    writeName(reactor.control.counters, EXECUTOR_NAME_INDEX, checked.name)
    this.queueRecords = new QueueRecords(reactor.control)
    this.preemption = new Preemption(reactor, this, checked.sliceNs)
    this.#host = new HostQueue(checked.host, reactor.control)
    const waiting = new WaitingQueues(this.#scheduler, this.#host)
    this.#chains = new CompletionChains(reactor, waiting)
    this.followUps = new FollowUps({ home: this, reactor, runnable: waiting })
    if (checked.kernel.name === 'sim') {
      const [queues, scheduler, records] = [this.#queues, this.#scheduler, this.queueRecords]
      this.#audit = new Audit({ queues, scheduler, reactor, waiting, waits: this.waits, records })
    }
    this.defaultQueue = new TaskQueue(this, 'default', {})
    this.#queues.add(this.defaultQueue)
    this.#sliceNs = checked.sliceNs
    try {
      if (checked.stalls !== null) this.#stalls = this.#createStallDetector(checked.stalls)
    } catch (error) {
      reactor.close()
      throw error
    }
    this.#gc = checked.measuresGc ? new GcMeter(reactor.control) : null
    this.#leaveThread = claimThread(checked.kernel, this.name)
  }

  /** Whether it has left the event loop. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Whether {@link close} has been called: nothing more can be begun on it. */
  get isClosing(): boolean {
    return this.#isClosed || this.#closing !== null
  }

  nowNs(): number {
    return this.kernel.nowNs()
  }

  /** @internal Another number in each turn, and in between. */
  get turnSequence(): number {
    return this.#words[WORD_TURN_SEQUENCE]!
  }

  /** The queue that the running code belongs to; the default queue outside of any task. */
  currentQueue(): TaskQueue {
    const queue = taskInContext()?.queue
    if (queue === undefined) return this.defaultQueue
    if (queue.owner === this) return queue
    refuseConfined(queue.owner, this)
    // Code may outlive the executor that it was started on, and go on with the next.
    return this.defaultQueue
  }

  /** The task that the running code belongs to, or null. */
  currentTask(): Task<unknown> | null {
    const task = taskInContext()
    return task !== undefined && task.queue.owner === this ? (task as Task<unknown>) : null
  }

  createTaskQueue(name: string, options: TaskQueueOptions = {}): TaskQueue {
    this.assertOpen('create a task queue')
    const queue = new TaskQueue(this, name, options)
    this.#queues.add(queue)
    return queue
  }

  /** Every task queue, the default one first. */
  taskQueues(): TaskQueue[] {
    return [...this.#queues]
  }

  /** @internal Once it closes the task fails, not the call: a loop that tries again is to wait. */
  spawnInto<T>(queue: TaskQueue, body: TaskBody<T>, name?: string): Task<T> {
    if (queue.isRemoved || queue.owner !== this) throw queueNotFound('spawn a task', queue)
    const task = new Task<T>(queue, name ?? (body.name || 'anonymous'))
    this.#reactor.control.counters[COUNTER_TASKS]!++
    if (this.isClosing) task.requestCancel(this.waits.closedError('spawn a task'))
    if (this.#isClosed) abandonLater(task)
    else queue.push(new TaskStart(queue, task, body))
    return task
  }

  stats(): ExecutorStats {
    const { name } = this
    return readStats({ name, reactor: this.#reactor, queues: this.#queues, host: this.#host })
  }

  /**
   * Reports every turn that takes longer than its budget, with the JavaScript stack of the code that held it up; null
   * ends it. Off at first. Source: glommio's `detect_stalls`.
   *
   * A turn is what a task queue runs between two looks at the clock: tasks, and continuations of awaits of percore's.
   * Code that Node calls by itself (a timer's callback, an HTTP handler) is no turn.
   *
   * A stall is reported once: `onStall` is called when it is over. One that lasts a second longer than its budget is
   * also written to standard error while it goes on, since it might never end. The time is the clock's: a process
   * that is stopped, or a thread that gets no CPU, stalls too.
   *
   * Costs a comparison per turn and, for all of the process together, a thread that wakes up twice per budget. Neither
   * it nor a report to come keeps the program alive: at its end `onStall` gets what is left. The stack is taken with
   * the help of Node's inspector, in a worker by way of the main thread; a report without one says why, as those of the
   * first moments, in which the watching thread starts.
   *
   * @throws {TypeError | RangeError} for options of the wrong kind.
   * @throws {RuntimeError} `ERR_UNSUPPORTED` on a simulated kernel; `ERR_EXECUTOR_CLOSED`.
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
    if (checked !== null) this.#stalls = this.#createStallDetector(checked)
  }

  /**
   * @internal Takes one piece of the turn's budget for answers that need no waiting. When it is used up what is ready
   * waits for a later turn. Source: tokio's cooperative budget.
   */
  takeReadyBudget(): boolean {
    if (this.#readyBudget === 0) return false
    this.#readyBudget--
    if (isBudgetTimed(this.#readyBudget) && this.#isTurnOver()) this.#readyBudget = 0
    return true
  }

  /** Whether a turn goes on that has taken its time; between turns the host runs code of its own. */
  #isTurnOver(): boolean {
    return (this.turnSequence & 1) !== 0 && this.nowNs() - this.#turnStartNs >= TURN_TARGET_NS
  }

  /** @internal @throws {RuntimeError} `ERR_EXECUTOR_CLOSED` */
  assertOpen(action: string): void {
    if (this.isClosing) throw this.waits.closedError(action)
  }

  /**
   * Closes the executor: all that waits is told, then it leaves the event loop; resolves when it has.
   *
   * At once, all that waits is cancelled with one reason, an error of code `ERR_EXECUTOR_CLOSED`: tasks (those that
   * have not started never do), operations on files and sockets, consumers, timers, locks, channels, yields, scopes.
   * What is begun from now on is refused likewise. Then the loop goes on for a second at most, until all of that has
   * ended: `finally` blocks run, and may close files and streams, release locks and await other tasks. What the kernel
   * had done regardless is undone or delivered, as with any cancellation. After that second whatever has not ended is
   * left: its task fails, its descriptors are closed, and what its code waits for next never settles; until then each
   * refusal costs a turn, so that a loop which always tries again holds nobody up. Outside of tasks refusals go on,
   * each for an iteration of Node's loop. So with all that returns a promise; `createTaskQueue()` can only throw.
   *
   * A close that is under way (of a file, a stream, a gate) is not cancelled. A task that calls this is told like all
   * others, but not waited for. A promise of percore's that nobody awaits is not reported for this as an unhandled
   * rejection, nor is what fails for it alone while the executor closes, unless the program listens for those. Calling
   * it again returns the same promise. The thread can attach another executor once it has resolved. A program that
   * simply ends need not call it: then nothing is told, as with all of Node.
   *
   * @example Close for good
   * ```ts run
   * import { executor, spawn } from 'percore'
   * import { sleep } from 'percore/time'
   *
   * spawn(async () => {
   *   try {
   *     await sleep(60_000)
   *   } finally {
   *     console.log('cleaned up')
   *   }
   * })
   * await sleep(1)
   * await executor().close()
   * ```
   */
  close(): Promise<void> {
    if (this.#isClosed && this.#closing === null) return Promise.resolve()
    if (this.#closing === null) this.#beginClosing().drain()
    this.#closing!.addCaller(this.currentTask())
    return this.#closing!.promise
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** @internal Leaves the event loop at once, as a program that ends does: nobody is told. */
  leave(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.followUps.end()
    this.#gc?.stop()
    this.#stalls?.stop()
    this.#stalls = null
    this.#reactor.close()
    // Copies by now, as the slot in the directory may be another's.
    ;({ words: this.#words, doubles: this.#doubles } = this.#reactor.control)
    this.#leaveThread()
    assert(this.#reactor.main.isClosed, 'an executor that has left takes no more')
    this.onLeave?.()
    this.#closing?.finish()
  }

  #beginClosing(): Closing {
    assert(this.#closing === null, 'an executor begins to close once')
    const closing = new Closing(this, this.#reactor)
    this.#closing = closing
    closing.addCaller(this.currentTask())
    closing.tell()
    return closing
  }

  #createStallDetector(options: CheckedStallOptions): StallDetector {
    return new StallDetector(this, { ...options, reactor: this.#reactor })
  }

  /** @internal */
  forgetQueue(queue: TaskQueue): void {
    assert(queue.isRemoved, 'a queue that is forgotten takes nothing more')
    this.#queues.delete(queue)
  }

  /** @internal Whether anything is to be settled, also in a queue that was removed. */
  get hasRunnable(): boolean {
    return this.#words[WORD_RUNNABLE]! > 0
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
    assert(queue.length === 1, 'a queue wakes as its first waiter comes')
    this.#words[WORD_RUNNABLE]!++
    if (queue !== this.#running) {
      this.#scheduler.wake(queue, this.#doubles[DOUBLE_NOW_NS]!)
      if (queue.claim !== null && this.#scheduler.hasUrgent()) this.preemption.isDue = true
    }
    if (this.#words[WORD_REFERENCED] === 0) this.#reactor.host.reference()
  }

  /** @internal A queue has lost its last waiter; only a turn takes any. */
  emptiedQueue(): void {
    assert(this.#words[WORD_RUNNABLE]! > 0, 'a queue that becomes empty was runnable')
    this.#words[WORD_RUNNABLE]!--
  }

  /** @internal Once the loop is left: a queue all of which is to be settled, or null. */
  takeRunnable(): TaskQueue | null {
    if ((this.#running?.length ?? 0) === 0) this.#running = this.#scheduler.takeQueue()
    return this.#running
  }

  /** @internal Whether a queue other than the running one is runnable and has a claim to go first. */
  hasUrgentQueue(): boolean {
    return this.#scheduler.hasUrgent()
  }

  /** @internal The smallest latency class among the queues, or Infinity. */
  get latencyNsMin(): number {
    return this.#queues.latencyNsMin
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
   * One round of the event loop: charges the last turn, reaps, and settles a batch of the queue whose turn it is, or
   * leaves to Node's loop. Microtasks, and with them continuations, run as this returns.
   */
  #turn(): void {
    if (this.#words[WORD_ENTER_ERROR] !== 0) this.#failEnter()
    this.#endTurn((this.#words[WORD_TURN_SEQUENCE]! - 2) | 0)
    this.#reactor.reap()
    if (this.#words[WORD_DOORBELL] !== 0) this.#reactor.doorbell.answer()
    this.#host.sync(this.#scheduler, this.#doubles[DOUBLE_NOW_NS]!)
    this.#audit?.check(this.#words[WORD_RUNNABLE]!)
    const nowNs = this.#chains.collect(this.#doubles[DOUBLE_NOW_NS]!)
    if (nowNs >= this.#doubles[DOUBLE_DEADLINE_NS]!) this.#reactor.timers.expire(nowNs)
    if (nowNs >= this.#queues.adjustNs) this.#queues.adjustShares(nowNs, this.#scheduler)
    const next = this.#scheduler.pick()
    const queue = next instanceof TaskQueue ? next : undefined
    this.#words[WORD_QUEUE] = queue === undefined ? -1 : queue.number
    if (this.#stalls !== null) this.#stalls.beginTurn()
    if (queue !== undefined) this.#runBatch(queue, nowNs)
    else if (next !== undefined)
      this.#words[WORD_LEAVE] = this.#words[WORD_RUNNABLE]! > 0 ? LEAVE_CONTESTED : LEAVE_ALONE
    // Also while others are waiting: the host's events may not wait until nobody is.
    this.#reactor.arm()
  }

  #endTurn(sequence: number): void {
    const queue = this.#running
    if (queue === null) return
    this.followUps.end()
    this.#running = null
    const elapsedNs = this.#doubles[DOUBLE_TURN_END_NS]! - this.#turnStartNs
    queue.charge(elapsedNs)
    this.#scheduler.charge(queue, elapsedNs)
    if (queue.length > 0) this.#scheduler.add(queue, this.#doubles[DOUBLE_TURN_END_NS]!)
    // Last, since a report makes a queue runnable: maybe this one.
    if (this.#stalls !== null) this.#stalls.endTurn(queue, sequence, elapsedNs)
  }

  #runBatch(queue: TaskQueue, nowNs: number): void {
    assert(this.#running === null, 'a turn is charged before the next one')
    this.#running = queue
    this.#turnStartNs = nowNs
    this.#readyBudget = READY_BUDGET
    this.preemption.beginTurn(nowNs)
    const limit = queue.beginBatch()
    const first = queue.peek()
    assert(first !== null, 'a runnable queue has a waiter')
    const count = this.settle(queue, limit, first.runsUserCode)
    queue.endBatch(count)
    assert(count > 0, 'a turn settles something')
    if (!first.runsUserCode) this.followUps.begin(queue, count, limit - count, nowNs)
  }

  /**
   * @internal Settles up to `limit` waiters of the queue whose turn it is, of one kind: promises settled run on when
   * the turn returns, tasks start at once, so tasks would overtake.
   */
  settle(queue: TaskQueue, limit: number, runsUserCode: boolean): number {
    let count = 0
    for (let next = queue.peek(); next !== null; next = queue.peek()) {
      if (next.runsUserCode !== runsUserCode || count === limit) break
      if (runsUserCode && (this.preemption.isDue || this.#isClosed)) break
      queue.pop()
      next.run()
      count++
    }
    return count
  }

  #failEnter(): never {
    const error = kernelError(-this.#words[WORD_ENTER_ERROR]!, { syscall: 'io_uring_enter' })
    this.#words[WORD_ENTER_ERROR] = 0
    // Nothing can be submitted or collected any more: once is enough to say so, to all that waits.
    if (this.#closing === null) this.#beginClosing()
    this.leave()
    throw error
  }
}
