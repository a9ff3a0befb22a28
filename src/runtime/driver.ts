import { showAs } from '../base/index.ts'
import type { CpuSet } from '../topology/index.ts'
import type { DriverKind } from './driver-layout.ts'
import type { DriverLoad } from './driver-policy.ts'
import type { ShardHandle } from './shard-handle.ts'
import type { WorkPriority } from './shard-options.ts'
import { checkWork, checkWorkOptions, type Work, type WorkOptions } from './work.ts'

/** A thread of a context, on a core: it runs what it is given, as tasks of its executor. Made by {@link Runtime.start}. */
export class Driver implements DriverLoad {
  static {
    showAs(
      Driver,
      ({ name, kind, shard }) => `Driver(${name}) ${kind}, ${shard.state} on ${shard.cpus}`,
    )
  }

  readonly name: string
  readonly kind: DriverKind
  /** The NUMA node of its context. */
  readonly node: number
  /** Its thread: its state, and how it ends. */
  readonly shard: ShardHandle

  /** @internal */
  constructor(shard: ShardHandle, kind: DriverKind, node: number) {
    this.name = shard.name
    this.kind = kind
    this.node = node
    this.shard = shard
  }

  get cpus(): CpuSet {
    return this.shard.cpus
  }

  get isRunning(): boolean {
    return this.shard.state === 'running'
  }

  /** Work it was given by this thread and has not ended, of that priority and of higher ones; all if not given. */
  pendingCount(priority: WorkPriority = 'low'): number {
    return this.shard.calls.pendingCount(priority)
  }

  /**
   * Runs a function on this driver: its result, or what it threw.
   *
   * @throws {TypeError} for work or options of the wrong kind, an argument or a result that cannot be cloned, and an export
   * that is no function.
   * @throws {RuntimeError} `ERR_SHARD_FAILED` if the driver does not run, or ends before it has answered.
   */
  async run<Result = unknown>(work: Work, options: WorkOptions = {}): Promise<Result> {
    const checked = checkWork(work)
    checkWorkOptions(options)
    this.shard.assertRunning('run work')
    return (await this.shard.calls.call(checked, options)) as Result
  }
}
