import { relative } from 'node:path'
import {
  optionNames,
  RuntimeError,
  type RuntimeErrorCode,
  validateInteger,
  validateOptions,
} from '../base/index.ts'
import { currentOrNull, Executor, type ExecutorOptions, setCurrent } from '../executor/index.ts'
import { SIM_OPTIONS, SimKernel, type SimKernelOptions, type SimTraceEntry } from '../sim/index.ts'

/** How a program is simulated. */
export interface SimulationOptions extends Omit<SimKernelOptions, 'trace'> {
  /** Called with a line per completion: virtual nanoseconds, operation, result, flags. */
  readonly trace?: ((line: string) => void) | undefined
  /** The executor that the program gets; small rings and memory if not given. */
  readonly executor?: Omit<ExecutorOptions, 'kernel'>
  /** Turns that a program may have before it counts as stuck; 1,000,000 if not given. */
  readonly turnCountMax?: number
  /** Whether descriptors that the program leaves open are a failure; true if not given. */
  readonly checkDescriptors?: boolean
  /** Whether I/O buffers that the program does not release are a failure; false if not given. */
  readonly checkBuffers?: boolean
  /** Called before the program, to arrange the disk. */
  readonly arrange?: (kernel: SimKernel) => void
}

const NAMES = optionNames<SimulationOptions>({
  ...SIM_OPTIONS,
  executor: true,
  turnCountMax: true,
  checkDescriptors: true,
  checkBuffers: true,
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

const EXECUTOR_DEFAULTS: ExecutorOptions = {
  name: 'simulated',
  ringDepth: 64,
  ioMemoryBytes: 256 * 1024,
}
const TURN_COUNT_MAX = 1_000_000
/** Rounds of the host loop in which what was begun before the end may end by itself. */
const SETTLING_ROUNDS_MAX = 2_000

let isSimulating = false
/** Errors that name their seed already. */
const failures = new WeakSet<object>()

/**
 * Runs a program on a simulated kernel: virtual time, a disk and a network in memory, and faults, all
 * decided by a seed. Equal seeds give equal runs, so a failure can be replayed.
 *
 * While it runs, the simulated executor is this thread's: everything of percore that `main` uses goes
 * to it. Timers and I/O that are not percore's (`setTimeout`, `fetch`, `node:fs`) are neither simulated nor
 * waited for. One simulation per thread at a time. `PERCORE_SEED` in the environment replaces the seed.
 *
 * @returns What `main` resolves to, after checking that it left nothing behind.
 * @throws {RuntimeError} `ERR_SIMULATION_FAILED` if `main` fails (`cause` says why), leaves descriptors
 * open, or a failure unhandled; `ERR_SIMULATION_STUCK` if it waits for what can never happen; both name the seed and the
 * command that replays it. `ERR_EXECUTOR_EXISTS` within another simulation.
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
  main: (simulation: Simulation) => T | PromiseLike<T>,
): Promise<T> {
  const options = typeof seedOrOptions === 'number' ? { seed: seedOrOptions } : seedOrOptions
  validateOptions('simulate', options, NAMES)
  const seed = chooseSeed(options.seed ?? 0)
  if (isSimulating) {
    throw new RuntimeError(
      'ERR_EXECUTOR_EXISTS',
      'Cannot simulate as a thread must run one simulation at a time: one is running',
    )
  }
  const previous = currentOrNull()
  isSimulating = true
  try {
    return await run({ ...options, seed }, main)
  } finally {
    isSimulating = false
    setCurrent(previous)
  }
}

async function run<T>(
  options: SimulationOptions & { readonly seed: number },
  main: (simulation: Simulation) => T | PromiseLike<T>,
): Promise<T> {
  const {
    executor: given,
    turnCountMax = TURN_COUNT_MAX,
    checkDescriptors = true,
    checkBuffers = false,
    arrange,
    ...rest
  } = options
  const { seed, trace } = rest
  let giveUp: (error: RuntimeError) => void = () => {}
  const givenUp = new Promise<never>((_, reject) => {
    giveUp = reject
  })
  givenUp.catch(() => {})
  let isEnded = false
  let isIdle = false
  const onUnhandled = (reason: unknown): void => {
    const what = `nobody handles a failure of its: ${messageOf(reason)}`
    giveUp(failure('ERR_SIMULATION_FAILED', seed, what, reason))
  }
  const kernel = new SimKernel(
    { ...rest, trace: trace === undefined ? undefined : (entry) => trace(formatTrace(entry)) },
    {
      turnCountMax,
      onStuck: (reason) => {
        isIdle = true
        // What still waits once the program has ended is cancelled with it.
        if (isEnded) return
        const what = reason === 'idle' ? describeWait(kernel) : 'it never comes to an end'
        giveUp(failure('ERR_SIMULATION_STUCK', seed, what))
      },
    },
  )
  arrange?.(kernel)
  const executor = new Executor({ ...EXECUTOR_DEFAULTS, ...given, kernel })
  setCurrent(executor)
  process.on('unhandledRejection', onUnhandled)
  try {
    const simulation = { seed, kernel, executor }
    const task = executor.spawnInto(executor.defaultQueue, () => main(simulation), 'main')
    const result = await Promise.race([task, givenUp])
    isEnded = true
    await Promise.race([settle(executor, () => isIdle), givenUp])
    checkLeftovers(kernel, executor, { checkDescriptors, checkBuffers })
    return result
  } catch (error) {
    if (typeof error === 'object' && error !== null && failures.has(error)) throw error
    throw failure('ERR_SIMULATION_FAILED', seed, messageOf(error), error)
  } finally {
    process.off('unhandledRejection', onUnhandled)
    executor.close()
  }
}

/** Lets operations that nobody awaits any more, such as a close under way, come to their end. */
async function settle(executor: Executor, isIdle: () => boolean): Promise<void> {
  // Once at least, since Node reports a failure that nobody handles after the microtasks.
  await new Promise((resolve) => setImmediate(resolve))
  for (let round = 0; round < SETTLING_ROUNDS_MAX; round++) {
    const isQuiet = executor.reactor.inFlightCount === 0
    if (isQuiet && executor.taskQueues().every((queue) => queue.length === 0)) return
    if (isIdle()) return
    await new Promise((resolve) => setImmediate(resolve))
  }
}

function checkLeftovers(
  kernel: SimKernel,
  executor: Executor,
  options: Required<Pick<SimulationOptions, 'checkDescriptors' | 'checkBuffers'>>,
): void {
  const { descriptors } = kernel.leftovers()
  if (options.checkDescriptors && descriptors.length > 0) {
    throw new Error(`it must close what it opens: ${descriptors.join(', ')} were left open`)
  }
  // The tick of needPreempt() keeps its buffer as long as the executor lives.
  const kept = executor.reactor.hasLatencyRing ? 1 : 0
  const { leasedCount } = executor.reactor.memory
  if (options.checkBuffers && leasedCount > kept) {
    throw new Error(`it must release its I/O buffers: ${leasedCount - kept} were not`)
  }
}

function chooseSeed(given: number): number {
  const text = process.env.PERCORE_SEED
  if (text === undefined || text === '') return given
  const seed = Number(text)
  validateInteger('simulate', 'PERCORE_SEED', seed, { min: 0, max: Number.MAX_SAFE_INTEGER })
  return seed
}

function failure(
  code: RuntimeErrorCode,
  seed: number,
  what: string,
  cause?: unknown,
): RuntimeError {
  const error = new RuntimeError(
    code,
    `Cannot complete the simulation of seed ${seed}: ${what}; replay it with: ${replayCommand(seed)}`,
    cause === undefined ? undefined : { cause },
  )
  failures.add(error)
  return error
}

/** The command that runs this program again with the same seed. */
export function replayCommand(seed: number): string {
  const [, program, ...words] = process.argv
  const script = program === undefined ? [] : [relative(process.cwd(), program) || program]
  const args = [...process.execArgv, ...script, ...words].map(quote)
  return `PERCORE_SEED=${seed} node ${args.join(' ')}`
}

function describeWait(kernel: SimKernel): string {
  const { requests } = kernel.leftovers()
  const suffix = requests.length === 0 ? 'no operation is in flight' : requests.join(', ')
  return `it waits for what can never happen (in flight: ${suffix})`
}

function formatTrace({ timeNs, operation, result, flags }: SimTraceEntry): string {
  return `${timeNs} ${operation} ${result} ${flags}`
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}
