import {
  isAbortSignal,
  optionNames,
  RuntimeError,
  validateBoolean,
  validateFunction,
  validateInteger,
  validateOptions,
  wrongType,
} from '../base/index.ts'
import { currentOrNull } from '../executor/index.ts'
import { assertHostTimers, SIM_OPTIONS } from '../sim/index.ts'
import { callSiteOf } from './call-site.ts'
import { seedOfEnvironment } from './replay.ts'
import { simulatedThreadOf } from './simulated-threads.ts'
import {
  type Simulation,
  type SimulationOptions,
  SimulationRun,
  TURN_COUNT_MAX,
} from './simulation-run.ts'

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
  main: (simulation: Simulation) => T | PromiseLike<T>,
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
  if (current === null || simulatedThreadOf(current) === undefined) return
  current.assertOpen('simulate')
  throw new RuntimeError(
    'ERR_EXECUTOR_EXISTS',
    'Cannot simulate as a simulated program must not simulate: one is running',
  )
}
