import {
  assert,
  count,
  isUrl,
  optionNames,
  RuntimeError,
  showAs,
  validateBoolean,
  validateInteger,
  validateOptions,
  validateString,
  wrongType,
} from '../base/index.ts'
import {
  type Executor,
  executor,
  refuse,
  ShieldedWaiter,
  WaitList,
  type WaitOptions,
} from '../executor/index.ts'
import { Lease } from '../memory/index.ts'
import { PoolPlacement, Topology } from '../topology/index.ts'
import { Job } from './job.ts'
import type {
  BlockingReply,
  BlockingRequest,
  BlockingThread,
  BlockingThreadEnd,
  BlockingThreads,
  Transferable,
} from './protocol.ts'
import { SimulatedThreads } from './sim-threads.ts'
import { loadingModule } from './thread-state.ts'
import { WorkerThreads } from './worker-threads.ts'

const ACTION = 'run a function in another thread'
const CREATION = 'create a blocking pool'
const THREAD_COUNT_DEFAULT = 4
const QUEUED_MAX_DEFAULT = 4096

/** How a {@link BlockingPool} is made. */
export interface BlockingPoolOptions {
  /** For messages and the threads; `blocking` if not given. */
  readonly name?: string
  /** How many threads, and where they run; four, wherever the process may run, if not given. */
  readonly placement?: PoolPlacement
  /** How many calls may stand in line before those with `refuseWhenFull` are refused; 4,096 if not given. */
  readonly queuedMax?: number
  /** What the heap of a thread may grow to, in MiB; Node's own limit if not given. */
  readonly heapMiB?: number
}

/** How a function is called. */
export interface BlockingCallOptions extends WaitOptions {
  /** What of the arguments moves to the thread rather than being copied. */
  readonly transfer?: readonly Transferable[] | undefined
  /**
   * Whether its thread is ended, and another takes its place, if the wait ends early while the function runs. If not, the
   * default, it runs on to its end, which nobody is told, and has its thread until then.
   */
  readonly terminate?: boolean | undefined
  /** Whether to be refused with `ERR_WOULD_BLOCK`, rather than wait, where as many calls as may stand in line. */
  readonly refuseWhenFull?: boolean | undefined
}

/** What a {@link BlockingPool} has done since it was made; reading does not reset it. */
export interface BlockingPoolStats {
  readonly threadCount: number
  /** Threads that run a function. */
  readonly busyCount: number
  /** Calls that stand in line. */
  readonly queuedCount: number
  /** Functions that have returned, or thrown. */
  readonly completedCount: number
  /** Threads that have ended while the pool was open. */
  readonly lostThreadCount: number
}

const POOL_NAMES = optionNames<BlockingPoolOptions>({
  name: true,
  placement: true,
  queuedMax: true,
  heapMiB: true,
})
const CALL_NAMES = optionNames<BlockingCallOptions>({
  signal: true,
  timeoutMs: true,
  transfer: true,
  terminate: true,
  refuseWhenFull: true,
})

interface PoolThread {
  readonly index: number
  thread: BlockingThread
  job: Job | null
}

/**
 * Threads for functions that block: compression, password hashes, a synchronous library, computations that can't yield.
 *
 * A thread is started when a call finds none idle, up to as many as there may be; calls beyond that stand in one line. Threads are
 * those of `node:worker_threads`, on processors of their own choosing, not those of the executor that made the pool. Calls keep the
 * program alive, idle threads do not. A function that exits its thread, or runs out of memory, fails its own call with
 * `ERR_THREAD_ENDED`, and another thread takes the place. Belongs to one executor, whose close ends it.
 *
 * In a simulation functions are called on the one thread there is, after virtual times from the seed.
 *
 * Source: glommio's `spawn_blocking`, which never resolves where the function panics, and loses its thread.
 *
 * @example A pool of two threads
 * ```ts run
 * import { BlockingPool } from 'percore/blocking'
 * import { PoolPlacement } from 'percore/topology'
 *
 * await using pool = new BlockingPool({ name: 'hashes', placement: PoolPlacement.unbound(2) })
 * const key = await pool.call('node:crypto', 'scryptSync', ['password', 'salt', 32])
 * console.log((key as Uint8Array).length) // 32
 * ```
 */
export class BlockingPool implements AsyncDisposable {
  static {
    showAs(BlockingPool, (pool) => {
      const { busyCount, threadCount, queuedCount } = pool.stats()
      const threads = `${busyCount} of ${count(threadCount, 'thread')} busy`
      return `BlockingPool(${pool.name}) ${threads}, ${queuedCount} queued`
    })
  }

  readonly name: string
  readonly #executor: Executor
  readonly #threads: BlockingThreads
  readonly #queuedMax: number
  readonly #slots: (PoolThread | null)[]
  readonly #idle: PoolThread[] = []
  readonly #line: WaitList<Job> = new WaitList(this)
  readonly #closers: WaitList<ShieldedWaiter<void>> = new WaitList(this)
  #isClosing = false
  #threadCount = 0
  #busyCount = 0
  #completedCount = 0
  #lostThreadCount = 0

  /**
   * @throws {TypeError | RangeError} for options of the wrong kind.
   * @throws {RuntimeError} `ERR_CPU_UNAVAILABLE`, `ERR_TOO_FEW_CPUS` for a placement that this machine does not have;
   * `ERR_EXECUTOR_CLOSED`.
   */
  constructor(options: BlockingPoolOptions = {}) {
    validateOptions(CREATION, options, POOL_NAMES)
    const { name = 'blocking', placement, queuedMax = QUEUED_MAX_DEFAULT, heapMiB } = options
    validateString(CREATION, 'name', name)
    validateInteger(CREATION, 'queuedMax', queuedMax, { min: 0, max: 1e9 })
    if (heapMiB !== undefined) validateInteger(CREATION, 'heapMiB', heapMiB, { min: 4, max: 1e6 })
    this.#executor = executor()
    this.#executor.assertOpen(CREATION)
    this.name = name
    this.#queuedMax = queuedMax
    const { kernel } = this.#executor
    const cpus = placement === undefined ? THREAD_COUNT_DEFAULT : resolve(placement, this.#executor)
    this.#threads =
      kernel.name === 'sim'
        ? new SimulatedThreads(this.#executor, typeof cpus === 'number' ? cpus : cpus.length)
        : new WorkerThreads({ kernel, name, cpus, heapMiB })
    this.#slots = new Array<PoolThread | null>(this.#threads.countMax).fill(null)
  }

  /**
   * Calls a function of a module in another thread: `call(new URL('./hash.js', import.meta.url), 'hash', [bytes])`.
   *
   * Arguments and result are copied, as `structuredClone()` does, or moved (`transfer`, {@link transferResult}); arguments at
   * once, also where the call has to wait. The module is loaded once in each thread. {@link blocking} has types for it. A
   * function that returns a promise has its thread until that settles.
   *
   * Rejects with what the function throws, of the same class where that is JavaScript's own or percore's, with its code and
   * with the frames of both threads; with `ERR_THREAD_ENDED` if its thread ended, `ERR_WOULD_BLOCK` where the line is full and that
   * was asked for, `ERR_HANDLE_CLOSED` once the pool is closed, and as {@link WaitOptions} say: a call that stands in
   * line is withdrawn then. With a `TypeError` for what can't be cloned, and for arguments of the wrong kind; with
   * `ERR_UNSUPPORTED` in a module that is being loaded for such a call.
   */
  call(
    module: URL | string,
    name: string,
    values: readonly unknown[] = [],
    options?: BlockingCallOptions,
  ): Promise<unknown> {
    try {
      const site: { stack?: string } = {}
      Error.captureStackTrace(site, this.call)
      return this.#call(checkRequest(module, name), values, checkOptions(values, options), site)
    } catch (error) {
      return refuse(error)
    }
  }

  /**
   * What the kernel refused as a thread was bound last, which many containers do: it runs all the same, wherever the calling thread
   * may.
   */
  get refusals(): readonly Error[] {
    return this.#threads.refusals
  }

  /** Counts of its threads and calls. */
  stats(): BlockingPoolStats {
    return {
      threadCount: this.#threadCount,
      busyCount: this.#busyCount,
      queuedCount: this.#line.length,
      completedCount: this.#completedCount,
      lostThreadCount: this.#lostThreadCount,
    }
  }

  /**
   * Refuses further calls, and resolves when those that were made have been answered and all threads have ended.
   *
   * Calling it again waits for the same.
   */
  close(): Promise<void> {
    try {
      const waiter = new ShieldedWaiter<void>(this.#executor)
      if (!this.#isClosing) this.#beginClosing()
      if (this.#threadCount === 0) waiter.fulfil()
      else {
        this.#closers.push(waiter)
        this.#executor.liveness.hold()
      }
      return waiter.promise
    } catch (error) {
      return refuse(error)
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** @internal A call in line was withdrawn: nobody else can go for that. */
  waiterLeft(): void {}

  /** @internal */
  jobAbandoned(job: Job): void {
    if (!job.terminates) return
    for (const slot of this.#slots) if (slot?.job === job) slot.thread.terminate()
  }

  /** @internal The executor closes: nobody waits for answers any more. */
  executorCloses(reason: RuntimeError): void {
    for (const slot of this.#slots) slot?.job?.fail(reason)
    this.#beginClosing()
  }

  #call(
    request: BlockingRequest,
    values: readonly unknown[],
    options: BlockingCallOptions,
    site: { readonly stack?: string },
  ): Promise<unknown> {
    const { signal, timeoutMs, transfer = [], terminate = false } = options
    this.#assertCallable(options)
    const job = new Job(this.#executor, this, { request, terminates: terminate, site })
    const isBounded = signal !== undefined || timeoutMs !== undefined
    job.bindListed(this.#executor, isBounded ? { signal, timeoutMs } : undefined, ACTION)
    job.hold()
    try {
      const slot = this.#idle.pop() ?? this.#startThread()
      if (slot === null) this.#queue(job, values, transfer)
      else this.#begin(slot, job, () => slot.thread.begin(request, values, transfer))
    } catch (error) {
      if (job.isWaiting) job.fail(asTypeError(error))
    }
    return job.promise
  }

  #assertCallable({ refuseWhenFull = false }: BlockingCallOptions): void {
    if (this.#isClosing && !this.#executor.isClosing) {
      throw new RuntimeError(
        'ERR_HANDLE_CLOSED',
        `Cannot ${ACTION} as pool '${this.name}' must be open: it was closed`,
      )
    }
    const isFull = this.#threadCount === this.#slots.length && this.#idle.length === 0
    if (refuseWhenFull && isFull && this.#line.length >= this.#queuedMax) {
      throw new RuntimeError(
        'ERR_WOULD_BLOCK',
        `Cannot ${ACTION} at once as at most ${this.#queuedMax} calls must stand in line: ${this.#line.length} do`,
      )
    }
    const loading = loadingModule()
    if (loading !== null) {
      throw new RuntimeError(
        'ERR_UNSUPPORTED',
        `Cannot ${ACTION} as ${loading} must not call into threads while a thread loads it, or each would start another: put the function into a module of its own`,
      )
    }
  }

  #queue(job: Job, values: readonly unknown[], transfer: readonly Transferable[]): void {
    job.packed = this.#threads.pack(values, transfer)
    this.#line.push(job)
  }

  /** Gives a thread its next call; if that can't be sent the thread is idle again. */
  #begin(slot: PoolThread, job: Job, send: () => void): void {
    assert(slot.job === null, 'a thread runs one call at a time')
    try {
      send()
    } catch (error) {
      this.#idle.push(slot)
      throw error
    }
    slot.job = job
    this.#busyCount++
  }

  /** A new thread, or null where there may be no more. */
  #startThread(): PoolThread | null {
    const index = this.#slots.indexOf(null)
    if (index < 0) return null
    const slot: Partial<PoolThread> & { readonly index: number; job: Job | null } = {
      index,
      job: null,
    }
    const found = slot as PoolThread
    try {
      found.thread = this.#threads.start(index, {
        onReply: (reply) => this.#onReply(found, reply),
        onEnd: (end) => this.#onEnd(found, end),
      })
    } catch (error) {
      // With others at work it can wait for one of them.
      if (this.#threadCount > 0) return null
      throw error
    }
    this.#slots[index] = found
    if (this.#threadCount++ === 0) this.#executor.waits.loose.add(this)
    return found
  }

  #onReply(slot: PoolThread, reply: BlockingReply): void {
    const { job } = slot
    // What a thread still says after it was given up.
    if (job === null) return
    slot.job = null
    this.#busyCount--
    this.#completedCount++
    job.answer(reply)
    this.#goOn(slot)
  }

  /** Has a thread that is free run what is first in line. */
  #goOn(slot: PoolThread): void {
    const next = this.#line.shift()
    if (next !== null) {
      const { packed } = next
      assert(packed !== null, 'a call in line has its arguments with it')
      next.packed = null
      this.#begin(slot, next, () => slot.thread.beginPacked(next.request, packed))
    } else if (this.#isClosing) {
      slot.thread.end()
    } else {
      this.#idle.push(slot)
    }
  }

  #onEnd(slot: PoolThread, end: BlockingThreadEnd): void {
    assert(this.#slots[slot.index] === slot, 'a thread ends once')
    this.#slots[slot.index] = null
    const idleIndex = this.#idle.indexOf(slot)
    if (idleIndex >= 0) this.#idle.splice(idleIndex, 1)
    if (!this.#isClosing) this.#lostThreadCount++
    const { job } = slot
    if (job !== null) {
      slot.job = null
      this.#busyCount--
      job.threadEnded(end)
    }
    if (--this.#threadCount === 0) this.#executor.waits.loose.delete(this)
    this.#replace()
    if (this.#threadCount === 0 && this.#isClosing) this.#endClosing()
  }

  /** Starts a thread for those in line where one has ended. */
  #replace(): void {
    while (this.#line.length > 0) {
      try {
        const slot = this.#startThread()
        if (slot !== null) this.#goOn(slot)
        return
      } catch (error) {
        this.#line.shift()?.fail(error)
      }
    }
  }

  #beginClosing(): void {
    this.#isClosing = true
    for (let slot = this.#idle.pop(); slot !== undefined; slot = this.#idle.pop()) slot.thread.end()
    if (!this.#executor.isClosing) return
    // Busy ones end with what they run: their calls have been told.
    for (const slot of this.#slots) slot?.thread.end()
  }

  #endClosing(): void {
    for (let waiter = this.#closers.shift(); waiter !== null; waiter = this.#closers.shift()) {
      this.#executor.liveness.letGo()
      waiter.fulfil()
    }
  }
}

function resolve(
  placement: PoolPlacement,
  { kernel }: Executor,
): ReturnType<PoolPlacement['resolve']> {
  if (!(placement instanceof PoolPlacement)) {
    throw wrongType(CREATION, 'placement', 'a PoolPlacement', placement)
  }
  return placement.resolve(Topology.read(kernel))
}

/** @internal @throws {TypeError} for what names no function of a module. */
export function checkRequest(module: unknown, name: unknown): BlockingRequest {
  validateString(ACTION, 'name', name)
  if (isUrl(module)) return { module: module.href, name }
  if (typeof module !== 'string') throw wrongType(ACTION, 'module', 'a URL', module)
  // A name alone would be looked for beside percore, not beside the caller.
  if (!URL.canParse(module)) {
    throw new TypeError(
      `Cannot ${ACTION} as module must be a URL, such as new URL('./work.js', import.meta.url): current value is ${JSON.stringify(module)}`,
    )
  }
  return { module, name }
}

function checkOptions(
  values: unknown,
  options: BlockingCallOptions | undefined,
): BlockingCallOptions {
  if (!Array.isArray(values)) throw wrongType(ACTION, 'values', 'an array of arguments', values)
  for (const value of values) {
    // A clone of it would be an empty object.
    if (value instanceof Lease)
      throw wrongType(ACTION, 'values', 'cloneable: lease.bytes is', value)
  }
  if (options === undefined) return {}
  validateOptions(ACTION, options, CALL_NAMES)
  const { transfer, terminate, refuseWhenFull } = options
  if (transfer !== undefined && !Array.isArray(transfer)) {
    throw wrongType(ACTION, 'transfer', 'an array', transfer)
  }
  if (terminate !== undefined) validateBoolean(ACTION, 'terminate', terminate)
  if (refuseWhenFull !== undefined) validateBoolean(ACTION, 'refuseWhenFull', refuseWhenFull)
  return options
}

/** What can't be cloned is an argument of the wrong kind; all else stays as it is. */
function asTypeError(error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== 'DataCloneError') return error
  return new TypeError(`Cannot ${ACTION} as its arguments must be cloneable: ${error.message}`, {
    cause: error,
  })
}
