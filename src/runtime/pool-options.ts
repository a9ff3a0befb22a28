import {
  optionNames,
  validateDurationMs,
  validateFunction,
  validateInteger,
  validateOptions,
  validateString,
  wrongType,
} from '../base/index.ts'
import { CpuSet, PoolPlacement } from '../topology/index.ts'
import { checkModule } from './module-url.ts'
import { checkRestart, type RestartOptions, type RestartPolicy } from './restart-policy.ts'
import type { ShardExit } from './shard-exit.ts'
import type { ShardHandle } from './shard-handle.ts'
import type { HeapOptions, ShardExecutorOptions } from './shard-options.ts'

/** A shard has ended. */
export interface ShardEnded<Result = unknown> {
  readonly shard: ShardHandle<Result>
  readonly exit: ShardExit<Result>
  /** Milliseconds until another thread takes its place; null if none does. */
  readonly restartMs: number | null
}

/** How the threads of a pool, or of a runtime, are started and followed. */
export interface PoolThreadOptions<Result = unknown> {
  /** Of each shard's executor. */
  readonly executor?: ShardExecutorOptions
  /** Of each shard. */
  readonly heap?: HeapOptions
  /** Whether and when another thread takes the place of a shard that has failed; `'never'` if not given. */
  readonly restart?: RestartOptions | 'never' | 'onFailure'
  /** The environment of the shards; that of this process if not given. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Options of Node for the shards, such as `['--import', './trace.js']`; those of this process if not given. */
  readonly execArgv?: readonly string[]
  /** How long a shard may take to start, its module included, in milliseconds; 60,000 if not given. */
  readonly startTimeoutMs?: number
  /**
   * Processors for the threads that Node has beside those of JavaScript (garbage collection, compilation,
   * `node:fs`), so that shards are not disturbed; they run anywhere if not given.
   */
  readonly helperCpus?: CpuSet
  /** Called on this thread for each end of a shard, also of one that is restarted. What it throws is uncaught. */
  readonly onExit?: (ended: ShardEnded<Result>) => void
}

/** The names of {@link PoolThreadOptions}. */
export const THREAD_OPTIONS = {
  executor: true,
  heap: true,
  restart: true,
  env: true,
  execArgv: true,
  startTimeoutMs: true,
  helperCpus: true,
  onExit: true,
} as const

/** How a pool is started. */
export interface ExecutorPoolOptions<Argument = unknown, Result = unknown>
  extends PoolThreadOptions<Result> {
  /**
   * The module whose default export each shard runs: a URL, as `new URL('./shard.js', import.meta.url)` makes it, or an
   * absolute path. `./shard.ts` where Node runs TypeScript itself, from 22.18 on.
   */
  readonly module: URL | string
  /** What each shard gets a copy of, by structured clone; shared memory is shared. */
  readonly argument?: Argument
  /** How many shards: one for each core that this process may use if not given, or as many as {@link placement} says. */
  readonly shards?: number
  /** Where they run: each on a processor of its own, as far apart as can be, if not given. */
  readonly placement?: PoolPlacement
  /** Of its shards' threads and executors: `name-0`, `name-1`; `pool` if not given. */
  readonly name?: string
}

const NAMES = optionNames<ExecutorPoolOptions>({
  module: true,
  argument: true,
  shards: true,
  placement: true,
  name: true,
  ...THREAD_OPTIONS,
})
const EXECUTOR_NAMES = optionNames<ShardExecutorOptions>({
  ringDepth: true,
  ioMemoryBytes: true,
  ioMemoryBytesMax: true,
  preemptTimerMs: true,
  host: true,
  spinBeforeParkUs: true,
  spinUntilQuietUs: true,
  measureGc: true,
  ioProperties: true,
})
const HEAP_NAMES = optionNames<HeapOptions>({
  oldMiB: true,
  youngMiB: true,
  codeMiB: true,
  stackMiB: true,
})
export const SHARD_COUNT_MAX = 65_536
const MIB_MAX = 1 << 20
/** Below it V8 has no room to start in. */
const OLD_MIB_MIN = 4
/** Node takes 192 KiB of it for itself. */
const STACK_MIB_MIN = 1
/** The thread that Node makes has 4 MiB in all: what is asked for above that ends the process. */
const STACK_MIB_MAX = 4
const YOUNG_MIB_DEFAULT = 96

/** {@link ExecutorPoolOptions}, checked. */
export interface CheckedPoolOptions<Result> {
  readonly module: string
  readonly argument: unknown
  readonly shardCount: number | undefined
  readonly placement: PoolPlacement | undefined
  readonly name: string
  readonly executor: ShardExecutorOptions
  readonly heap: HeapOptions
  readonly restart: RestartPolicy
  readonly env: Readonly<Record<string, string | undefined>> | undefined
  readonly execArgv: readonly string[] | undefined
  readonly startTimeoutMs: number
  readonly helperCpus: CpuSet | undefined
  readonly onExit: ((ended: ShardEnded<Result>) => void) | undefined
  /** The export to call; the default one if not given. */
  readonly entry?: string
  /** What is different for each shard. */
  readonly ofShard?: (id: number) => {
    readonly name: string
    readonly executor: ShardExecutorOptions
    /** Whether it is to have I/O memory of its own from the start, so that one can see where that is. */
    readonly hasIoMemory: boolean
  }
}

const ACTION = 'start a pool'

/** @throws {TypeError | RangeError} for options of the wrong kind. */
export function checkPoolOptions<Argument, Result>(
  options: ExecutorPoolOptions<Argument, Result>,
): CheckedPoolOptions<Result> {
  validateOptions(ACTION, options, NAMES)
  const { name = 'pool', placement, shards, helperCpus, onExit, startTimeoutMs = 60_000 } = options
  validateString(ACTION, 'name', name)
  if (shards !== undefined) {
    validateInteger(ACTION, 'shards', shards, { min: 1, max: SHARD_COUNT_MAX })
  }
  if (placement !== undefined && !(placement instanceof PoolPlacement)) {
    throw wrongType(ACTION, 'placement', 'a PoolPlacement', placement)
  }
  if (helperCpus !== undefined && !(helperCpus instanceof CpuSet)) {
    throw wrongType(ACTION, 'helperCpus', 'a CpuSet', helperCpus)
  }
  validateDurationMs(ACTION, 'startTimeoutMs', startTimeoutMs)
  if (onExit !== undefined) validateFunction(ACTION, 'onExit', onExit)
  return {
    module: checkModule(ACTION, options.module),
    argument: checkArgument(ACTION, options.argument),
    shardCount: shards,
    placement,
    name,
    executor: checkExecutor(options.executor ?? {}),
    heap: checkHeap(options.heap ?? {}),
    restart: checkRestart(ACTION, options.restart ?? 'never'),
    env: checkEnv(options.env),
    execArgv: checkExecArgv(options.execArgv),
    startTimeoutMs,
    helperCpus,
    onExit,
  }
}

/** Each shard clones it again; here it is found before any of them has started. */
export function checkArgument(action: string, argument: unknown): unknown {
  try {
    structuredClone(argument)
    return argument
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    throw new TypeError(`Cannot ${action} as argument must be cloneable: ${message}`, {
      cause: error,
    })
  }
}

/** Values are checked where they are used: by each executor, as it is attached. */
function checkExecutor(executor: unknown): ShardExecutorOptions {
  validateOptions(ACTION, executor, EXECUTOR_NAMES, 'executor')
  return structuredClone(executor)
}

function checkHeap(heap: unknown): HeapOptions {
  validateOptions(ACTION, heap, HEAP_NAMES, 'heap')
  const { oldMiB, youngMiB = YOUNG_MIB_DEFAULT, codeMiB, stackMiB } = heap as HeapOptions
  const check = (name: string, value: number | undefined, min: number, max = MIB_MAX): void => {
    if (value !== undefined) validateInteger(ACTION, `heap.${name}`, value, { min, max })
  }
  check('oldMiB', oldMiB, OLD_MIB_MIN)
  check('youngMiB', youngMiB, 1, 3072)
  check('codeMiB', codeMiB, 1, 4096)
  check('stackMiB', stackMiB, STACK_MIB_MIN, STACK_MIB_MAX)
  return {
    youngMiB,
    ...(oldMiB !== undefined && { oldMiB }),
    ...(codeMiB !== undefined && { codeMiB }),
    ...(stackMiB !== undefined && { stackMiB }),
  }
}

function checkEnv(env: unknown): CheckedPoolOptions<unknown>['env'] {
  if (env === undefined) return undefined
  if (typeof env !== 'object' || env === null) throw wrongType(ACTION, 'env', 'an object', env)
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined) validateString(ACTION, `env.${name}`, value)
  }
  return { ...env }
}

function checkExecArgv(execArgv: unknown): readonly string[] | undefined {
  if (execArgv === undefined) return undefined
  if (!Array.isArray(execArgv)) throw wrongType(ACTION, 'execArgv', 'an array', execArgv)
  for (const [index, value] of execArgv.entries()) {
    validateString(ACTION, `execArgv[${index}]`, value)
  }
  return [...execArgv]
}
