import { RuntimeError, showAs } from '../base/index.ts'
import type { CpuSet } from '../topology/index.ts'
import type { CallBoard } from './call-board.ts'
import type { PortBoard } from './port-board.ts'
import type { ShardExit } from './shard-exit.ts'
import type { ShardSlot, ShardState } from './shard-slot.ts'

/** A shard, as the thread that started the pool sees it. It stays the same one when the shard is restarted. */
export class ShardHandle<Result = unknown> {
  static {
    showAs(ShardHandle, ({ name, state, cpus }) => `ShardHandle(${name}) ${state} on ${cpus}`)
  }

  readonly #slot: ShardSlot
  readonly #observe: () => void

  /** @internal */
  constructor(slot: ShardSlot, observe: () => void) {
    this.#slot = slot
    this.#observe = observe
  }

  /** Its place in {@link ExecutorPool.shards}. */
  get id(): number {
    return this.#slot.id
  }

  get name(): string {
    return this.#slot.name
  }

  /** The processors that it was given. */
  get cpus(): CpuSet {
    return this.#slot.cpus
  }

  /** The NUMA node of them all; null if they are of several. */
  get node(): number | null {
    return this.#slot.cpus.node
  }

  get state(): ShardState {
    return this.#slot.state
  }

  /** 1 at first, one more with each restart. */
  get generation(): number {
    return this.#slot.generation
  }

  /**
   * The number of its executor, as {@link ShardPeer} has it, by which an end of a channel may name it (`peer`); 0 while none is
   * ready.
   */
  get executorId(): number {
    return this.#slot.peer.executorId
  }

  /** How its last thread ended; null while the first one runs. */
  get lastExit(): ShardExit<Result> | null {
    return this.#slot.lastExit as ShardExit<Result> | null
  }

  /** How it ends for good; never rejects. A thread that is replaced is told by the pool's `onExit`. */
  get exited(): Promise<ShardExit<Result>> {
    this.#observe()
    return this.#slot.ended.promise as Promise<ShardExit<Result>>
  }

  /**
   * The processors that its thread may run on, as the kernel says; null where it does not, or before that has started.
   * In a container that forbids binding they are more than {@link cpus}: see {@link refusals}.
   */
  get boundCpus(): readonly number[] | null {
    return this.#slot.report?.cpus ?? null
  }

  /** The NUMA nodes that its I/O memory and its heap are on, as the kernel says; null where it does not, or there is but one. */
  get memoryNodes(): readonly number[] | null {
    return this.#slot.report?.memoryNodes ?? null
  }

  /** What the kernel refused as the thread was bound; it runs all the same. */
  get refusals(): readonly Error[] {
    return this.#slot.refusals
  }

  /** @internal */
  get calls(): CallBoard {
    return this.#slot.calls
  }

  /** @internal */
  get ports(): PortBoard {
    return this.#slot.ports
  }

  /** @internal @throws {RuntimeError} `ERR_SHARD_FAILED` */
  assertRunning(action: string): void {
    if (this.state === 'running') return
    throw new RuntimeError(
      'ERR_SHARD_FAILED',
      `Cannot ${action} as '${this.name}' must be running: it is ${this.state}`,
    )
  }

  /**
   * Ends its thread at once, whatever that does, an endless loop included; resolves to how that ended. Nothing of its
   * program runs any more. Counts as a failure: a pool that restarts puts another in its place.
   */
  terminate(): Promise<ShardExit<Result>> {
    const ended = this.#slot.threadEnd() as Promise<ShardExit<Result>>
    this.#slot.terminate()
    return ended
  }
}
