import {
  count,
  optionNames,
  RuntimeError,
  showAs,
  validateDurationMs,
  validateOptions,
} from '../base/index.ts'
import { refuse } from '../executor/index.ts'
import { currentKernel, type Kernel } from '../kernel/index.ts'
import { type Bound, type CpuSet, createBound, PoolPlacement, Topology } from '../topology/index.ts'
import { makeHelpers, moveHelpers } from './helper-threads.ts'
import { loadingModule } from './loading.ts'
import type { PoolTimer } from './long-timer.ts'
import {
  type CheckedPoolOptions,
  checkPoolOptions,
  type ExecutorPoolOptions,
} from './pool-options.ts'
import { decideRestart } from './restart-policy.ts'
import { ServiceBoard } from './service-board.ts'
import {
  describeError,
  describeExit,
  errorOf,
  failureOf,
  isFailure,
  type ShardExit,
} from './shard-exit.ts'
import { ShardHandle } from './shard-handle.ts'
import { ShardSlot, type SlotPort } from './shard-slot.ts'
import type { ShardProgram, ShardThread, ThreadEvents, ThreadStarter } from './shard-thread.ts'
import { currentThreadStarter } from './thread-starter.ts'

/** How a pool is stopped. */
export interface StopOptions {
  /**
   * When threads that have not ended are terminated, in milliseconds; 10,000 if not given. For the first half of it
   * programs that listen to their signal come to an end by themselves; then their executors are closed.
   */
  readonly deadlineMs?: number
}

const STOP_NAMES = optionNames<StopOptions>({ deadlineMs: true })
const DEADLINE_MS = 10_000

/**
 * Threads that each have an executor, on processors of their own, and run the same function: the default export of a
 * module. They share nothing.
 *
 * Whoever started it stays alive while a shard runs, and needs no executor. A failure of one shard ends that shard alone: its
 * handle, {@link join} and `onExit` say why; where nobody asked, a warning of the process does. Each costs a `Worker`: some
 * 10 MiB and tens of milliseconds.
 *
 * Source: glommio::LocalExecutorPoolBuilder.
 *
 * @example A function on each core
 * ```ts run
 * import { ExecutorPool } from 'percore/runtime'
 *
 * // In a file of its own: new URL('./shard.js', import.meta.url)
 * const module = new URL('data:text/javascript,export default (shard) => shard.id * shard.argument')
 * await using pool = await ExecutorPool.start({ module, argument: 10, shards: 1 })
 * console.log(await pool.results()) // [ 0 ]
 * ```
 */
export class ExecutorPool<Result = unknown> {
  static {
    showAs(
      ExecutorPool,
      ({ name, shards }) => `ExecutorPool(${name}) of ${count(shards.length, 'shard')}`,
    )
  }

  readonly name: string
  /** By their ids. */
  readonly shards: readonly ShardHandle<Result>[]
  readonly #slots: readonly ShardSlot[]
  readonly #options: CheckedPoolOptions<Result>
  readonly #kernel: Kernel
  readonly #starter: ThreadStarter
  readonly #hasNodes: boolean
  readonly #services: ServiceBoard
  #helperCount = 0
  #isObserved = false
  #stopping: Promise<readonly ShardExit<Result>[]> | null = null
  readonly #deadlines: PoolTimer[] = []
  /** How shards ended, and since when they were to: threads need not end in that order. */
  readonly #ends: { readonly exit: ShardExit; readonly sinceNs: number }[] = []

  /** @internal Use {@link start}. */
  constructor(options: CheckedPoolOptions<Result>) {
    this.#options = options
    this.name = options.name
    this.#kernel = currentKernel()
    this.#starter = currentThreadStarter()
    const topology = Topology.read(this.#kernel)
    this.#hasNodes = topology.nodes.length > 1
    const sets = placeShards(options, topology)
    const port = this.#createPort()
    this.#slots = sets.map((cpus, id) => {
      const memoryNodes = this.#hasNodes ? topology.memoryNodesOf(cpus) : []
      const name = options.ofShard?.(id).name ?? `${options.name}-${id}`
      return new ShardSlot(port, { id, name, cpus, memoryNodes })
    })
    // Before whoever joins, so that it is known by then.
    for (const slot of this.#slots)
      void slot.ended.promise.then((exit) => this.#noteEnd(slot, exit))
    this.#services = new ServiceBoard(this.#slots, {
      startTimeoutMs: options.startTimeoutMs,
      setTimer: port.setTimer,
    })
    const observe = (): void => {
      this.#isObserved = true
    }
    this.shards = Object.freeze(this.#slots.map((slot) => new ShardHandle<Result>(slot, observe)))
  }

  /**
   * Starts all shards, or none. Their functions begin when all modules are loaded and all executors attached.
   *
   * @throws {TypeError | RangeError} for options of the wrong kind, and an argument that cannot be cloned.
   * @throws {RuntimeError} `ERR_POOL_START_FAILED`, naming the first shard that did not start, and with what it met as
   * `cause`, once all others have ended; `ERR_TOO_FEW_CPUS`, `ERR_CPU_UNAVAILABLE` for a placement that this machine or
   * process has not the processors for; `ERR_TOPOLOGY_UNREADABLE`, `ERR_ADDON_MISSING`.
   */
  static async start<Argument = unknown, Result = unknown>(
    options: ExecutorPoolOptions<Argument, Result>,
  ): Promise<ExecutorPool<Result>> {
    const checked = checkPoolOptions(options)
    refuseRecursion(checked.module)
    return await ExecutorPool.startChecked(checked)
  }

  /** @internal */
  static async startChecked<Result>(
    options: CheckedPoolOptions<Result>,
  ): Promise<ExecutorPool<Result>> {
    const pool = new ExecutorPool<Result>(options)
    await pool.#start()
    return pool
  }

  /** How many of Node's own threads were moved to `helperCpus`: none before Node 22, which does not tell them apart. */
  get helperCount(): number {
    return this.#helperCount
  }

  /**
   * How all shards ended, by their ids, once they have; never rejects. Look at each `reason`, or take {@link results}.
   */
  async join(): Promise<readonly ShardExit<Result>[]> {
    this.#isObserved = true
    return (await Promise.all(this.#slots.map(({ ended }) => ended.promise))) as ShardExit<Result>[]
  }

  /**
   * What the functions of all shards returned, by their ids.
   *
   * @throws {RuntimeError} `ERR_SHARD_FAILED` for the first shard that failed, or was stopped, once all have ended; what it threw is
   * the `cause`. Others may have failed for want of that one.
   */
  async results(): Promise<Result[]> {
    const exits = await this.join()
    const failures = this.#ends.filter(({ exit }) => isFailure(exit))
    const first = failures.sort((a, b) => a.sinceNs - b.sinceNs)[0]
    return exits.map((exit) => {
      if (exit.reason === 'returned') return exit.value
      const cause = first?.exit ?? exit
      throw failureOf(cause, this.shards[cause.shard]!.name)
    })
  }

  /**
   * Stops all shards, and resolves to how they ended: their signals are aborted, then their executors are closed, and at
   * the deadline what is left is terminated, endless loops included. Again with an earlier deadline: that holds.
   *
   * Rejects with a `TypeError` or `RangeError` for options of the wrong kind, and stops nothing then.
   */
  stop(options: StopOptions = {}): Promise<readonly ShardExit<Result>[]> {
    try {
      return this.#stop(checkStop('stop a pool', options))
    } catch (error) {
      return refuse(error)
    }
  }

  #noteEnd({ threwAtNs }: ShardSlot, exit: ShardExit): void {
    this.#ends.push({ exit, sinceNs: threwAtNs ?? this.#kernel.nowNs() })
  }

  #stop(deadlineMs: number): Promise<readonly ShardExit<Result>[]> {
    const isFirst = this.#stopping === null
    this.#stopping ??= this.join().finally(() => {
      for (const deadline of this.#deadlines) deadline.cancel()
    })
    if (isFirst) for (const slot of this.#slots) slot.stop(deadlineMs / 2)
    // A deadline for nobody would keep the program alive until then.
    if (this.#slots.every(({ state }) => state === 'ended')) return this.#stopping
    const timer = this.#starter.setTimer(deadlineMs, () => {
      for (const slot of this.#slots) slot.terminate()
    })
    this.#deadlines.push(timer)
    return this.#stopping
  }

  /** {@link stop}, with the deadline that is given where none is. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** Keeps this thread alive while shards run, as it is at first. */
  ref(): this {
    for (const slot of this.#slots) slot.setReferenced(true)
    return this
  }

  /** Lets this thread end while shards run, which ends them if it is the main thread. */
  unref(): this {
    for (const slot of this.#slots) slot.setReferenced(false)
    return this
  }

  async #start(): Promise<void> {
    const { helperCpus } = this.#options
    if (this.#kernel.name !== 'sim') await makeHelpers()
    if (helperCpus !== undefined) this.#helperCount = moveHelpers(this.#kernel, helperCpus)
    const starts: Promise<void>[] = []
    for (const slot of this.#slots) {
      starts.push(slot.start())
      // Where one cannot even be made, no others are.
      if (slot.state === 'ended') break
    }
    try {
      await Promise.all(starts.map((start, id) => start.catch((error) => this.#refuse(id, error))))
      // One may have ended while it waited for the others.
      const lost = this.#slots.find(({ state }) => state !== 'ready')
      if (lost !== undefined) this.#refuse(lost.id, errorOf(lost.lastExit!))
    } catch (error) {
      const begun = this.#slots.slice(0, starts.length)
      for (const slot of begun) slot.stop(0)
      await Promise.all(begun.map(({ ended }) => ended.promise))
      throw error
    }
    const peers = this.#slots.map(({ peer }) => peer)
    for (const slot of this.#slots) slot.go(peers)
  }

  #refuse(id: number, error: unknown): never {
    const { name, cpus } = this.#slots[id]!
    throw new RuntimeError(
      'ERR_POOL_START_FAILED',
      `Cannot start a pool as all its shards must start: '${name}' (${id} of ${this.#slots.length}, on processors ${cpus}) did not load ${this.#options.module}: ${describeError(error)}`,
      { cause: error },
    )
  }

  #createPort(): SlotPort {
    const { startTimeoutMs } = this.#options
    return {
      startTimeoutMs,
      startThread: (slot, events) => this.#startThread(slot, events),
      setTimer: (delayMs, callback) => this.#starter.setTimer(delayMs, callback),
      decide: (slot, exit) => this.#decide(slot, exit),
      onReady: (slot) => void this.#resume(slot),
      onServices: (slot, message) => this.#services.onMessage(slot, message),
      onThreadEnd: (slot) => this.#services.onEnded(slot),
    }
  }

  /** Lets a thread begin that has taken the place of another, once the services run on it. */
  async #resume(slot: ShardSlot): Promise<void> {
    const { generation } = slot
    const failure = await this.#services.restore(slot).then(
      () => null,
      (error: unknown) => ({ error }),
    )
    if (slot.generation !== generation || slot.state !== 'ready') return
    if (failure !== null) {
      slot.failReady(failure.error)
      return
    }
    slot.go(this.#slots.map(({ peer }) => peer))
    for (const other of this.#slots) {
      if (other !== slot) other.post({ kind: 'peer', peer: slot.peer })
    }
    slot.ports.startAgain()
  }

  #startThread(slot: ShardSlot, events: ThreadEvents): Bound<ShardThread> {
    const { module, entry, argument, heap, env, execArgv, ofShard } = this.#options
    const own = ofShard?.(slot.id)
    const executor = own?.executor ?? this.#options.executor
    const asksForNodes = own?.hasIoMemory === false ? 'heap' : 'all'
    const { id, name, generation, cpus, memoryNodes } = slot
    const program: ShardProgram = {
      id,
      count: this.#slots.length,
      generation,
      name,
      module,
      ...(entry !== undefined && { entry }),
      argument,
      cpus: [...cpus],
      node: cpus.node,
      executor,
      asksForNodes: this.#hasNodes ? asksForNodes : 'no',
    }
    return createBound(this.#kernel, { cpus: cpus.ids, memoryNodes }, () =>
      this.#starter.start({ program, heap, env, execArgv }, events),
    )
  }

  #decide(slot: ShardSlot, exit: ShardExit): number | null {
    const { restart, onExit } = this.#options
    let restartMs: number | null = null
    if (isFailure(exit) && this.#stopping === null) {
      const decision = decideRestart(restart, slot.failures, this.#kernel.nowNs() / 1e6)
      slot.failures = decision.failures
      restartMs = decision.delayMs
    }
    const shard = this.shards[slot.id]!
    if (onExit !== undefined) {
      // Apart from what goes on here: a listener that throws is its own failure.
      queueMicrotask(() => onExit({ shard, exit: exit as ShardExit<Result>, restartMs }))
    } else if (isFailure(exit) && (restartMs !== null || !this.#isObserved)) {
      warnOf(slot, exit, restartMs)
    }
    return restartMs
  }
}

/** Where each shard runs. */
function placeShards(
  { placement, shardCount }: Pick<CheckedPoolOptions<never>, 'placement' | 'shardCount'>,
  topology: Topology,
): readonly CpuSet[] {
  if (placement === undefined) {
    const coreCount = topology.allowed.groupBy('core').length
    return PoolPlacement.maxSpread(shardCount ?? coreCount).resolve(topology)
  }
  const sets = placement.resolve(topology)
  if (shardCount === undefined || shardCount === sets.length) return sets
  throw new RangeError(
    `Cannot start a pool as shards must be what its placement has: ${shardCount} are asked for, the placement has ${sets.length}`,
  )
}

/** The deadline of a stop. @throws {TypeError | RangeError} for options of the wrong kind. */
export function checkStop(action: string, options: StopOptions): number {
  validateOptions(action, options, STOP_NAMES)
  const { deadlineMs = DEADLINE_MS } = options
  validateDurationMs(action, 'deadlineMs', deadlineMs)
  return deadlineMs
}

/** A module that starts a pool of itself as it is loaded would do so in each shard, and so on. */
function refuseRecursion(module: string): void {
  if (loadingModule() !== module) return
  throw new RuntimeError(
    'ERR_POOL_START_FAILED',
    `Cannot start a pool as a shard's module must not start one of itself while it is loaded: ${module} does; put the default export in a file of its own`,
  )
}

function warnOf(slot: ShardSlot, exit: ShardExit, restartMs: number | null): void {
  const error = 'error' in exit ? exit.error : undefined
  const stack = error instanceof Error && error.stack !== undefined ? `\n${error.stack}` : ''
  const what = restartMs === null ? 'and nobody has asked' : `and is restarted in ${restartMs} ms`
  process.emitWarning(`Shard '${slot.name}' ${describeExit(exit)}, ${what}${stack}`, {
    type: 'ShardFailure',
  })
}
