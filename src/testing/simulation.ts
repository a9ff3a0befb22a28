import {
  isAbortSignal,
  optionNames,
  RuntimeError,
  type RuntimeErrorCode,
  validateBoolean,
  validateFunction,
  validateInteger,
  validateOptions,
  wrongType,
} from '../base/index.ts'
import {
  confine,
  currentOrNull,
  Executor,
  type ExecutorOptions,
  keepWaitLog,
  type Task,
  WaitLog,
} from '../executor/index.ts'
import {
  assertHostTimers,
  formatTrace,
  SIM_OPTIONS,
  SimKernel,
  type SimKernelOptions,
  setImmediate,
} from '../sim/index.ts'
import { type CallSite, callSiteOf, formatSite } from './call-site.ts'
import { isTraceWanted, replayCommandAt, seedOfEnvironment } from './replay.ts'
import { describeWaits, readHostResources } from './stuck-report.ts'
import { VirtualGlobals } from './virtual-globals.ts'

/** How a program is simulated. */
export interface SimulationOptions extends Omit<SimKernelOptions, 'trace'> {
  /**
   * Called with a line per completion: virtual time, operation, descriptor and path, offset, length, result.
   * `PERCORE_TRACE=1` in the environment writes them to standard error.
   */
  readonly trace?: ((line: string) => void) | undefined
  /** The executor that the program gets; small rings and memory if not given. */
  readonly executor?: Omit<ExecutorOptions, 'kernel'>
  /** Turns that a program may have before it counts as stuck; 1,000,000 if not given. */
  readonly turnCountMax?: number
  /** Whether descriptors that the program leaves open are a failure; true if not given. */
  readonly checkDescriptors?: boolean
  /** Whether I/O buffers that the program does not release are a failure; false if not given. */
  readonly checkBuffers?: boolean
  /**
   * Whether the program's `Date`, `performance.now()` and `Math.random()` are the simulation's; true if not
   * given. Code beside it sees the real ones, and what a test has faked stays faked.
   */
  readonly virtualGlobals?: boolean
  /** Aborting it ends the simulation, as that of a test which took too long does. */
  readonly signal?: AbortSignal | undefined
  /** Called before the program, to arrange the disk. */
  readonly arrange?: (kernel: SimKernel) => void
}

const NAMES = optionNames<SimulationOptions>({
  ...SIM_OPTIONS,
  executor: true,
  turnCountMax: true,
  checkDescriptors: true,
  checkBuffers: true,
  virtualGlobals: true,
  signal: true,
  arrange: true,
})

/** What a simulated program gets. */
export interface Simulation {
  /** What decided everything; `PERCORE_SEED` if that is set. */
  readonly seed: number
  /** The machine: its disk, to look into, and its random numbers. */
  readonly kernel: SimKernel
  readonly executor: Executor
}

type SeededOptions = SimulationOptions & { readonly seed: number }
type Main<T> = (simulation: Simulation) => T | PromiseLike<T>

const EXECUTOR_DEFAULTS: ExecutorOptions = {
  name: 'simulated',
  ringDepth: 64,
  ioMemoryBytes: 256 * 1024,
}
const TURN_COUNT_MAX = 1_000_000
/** Rounds of the host loop in which what was begun before the end may end by itself. */
const SETTLING_ROUNDS_MAX = 2_000

/** The executors of simulations, which have their programs' asynchronous contexts. */
const simulated = new WeakSet<Executor>()
/** What the programs that run wait for; kept while there are any. */
const log = new WaitLog()
let runningCount = 0
const globals = new VirtualGlobals((executor) => simulated.has(executor))
/** Errors that name their seed already. */
const failures = new WeakSet<object>()

/**
 * Runs a program on a simulated kernel: virtual time, a disk and a network in memory, and faults, all
 * decided by a seed. Equal seeds give equal runs, so a failure can be replayed.
 *
 * Needs neither Linux nor the native layer. Everything of percore that `main` uses, and what it calls or
 * begins, goes to the simulated executor; code beside it keeps the thread's own. Once the simulation has
 * ended, however it did, that executor is closed: what the program still begins fails with
 * `ERR_EXECUTOR_CLOSED`. Timers and I/O that are not percore's (`setTimeout`, `fetch`, `node:fs`) are neither
 * simulated nor waited for. Simulations may run beside each other, and take turns. `PERCORE_SEED` in the environment
 * replaces the seed, and `PERCORE_TRACE=1` writes the trace to standard error.
 *
 * @returns What `main` resolves to, after checking that it left nothing behind.
 * @throws {TypeError | RangeError} for options of the wrong kind.
 * @throws {RuntimeError} `ERR_SIMULATION_FAILED` if `main` fails (`cause` says why), leaves descriptors
 * open, or a failure unhandled; `ERR_SIMULATION_STUCK`, with the tasks and what they wait for, if it waits for what
 * can never happen; both name the seed and the command that replays it. `ERR_EXECUTOR_EXISTS` within another
 * simulation; `ERR_UNSUPPORTED` if timers were faked before percore was imported.
 *
 * Source: FoundationDB's and TigerBeetle's simulators.
 *
 * @example An hour in a millisecond
 * ```ts run
 * import { spawn } from 'percore'
 * import { simulate } from 'percore/testing'
 * import { sleep } from 'percore/time'
 *
 * const hours = await simulate(42, async () => {
 *   await spawn(() => sleep(3_600_000))
 *   return 1
 * })
 * console.log(hours)
 * ```
 */
export async function simulate<T>(
  seedOrOptions: number | SimulationOptions,
  main: Main<T>,
): Promise<T> {
  const site = callSiteOf(simulate)
  const options = typeof seedOrOptions === 'number' ? { seed: seedOrOptions } : seedOrOptions
  checkSimulation(options, main)
  const seed = seedOfEnvironment() ?? options.seed ?? 0
  assertHostTimers('simulate')
  refuseNested()
  return await new SimulationRun({ ...options, seed }, site).run(main)
}

function checkSimulation(options: SimulationOptions, main: unknown): void {
  const action = 'simulate'
  validateOptions(action, options, NAMES)
  validateFunction(action, 'main', main)
  for (const name of ['trace', 'arrange'] as const) {
    if (options[name] !== undefined) validateFunction(action, name, options[name])
  }
  for (const name of ['checkDescriptors', 'checkBuffers', 'virtualGlobals'] as const) {
    if (options[name] !== undefined) validateBoolean(action, name, options[name])
  }
  const { signal, turnCountMax = TURN_COUNT_MAX } = options
  validateInteger(action, 'turnCountMax', turnCountMax, { min: 1, max: Number.MAX_SAFE_INTEGER })
  if (signal !== undefined && !isAbortSignal(signal)) {
    throw wrongType(action, 'signal', 'an AbortSignal', signal)
  }
}

/** A program that waits for a simulation within itself would wait for its own end. */
function refuseNested(): void {
  const current = currentOrNull()
  if (current === null || !simulated.has(current)) return
  current.assertOpen('simulate')
  throw new RuntimeError(
    'ERR_EXECUTOR_EXISTS',
    'Cannot simulate as a simulated program must not simulate: one is running',
  )
}

/** One simulation, from its kernel to the end of its executor. */
class SimulationRun {
  readonly #options: SeededOptions
  readonly #site: CallSite | null
  readonly #givenUp: Promise<never>
  #giveUp!: (error: RuntimeError) => void
  #isEnded = false
  #isIdle = false

  constructor(options: SeededOptions, site: CallSite | null) {
    this.#options = options
    this.#site = site
    this.#givenUp = new Promise<never>((_, reject) => {
      this.#giveUp = reject
    })
    this.#givenUp.catch(ignore)
  }

  async run<T>(main: Main<T>): Promise<T> {
    const { seed, arrange } = this.#options
    const kernel = this.#createKernel()
    arrange?.(kernel)
    kernel.files.syncAll()
    const executor = new Executor({ ...EXECUTOR_DEFAULTS, ...this.#options.executor, kernel })
    simulated.add(executor)
    confine(executor)
    const hostResources = readHostResources()
    this.#describe = () =>
      describeWaits({ kernel, executor, log, hostResources, isIdle: this.#isIdle })
    const end = this.#begin(executor)
    try {
      const simulation = { seed, kernel, executor }
      const task = executor.spawnInto(executor.defaultQueue, () => main(simulation), 'main')
      const result = await Promise.race([task, this.#givenUp])
      this.#isEnded = true
      await Promise.race([this.#settle(executor), this.#givenUp])
      checkLeftovers(kernel, executor, this.#options)
      return result
    } catch (error) {
      if (typeof error === 'object' && error !== null && failures.has(error)) throw error
      throw this.#failure('ERR_SIMULATION_FAILED', messageOf(error), error)
    } finally {
      this.#isEnded = true
      end()
    }
  }

  /** Watches over an executor and its failures, until what is returned is called. */
  #begin(executor: Executor): () => void {
    const { signal, virtualGlobals = true } = this.#options
    const onUnhandled = (reason: unknown): void => {
      const owner = currentOrNull()
      // Another simulation has a listener of its own, or has ended.
      if (owner !== executor && owner !== null && simulated.has(owner)) return
      const what = `nobody handles a failure of its: ${messageOf(reason)}`
      this.#giveUp(this.#failure('ERR_SIMULATION_FAILED', what, reason))
    }
    const onAbort = (): void => {
      const what = `its signal was aborted${this.#describe()}`
      this.#giveUp(this.#failure('ERR_SIMULATION_FAILED', what, signal!.reason))
    }
    if (runningCount++ === 0) keepWaitLog(log)
    if (virtualGlobals) globals.use(executor)
    process.on('unhandledRejection', onUnhandled)
    signal?.addEventListener('abort', onAbort)
    if (signal?.aborted) onAbort()
    return () => {
      signal?.removeEventListener('abort', onAbort)
      // Nobody is to be told that the tasks of a program which has ended were ended.
      for (const task of log.forget(executor)) (task as Task<unknown>).catch(ignore)
      executor.leave()
      process.off('unhandledRejection', onUnhandled)
      if (virtualGlobals) globals.release()
      if (--runningCount === 0) keepWaitLog(null)
    }
  }

  #describe = (): string => ''

  #createKernel(): SimKernel {
    const {
      executor: _executor,
      turnCountMax = TURN_COUNT_MAX,
      checkDescriptors: _descriptors,
      checkBuffers: _buffers,
      virtualGlobals: _globals,
      signal: _signal,
      arrange: _arrange,
      trace,
      ...machine
    } = this.#options
    const write = trace ?? (isTraceWanted() ? writeTrace : undefined)
    return new SimKernel(
      {
        ...machine,
        trace: write === undefined ? undefined : (entry) => write(formatTrace(entry)),
      },
      {
        turnCountMax,
        onStuck: (reason) => {
          this.#isIdle = reason === 'idle'
          // What still waits once the program has ended is cancelled with it.
          if (this.#isEnded) return
          const what =
            reason === 'idle'
              ? 'it waits for what can never happen'
              : reason === 'starved'
                ? "task queues and Node's loop do not let each other run"
                : `it does not come to an end in ${turnCountMax} turns, which are its turnCountMax`
          this.#giveUp(this.#failure('ERR_SIMULATION_STUCK', what + this.#describe()))
        },
      },
    )
  }

  /** Lets operations that nobody awaits any more, such as a close under way, come to their end. */
  async #settle(executor: Executor): Promise<void> {
    // Once at least, since Node reports a failure that nobody handles after the microtasks.
    await nextRound()
    for (let round = 0; round < SETTLING_ROUNDS_MAX && !executor.isClosed; round++) {
      const isQuiet = executor.stats().inFlightCount === 0
      if (isQuiet && executor.taskQueues().every((queue) => queue.length === 0)) return
      if (this.#isIdle) return
      await nextRound()
    }
  }

  #failure(code: RuntimeErrorCode, what: string, cause?: unknown): RuntimeError {
    const { seed } = this.#options
    const begun = this.#site === null ? '' : ` that ${formatSite(this.#site)} began`
    const error = new RuntimeError(
      code,
      `Cannot complete the simulation of seed ${seed}${begun}: ${what}\nReplay it with: ${replayCommandAt(seed, this.#site)}`,
      cause === undefined ? undefined : { cause },
    )
    failures.add(error)
    return error
  }
}

function checkLeftovers(kernel: SimKernel, executor: Executor, options: SimulationOptions): void {
  const { descriptors } = kernel.leftovers()
  if (options.checkDescriptors !== false && descriptors.length > 0) {
    throw new Error(`it must close what it opens: ${descriptors.join(', ')} were left open`)
  }
  const kept = executor.preemption.leasedCount
  const { leasedCount } = executor.memory
  if (options.checkBuffers === true && leasedCount > kept) {
    throw new Error(`it must release its I/O buffers: ${leasedCount - kept} were not`)
  }
}

function nextRound(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function writeTrace(line: string): void {
  process.stderr.write(`${line}\n`)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function ignore(): void {}
