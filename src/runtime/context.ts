import { count, RuntimeError, showAs } from '../base/index.ts'
import type { CpuSet } from '../topology/index.ts'
import type { Driver } from './driver.ts'
import type { DriverPolicy } from './driver-policy.ts'
import { checkPickOptions, type PickOptions, type Work, type WorkOptions } from './work.ts'

/** A NUMA node at work: its processors, its memory, and the drivers on them. Made by {@link Runtime.start}. */
export class Context {
  static {
    showAs(
      Context,
      ({ node, drivers }) => `Context of node ${node}, ${count(drivers.length, 'driver')}`,
    )
  }

  /** The node's number. */
  readonly node: number
  /** Its processors that this process may use. */
  readonly cpus: CpuSet
  /** The nodes that its memory comes from: its own, or for a node without memory the nearest with some. */
  readonly memoryNodes: readonly number[]
  readonly drivers: readonly Driver[]
  readonly #policy: DriverPolicy

  /** @internal */
  constructor(
    parts: Pick<Context, 'node' | 'cpus' | 'memoryNodes' | 'drivers'>,
    policy: DriverPolicy,
  ) {
    this.node = parts.node
    this.cpus = parts.cpus
    this.memoryNodes = Object.freeze([...parts.memoryNodes])
    this.drivers = Object.freeze([...parts.drivers])
    this.#policy = policy
  }

  /**
   * The driver that the policy gives to such work now. O(drivers).
   *
   * @throws {TypeError} for options of the wrong kind.
   * @throws {RuntimeError} `ERR_UNSUPPORTED` if it gives none: no driver runs, or none does what the work needs.
   */
  pick(options: PickOptions = {}): Driver {
    checkPickOptions(options)
    const picked = this.#policy(this.drivers, options)
    const driver = this.drivers.find((each) => each === picked)
    if (driver !== undefined) return driver
    const kinds = this.drivers.map(
      ({ name, kind, shard }) => `${name} is ${kind} and ${shard.state}`,
    )
    throw new RuntimeError(
      'ERR_UNSUPPORTED',
      `Cannot run work as a driver of node ${this.node} must run and do what it needs (${options.needs ?? 'anything'}): ${kinds.join(', ')}`,
    )
  }

  /**
   * Runs a function on the driver that {@link pick} gives: its result, or what it threw.
   *
   * @throws as {@link pick} and {@link Driver.run} do.
   */
  async run<Result = unknown>(work: Work, options: PickOptions = {}): Promise<Result> {
    const driver = this.pick(options)
    const { priority, signal } = options
    const plain: WorkOptions = {
      ...(priority !== undefined && { priority }),
      ...(signal !== undefined && { signal }),
    }
    return await driver.run<Result>(work, plain)
  }
}
