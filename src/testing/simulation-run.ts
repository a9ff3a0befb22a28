import { RuntimeError, type RuntimeErrorCode } from '../base/index.ts'
import { currentOrNull, type Executor, type ExecutorOptions, Task } from '../executor/index.ts'
import {
  formatTrace,
  SimKernel,
  type SimKernelOptions,
  type SimTraceEntry,
  type StuckReason,
  setImmediate,
} from '../sim/index.ts'
import { type CallSite, formatSite } from './call-site.ts'
import { isTraceWanted, replayCommandAt } from './replay.ts'
import { ShardFailure } from './shard-failure.ts'
import { provideSimulatedThreads } from './simulated-starter.ts'
import { keptBufferCount, SimulatedThreads, simulatedThreadOf } from './simulated-threads.ts'
import { describeWaits, readHostResources } from './stuck-report.ts'

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

/** What a simulated program gets. */
export interface Simulation {
  /** What decided everything; `PERCORE_SEED` if that is set. */
  readonly seed: number
  /** The machine: its disk, to look into, and its random numbers. */
  readonly kernel: SimKernel
  readonly executor: Executor
}

type SeededOptions = SimulationOptions & { readonly seed: number }
export type Main<T> = (simulation: Simulation) => T | PromiseLike<T>

export const TURN_COUNT_MAX = 1_000_000
/** Rounds of the host loop in which what was begun before the end may end by itself. */
const SETTLING_ROUNDS_MAX = 2_000

/** Errors that name their seed already. */
const failures = new WeakSet<object>()

/** One simulation, from its kernel to the end of its threads. */
export class SimulationRun {
  readonly #options: SeededOptions
  readonly #site: CallSite | null
  readonly #givenUp: Promise<never>
  #giveUp!: (error: RuntimeError) => void
  readonly #threads: SimulatedThreads
  #isEnded = false
  #isIdle = false

  constructor(options: SeededOptions, site: CallSite | null) {
    this.#options = options
    const { turnCountMax = TURN_COUNT_MAX, virtualGlobals = true } = options
    const onStuck = (reason: StuckReason): void => this.#onStuck(reason, turnCountMax)
    this.#threads = new SimulatedThreads({ turnCountMax, onStuck }, virtualGlobals)
    this.#site = site
    this.#givenUp = new Promise<never>((_, reject) => {
      this.#giveUp = reject
    })
    this.#givenUp.catch(ignore)
  }

  /** The thread that `main` runs on, as the first of the program. */
  async run<T>(main: Main<T>): Promise<T> {
    const { seed, arrange, executor: options } = this.#options
    const kernel = this.#createKernel()
    arrange?.(kernel)
    kernel.files.syncAll()
    const { executor } = this.#threads.start({
      name: 'main',
      kernel,
      options: { name: 'simulated', ...options },
      onUnhandled: (reason) => this.#failUnhandled(reason),
    })
    const hostResources = readHostResources()
    this.#describe = () =>
      describeWaits({ kernel, threads: this.#threads, hostResources, isIdle: this.#isIdle })
    provideSimulatedThreads()
    const end = this.#begin()
    try {
      const simulation = { seed, kernel, executor }
      const task = executor.spawnInto(executor.defaultQueue, () => main(simulation), 'main')
      const result = await Promise.race([task, this.#givenUp])
      this.#isEnded = true
      await Promise.race([this.#settle(executor), this.#givenUp])
      this.#checkLeftovers(kernel, executor)
      return result
    } catch (error) {
      if (typeof error === 'object' && error !== null && failures.has(error)) throw error
      const cause = error instanceof ShardFailure ? error.cause : error
      throw this.#failure('ERR_SIMULATION_FAILED', messageOf(error), cause)
    } finally {
      this.#isEnded = true
      end()
    }
  }

  /** Watches over the program and its failures, until what is returned is called. */
  #begin(): () => void {
    const { signal } = this.#options
    const onUnhandled = (reason: unknown, promise: Promise<unknown>): void => {
      // From Node 24 on the context is that of whoever has rejected it, such as the loop itself.
      const owner = promise instanceof Task ? (promise.queue.owner as Executor) : currentOrNull()
      const inContext = owner === null ? undefined : simulatedThreadOf(owner)
      const thread = inContext ?? this.#threads.living.find(({ kernel }) => kernel.isInTurn)
      if (thread === undefined) this.#failUnhandled(reason)
      // Another simulation has a listener of its own, or has ended.
      else if (thread.home === this.#threads) thread.onUnhandled(reason)
    }
    const onAbort = (): void => {
      const what = `its signal was aborted${this.#describe()}`
      this.#giveUp(this.#failure('ERR_SIMULATION_FAILED', what, signal!.reason))
    }
    process.on('unhandledRejection', onUnhandled)
    signal?.addEventListener('abort', onAbort)
    if (signal?.aborted) onAbort()
    return () => {
      signal?.removeEventListener('abort', onAbort)
      this.#threads.endAll()
      process.off('unhandledRejection', onUnhandled)
    }
  }

  #failUnhandled(reason: unknown): void {
    const what = `nobody handles a failure of its: ${messageOf(reason)}`
    this.#giveUp(this.#failure('ERR_SIMULATION_FAILED', what, reason))
  }

  #describe = (): string => ''

  #createKernel(): SimKernel {
    const {
      executor: _executor,
      turnCountMax: _turns,
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
        trace: write === undefined ? undefined : (entry) => write(this.#formatTrace(entry)),
      },
      this.#threads.events,
    )
  }

  /** A program of one thread has no need to say which. */
  #formatTrace(entry: SimTraceEntry): string {
    const name = this.#threads.areMany ? this.#threads.nameOf(entry.threadId) : null
    return formatTrace(entry, name)
  }

  #onStuck(reason: StuckReason, turnCountMax: number): void {
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
  }

  /** Lets operations that nobody awaits any more, such as a close under way, come to their end, and threads that do. */
  async #settle(main: Executor): Promise<void> {
    // Once at least, since Node reports a failure that nobody handles after the microtasks.
    await nextRound()
    for (let round = 0; round < SETTLING_ROUNDS_MAX; round++) {
      if (this.#threads.started.size === 0 && (main.isClosed || isQuiet(main))) return
      if (this.#isIdle) return
      await nextRound()
    }
  }

  #checkLeftovers(kernel: SimKernel, main: Executor): void {
    const { checkDescriptors = true, checkBuffers = false } = this.#options
    const { started, keptBuffers } = this.#threads
    if (started.size > 0) {
      const names = [...started].map(({ name }) => name).join(', ')
      throw new Error(`it must stop what it starts: ${names} were left running`)
    }
    const { descriptors } = kernel.leftovers()
    if (checkDescriptors && descriptors.length > 0) {
      throw new Error(`it must close what it opens: ${descriptors.join(', ')} were left open`)
    }
    const keptCount = keptBufferCount(main)
    if (checkBuffers && keptCount > 0) {
      throw new Error(`it must release its I/O buffers: ${keptCount} were not`)
    }
    for (const [name, count] of checkBuffers ? keptBuffers : []) {
      throw new Error(`it must release its I/O buffers: ${count} of ${name} were not`)
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

function isQuiet(executor: Executor): boolean {
  return executor.stats().inFlightCount === 0 && !executor.hasRunnable
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
