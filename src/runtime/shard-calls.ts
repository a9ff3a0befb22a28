import { assert, findExport, RuntimeError, recordError } from '../base/index.ts'
import type { Executor, Task, TaskQueue } from '../executor/index.ts'
import type { WorkPriority } from './shard-options.ts'
import type { ShardHost, ToShard } from './shard-thread.ts'

type Call = ToShard & { readonly kind: 'call' }

/** The functions that others have called on a shard: each is a task, in the queue of its priority. */
export class ShardCalls {
  readonly #host: ShardHost
  readonly #executor: Executor
  readonly #tasks = new Map<number, Task<unknown>>()
  readonly #queues = new Map<WorkPriority, TaskQueue>()
  #onIdle: (() => void)[] = []

  constructor(host: ShardHost, executor: Executor) {
    this.#host = host
    this.#executor = executor
  }

  /** Those that have not ended. */
  get count(): number {
    return this.#tasks.size
  }

  begin(call: Call): void {
    assert(!this.#tasks.has(call.id), 'a call has a number of its own')
    if (this.#executor.isClosing) {
      this.#answer(call.id, {
        error: new RuntimeError(
          'ERR_SHARD_STOPPED',
          'Cannot run work as its driver must go on: it was stopped',
        ),
      })
      return
    }
    const queue = this.#queueOf(call.priority)
    const task = this.#executor.spawnInto(queue, () => this.#run(call), call.name)
    this.#tasks.set(call.id, task)
    task.then(
      (value) => this.#end(call.id, { value }),
      (error) => this.#end(call.id, { error }),
    )
  }

  cancel(id: number): void {
    void this.#tasks.get(id)?.cancel()
  }

  /** Resolves once none is left. */
  async whenIdle(): Promise<void> {
    if (this.#tasks.size > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve))
  }

  async #run({ module, name, argument }: Call): Promise<unknown> {
    const exports = (await this.#host.load(module)) as Record<string, unknown>
    const called = findExport(exports, name)
    if (typeof called !== 'function') {
      throw new TypeError(
        `Cannot run work as export '${name}' of ${module} must be a function: it is ${called === undefined ? 'missing' : `of type ${typeof called}`}`,
      )
    }
    return await called(argument)
  }

  #queueOf(priority: WorkPriority): TaskQueue {
    if (priority === 'normal') return this.#executor.defaultQueue
    let queue = this.#queues.get(priority)
    if (queue === undefined) {
      queue =
        priority === 'high'
          ? this.#executor.createTaskQueue('high', { shares: 1000, latency: { maxMs: 2 } })
          : this.#executor.createTaskQueue('low', { shares: 100 })
      this.#queues.set(priority, queue)
    }
    return queue
  }

  #end(id: number, outcome: { readonly value: unknown } | { readonly error: unknown }): void {
    this.#tasks.delete(id)
    this.#answer(id, outcome)
    if (this.#tasks.size > 0) return
    const waiting = this.#onIdle
    this.#onIdle = []
    for (const resolve of waiting) resolve()
  }

  #answer(id: number, outcome: { readonly value: unknown } | { readonly error: unknown }): void {
    try {
      if ('error' in outcome) {
        this.#host.post({ kind: 'failed', id, error: recordError(outcome.error) })
      } else {
        this.#host.post({ kind: 'answered', id, value: outcome.value })
      }
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      const refused = new TypeError(`Cannot answer as a result must be cloneable: ${message}`)
      this.#host.post({ kind: 'failed', id, error: recordError(refused) })
    }
  }
}
