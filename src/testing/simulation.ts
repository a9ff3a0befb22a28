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
import { assertHostTimers, SIM_OPTIONS, simTopology } from '../sim/index.ts'
import { callSiteOf } from './call-site.ts'
import { seedOfEnvironment } from './replay.ts'
import { runOnShards, type ShardedSimulationOptions, type ShardSimulation } from './sharded.ts'
import { simulatedThreadOf } from './simulated-threads.ts'
import {
  type Main,
  type Simulation,
  type SimulationOptions,
  SimulationRun,
  TURN_COUNT_MAX,
} from './simulation-run.ts'

const NAMES = optionNames<AnyOptions>({
  ...SIM_OPTIONS,
  executor: true,
  turnCountMax: true,
  checkDescriptors: true,
  checkBuffers: true,
  virtualGlobals: true,
  signal: true,
  arrange: true,
  shards: true,
})
/** What a machine has unless its topology is given. */
const CORE_COUNT_MIN = 4
const SHARD_COUNT_MAX = 1024

type UnshardedOptions = SimulationOptions & { readonly shards?: undefined }
type AnyOptions = SimulationOptions & { readonly shards?: number | undefined }

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
 *
 * With `shards` the function runs once on each of so many shards, threads of one simulated process with an executor
 * each, and the result is an array of theirs; the first that fails is the failure. Who is next is drawn from the seed, so that
 * wake-ups are lost here that would be lost on cores. All of them share this thread, and with it the state of modules. A
 * pool that `main` starts by `ExecutorPool.start()` is simulated as well.
 *
 * @example Two shards that meet on the network
 * ```ts run
 * import { TcpListener, TcpStream } from 'percore/net'
 * import { simulate } from 'percore/testing'
 * import { sleep } from 'percore/time'
 *
 * const said = await simulate(42, async ({ shard }) => {
 *   if (shard.id === 0) {
 *     await using listener = await TcpListener.bind({ host: '127.0.0.1', port: 7000 })
 *     await using stream = await listener.accept()
 *     return Buffer.from((await stream.read()) ?? '').toString()
 *   }
 *   await sleep(100)
 *   await using stream = await TcpStream.connect({ host: '127.0.0.1', port: 7000 })
 *   await stream.write(Buffer.from('hello'))
 *   return 'said'
 * }, { shards: 2 })
 * console.log(said) // [ 'hello', 'said' ]
 * ```
 */
export function simulate<T>(
  seedOrOptions: number | UnshardedOptions,
  main: (simulation: Simulation) => T | PromiseLike<T>,
  options?: UnshardedOptions,
): Promise<T>
export function simulate<T>(
  seedOrOptions: number | SimulationOptions,
  main: (simulation: ShardSimulation) => T | PromiseLike<T>,
  options: ShardedSimulationOptions,
): Promise<T[]>
export function simulate<T>(
  options: ShardedSimulationOptions,
  main: (simulation: ShardSimulation) => T | PromiseLike<T>,
): Promise<T[]>
export async function simulate(
  seedOrOptions: number | AnyOptions,
  main: (simulation: never) => unknown,
  moreOptions: AnyOptions = {},
): Promise<unknown> {
  const site = callSiteOf(simulate)
  const first = typeof seedOrOptions === 'number' ? { seed: seedOrOptions } : seedOrOptions
  checkSimulation(first, main)
  checkSimulation(moreOptions, main)
  const { shards, ...options } = { ...first, ...moreOptions }
  const seed = seedOfEnvironment() ?? options.seed ?? 0
  assertHostTimers('simulate')
  refuseNested()
  if (shards === undefined) {
    return await new SimulationRun({ ...options, seed }, site).run(main as Main<unknown>)
  }
  // A core for each, where it is not said what the machine is like.
  const topology = options.topology ?? simTopology({ coreCount: Math.max(shards, CORE_COUNT_MIN) })
  return await new SimulationRun({ ...options, topology, seed }, site).run((simulation) =>
    runOnShards(simulation, main as (simulation: ShardSimulation) => unknown, {
      ...options,
      shards,
    }),
  )
}

function checkSimulation(options: AnyOptions, main: unknown): void {
  const action = 'simulate'
  validateOptions(action, options, NAMES)
  validateFunction(action, 'main', main)
  for (const name of ['trace', 'arrange'] as const) {
    if (options[name] !== undefined) validateFunction(action, name, options[name])
  }
  for (const name of ['checkDescriptors', 'checkBuffers', 'virtualGlobals'] as const) {
    if (options[name] !== undefined) validateBoolean(action, name, options[name])
  }
  const { signal, turnCountMax = TURN_COUNT_MAX, shards = 1 } = options
  validateInteger(action, 'shards', shards, { min: 1, max: SHARD_COUNT_MAX })
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
