import {
  count,
  KIB,
  optionNames,
  RuntimeError,
  showAs,
  validateFunction,
  validateOptions,
  validateString,
  wrongType,
} from '../base/index.ts'
import { currentKernel } from '../kernel/index.ts'
import type { UnixAddress } from '../net/index.ts'
import { CpuSet, PoolPlacement, Topology } from '../topology/index.ts'
import { Context } from './context.ts'
import { Driver } from './driver.ts'
import {
  type ContextPlan,
  type DriverKind,
  type DriverLayout,
  type DriverPlan,
  hybridPerCore,
} from './driver-layout.ts'
import { type DriverPolicy, leastBusy } from './driver-policy.ts'
import { ExecutorPool, type StopOptions } from './executor-pool.ts'
import { checkPoolOptions, type PoolThreadOptions, THREAD_OPTIONS } from './pool-options.ts'
import {
  type AnyPortOptions,
  checkPortOptions,
  type PortOptions,
  type UdpPortOptions,
  type UnixPortOptions,
} from './port-options.ts'
import { PortTable } from './port-table.ts'
import { RuntimeListener } from './runtime-listener.ts'
import type { ShardExit } from './shard-exit.ts'
import type { ShardExecutorOptions } from './shard-options.ts'
import { currentThreadStarter } from './thread-starter.ts'

/** How a runtime is started. */
export interface RuntimeOptions extends PoolThreadOptions {
  /** Which drivers each context has; {@link hybridPerCore} if not given. */
  readonly layout?: DriverLayout
  /** How contexts pick a driver; {@link leastBusy} if not given. */
  readonly policy?: DriverPolicy
  /** Processors to use; all that this process may use if not given. */
  readonly cpus?: CpuSet
}

const NAMES = optionNames<RuntimeOptions>({
  layout: true,
  policy: true,
  cpus: true,
  ...THREAD_OPTIONS,
})
const ACTION = 'start a runtime'
const MODULE = new URL('./driver-main.js', import.meta.url)
/** For a driver without I/O of its own: enough for what percore itself does, and it may grow. */
const TASK_EXECUTOR: ShardExecutorOptions = { ringDepth: 64, ioMemoryBytes: 64 * KIB }

/**
 * All of a machine at work: a context for each NUMA node, which owns its processors and its memory, and in it drivers, each
 * a thread on a core, of a kind: I/O, tasks, or both.
 *
 * Work goes to a driver by its name, or to a context, which picks one by load, priority and caches. It is a function of a
 * module, with an argument that is cloned.
 *
 * Source: Gatio's thread pool contexts and drivers.
 *
 * @example Hash on whichever core has the least to do
 * ```ts run
 * import { Runtime } from 'percore/runtime'
 *
 * // In a file of its own: new URL('./work.js', import.meta.url)
 * const module = new URL('data:text/javascript,export const double = (n) => 2 * n')
 * const runtime = await Runtime.start()
 * const [context] = runtime.contexts
 * console.log(await context!.run({ module, name: 'double', argument: 21 })) // 42
 * await runtime.stop()
 * ```
 */
export class Runtime {
  static {
    showAs(
      Runtime,
      ({ contexts, drivers }) =>
        `Runtime of ${count(contexts.length, 'context')}, ${count(drivers.length, 'driver')}`,
    )
  }

  /** By their nodes. Nodes without processors that this process may use have none. */
  readonly contexts: readonly Context[]
  /** Of all contexts. */
  readonly drivers: readonly Driver[]
  readonly #pool: ExecutorPool
  readonly #starter = currentThreadStarter()
  readonly #ports = new PortTable(this.#starter)

  /** @internal Use {@link start}. */
  constructor(contexts: readonly Context[], pool: ExecutorPool) {
    this.contexts = Object.freeze([...contexts])
    this.drivers = Object.freeze(contexts.flatMap(({ drivers }) => drivers))
    this.#pool = pool
  }

  /**
   * Starts all drivers, or none.
   *
   * @throws {TypeError | RangeError} for options of the wrong kind, and a layout that gives no driver, one name twice, or
   * processors of another context.
   * @throws {RuntimeError} as {@link ExecutorPool.start} does.
   */
  static async start(options: RuntimeOptions = {}): Promise<Runtime> {
    validateOptions(ACTION, options, NAMES)
    const { layout = hybridPerCore, policy = leastBusy, cpus, ...ofPool } = options
    validateFunction(ACTION, 'layout', layout)
    validateFunction(ACTION, 'policy', policy)
    if (cpus !== undefined && !(cpus instanceof CpuSet)) {
      throw wrongType(ACTION, 'cpus', 'a CpuSet', cpus)
    }
    const topology = Topology.read(currentKernel())
    const plans = planDrivers(contextsOf(topology, cpus), layout)
    const checked = checkPoolOptions({
      ...ofPool,
      module: MODULE,
      placement: PoolPlacement.custom(plans.map((plan) => plan.cpus)),
    })
    const pool = await ExecutorPool.startChecked({
      ...checked,
      entry: 'serve',
      ofShard: (id) => ({
        name: plans[id]!.name,
        executor: { ...executorOf(plans[id]!.kind), ...checked.executor },
        hasIoMemory: plans[id]!.kind !== 'task',
      }),
    })
    const drivers = plans.map(({ kind, node }, id) => new Driver(pool.shards[id]!, kind, node))
    const contexts = contextsOf(topology, cpus).map((context) => {
      const memoryNodes = topology.memoryNodesOf(context.cpus)
      const own = drivers.filter(({ node }) => node === context.node)
      return new Context({ ...context, memoryNodes, drivers: own }, policy)
    })
    return new Runtime(contexts, pool)
  }

  /**
   * The driver of that name.
   *
   * @throws {RangeError} if there is none.
   */
  driver(name: string): Driver {
    const found = this.drivers.find((driver) => driver.name === name)
    if (found !== undefined) return found
    const names = this.drivers.map((driver) => driver.name).join(', ')
    throw new RangeError(
      `Cannot find a driver as name must be one of ${names}: current value is ${JSON.stringify(name)}`,
    )
  }

  /**
   * Serves a port: has drivers listen on it, and call a function of a module for each connection that they accept.
   *
   * All of them do so, or none: accepting begins when all have loaded the function and opened the port. They do it by one
   * configuration, which is what is given here. Called again for other drivers and the same address and port, the configuration must be the
   * same, or a client would be treated by the chance that it comes to one or the other; ports can be on drivers of their own. One that is just
   * being closed is opened as soon as its sockets are gone.
   * A driver that has ended and is restarted listens again; if it cannot, it has failed once more. While all drivers of a port are between two
   * threads nobody has its socket: clients are refused, and `onOutage` is told.
   *
   * The stream is closed when the promise of the function has settled: to {@link TcpStream.consume}, return one that `onEnd`
   * resolves. What the function throws ends that connection alone: over TCP it is reset, as one is that a deadline cuts. Each connection is a task of its driver.
   *
   * @throws {KernelError} such as `EADDRINUSE`, `EACCES`; what the look-up of a name throws.
   * @throws {RuntimeError} `ERR_LISTENERS_DIFFER`, naming what differs and where; `ERR_UNSUPPORTED` for a driver of the kind
   * `task`, and where no other is; `ERR_SHARD_FAILED` if one does not run, or ends meanwhile; `ERR_TASK_TIMEOUT`, naming the drivers that
   * have not opened it, after `timeoutMs`; the reason of the signal.
   * @throws {TypeError | RangeError} for options of the wrong kind, a module without that function, and drivers of another runtime.
   *
   * @example Echo on all cores
   * ```ts run
   * import { TcpStream } from 'percore/net'
   * import { Runtime } from 'percore/runtime'
   *
   * // In a file of its own: new URL('./echo.js', import.meta.url)
   * const text = 'export default async (stream) => { for await (const chunk of stream) await stream.write(chunk) }'
   * await using runtime = await Runtime.start()
   * const listener = await runtime.listen({ port: 0, module: new URL(`data:text/javascript,${text}`) })
   *
   * await using client = await TcpStream.connect({ port: listener.address.port })
   * await client.write(new Uint8Array([1, 2, 3]))
   * console.log(await client.read())
   * ```
   */
  listen<Argument = unknown>(options: PortOptions<Argument>): Promise<RuntimeListener>
  /** The same for a port of UDP, whose module exports a {@link UdpMain}: called once on each driver, with a socket of its own. */
  listen<Argument = unknown>(options: UdpPortOptions<Argument>): Promise<RuntimeListener>
  /** The same for a Unix socket, whose module exports a {@link UnixConnectionMain}. */
  listen<Argument = unknown>(
    options: UnixPortOptions<Argument>,
  ): Promise<RuntimeListener<UnixAddress>>
  async listen(options: AnyPortOptions): Promise<RuntimeListener<never>> {
    const checked = checkPortOptions(options)
    const drivers = this.#driversFor(options.drivers)
    if (checked.signal?.aborted) throw checked.signal.reason
    const group = this.#ports.find(checked)
    try {
      group.assertJoinable(drivers, checked)
      const onLeft = (): void => this.#ports.release(group)
      const listener = new RuntimeListener<never>(group, drivers, {
        starter: this.#starter,
        onLeft,
      })
      await group.join(drivers, checked, (driver, errors, skippedCount) =>
        listener.noteFailures(driver, errors, skippedCount),
      )
      return listener
    } catch (error) {
      this.#ports.release(group)
      throw error
    }
  }

  #driversFor(given: readonly Driver[] | undefined): readonly Driver[] {
    const drivers = given ?? this.drivers.filter(({ kind }) => kind !== 'task')
    const action = 'serve a port'
    for (const driver of drivers) {
      if (!(driver instanceof Driver)) throw wrongType(action, 'one of drivers', 'a Driver', driver)
      if (!this.drivers.includes(driver)) {
        throw new RangeError(
          `Cannot ${action} as drivers must be of this runtime: '${driver.name}' is not`,
        )
      }
      if (driver.kind === 'task') {
        throw new RuntimeError(
          'ERR_UNSUPPORTED',
          `Cannot ${action} as a driver must do I/O: '${driver.name}' is for tasks`,
        )
      }
      driver.shard.assertRunning(action)
    }
    if (new Set(drivers).size < drivers.length) {
      throw new RangeError(
        `Cannot ${action} as each of its drivers must be named once: one is twice`,
      )
    }
    if (drivers.length > 0) return drivers
    throw new RuntimeError(
      'ERR_UNSUPPORTED',
      `Cannot ${action} as one driver at least must do I/O: there is none`,
    )
  }

  /** Stops all drivers, as {@link ExecutorPool.stop} does; work that has begun has half of the deadline to end. */
  stop(options: StopOptions = {}): Promise<readonly ShardExit[]> {
    return this.#pool.stop(options)
  }

  /** {@link stop}, with the deadline that is given where none is. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

interface NamedPlan extends Required<DriverPlan> {
  readonly node: number
}

function contextsOf(topology: Topology, cpus: CpuSet | undefined): readonly ContextPlan[] {
  const { allowed } = topology
  const used = cpus === undefined ? allowed : allowed.intersection(cpus)
  if (used.size === 0 || (cpus !== undefined && !cpus.isSubsetOf(allowed))) {
    throw new RuntimeError(
      'ERR_CPU_UNAVAILABLE',
      `Cannot ${ACTION} as cpus must be some that this process may use, which are ${allowed}: current value is '${cpus ?? ''}'`,
    )
  }
  return used.groupBy('node').map((group) => ({ node: group.node!, cpus: group }))
}

/** All drivers, with their names: a pure function. */
export function planDrivers(
  contexts: readonly ContextPlan[],
  layout: DriverLayout,
): readonly NamedPlan[] {
  const plans = contexts.flatMap((context) => {
    const counts: Record<DriverKind, number> = { io: 0, task: 0, hybrid: 0 }
    return layout(context).map((plan): NamedPlan => {
      checkPlan(plan, context)
      const { kind, cpus } = plan
      const name = plan.name ?? `${kind}-${context.node}.${counts[kind]}`
      counts[kind]++
      return { kind, cpus, name, node: context.node }
    })
  })
  if (plans.length === 0) {
    throw new RangeError(`Cannot ${ACTION} as its layout must give one driver at least: it gives 0`)
  }
  const names = plans.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) {
    throw new RangeError(
      `Cannot ${ACTION} as drivers must have different names: two are '${twice}'`,
    )
  }
  return plans
}

function checkPlan({ kind, cpus, name }: DriverPlan, context: ContextPlan): void {
  if (kind !== 'io' && kind !== 'task' && kind !== 'hybrid') {
    throw wrongType(ACTION, 'kind of a driver', "'io', 'task' or 'hybrid'", kind)
  }
  if (!(cpus instanceof CpuSet)) throw wrongType(ACTION, 'cpus of a driver', 'a CpuSet', cpus)
  if (name !== undefined) validateString(ACTION, 'name of a driver', name)
  if (cpus.size > 0 && cpus.isSubsetOf(context.cpus)) return
  throw new RangeError(
    `Cannot ${ACTION} as a driver's cpus must be some of its context's, which are ${context.cpus}: current value is '${cpus}'`,
  )
}

function executorOf(kind: DriverKind): ShardExecutorOptions {
  return kind === 'task' ? TASK_EXECUTOR : {}
}
