import {
  optionNames,
  showAs,
  validateFunction,
  validateInteger,
  validateOptions,
  validateString,
  wrongType,
} from '../base/index.ts'
import { refuse, type WaitOptions } from '../executor/index.ts'
import type { JoinedService } from './service-port.ts'

/** The methods of an instance that can be called from other shards, by name. */
export type MethodOf<Instance> = {
  [Name in keyof Instance]: Instance[Name] extends (...args: never) => unknown ? Name : never
}[keyof Instance] &
  string

/** What a method is called with. */
export type ArgsOf<Instance, Name extends keyof Instance> = Instance[Name] extends (
  ...args: infer Args
) => unknown
  ? Args
  : never

/** What a method comes to. */
export type ResultOf<Instance, Name extends keyof Instance> = Instance[Name] extends (
  ...args: never
) => infer Result
  ? Awaited<Result>
  : never

/** An instance as another shard calls it: the same methods, each with a promise of its result. */
export type RemoteService<Instance> = {
  readonly [Name in MethodOf<Instance>]: (
    ...args: ArgsOf<Instance, Name>
  ) => Promise<ResultOf<Instance, Name>>
}

const OPTION_NAMES = optionNames<WaitOptions>({ signal: true, timeoutMs: true })

/**
 * A service that runs on all shards of a pool, in the hands of a program on one of them. Made by {@link Service.start}.
 *
 * A call of a shard's instance, this shard's own included, takes copies of its arguments, by structured clone, runs the method as a task of that shard, and
 * gives a copy of its result. Errors cross with their names, messages, codes, causes and stacks. Two calls from one shard to another begin in
 * their order, unless there are more than a service may have under way: then the later ones wait in line.
 *
 * Belongs to the shard's thread. A call costs some microseconds, and a wake-up where the other shard sleeps.
 */
export class ShardedService<Instance extends object> implements AsyncDisposable {
  static {
    showAs(
      ShardedService,
      ({ name, shardCount }) => `ShardedService(${name}) on ${shardCount} shards`,
    )
  }

  readonly name: string
  readonly shardCount: number
  /** This shard's instance itself: called without a copy of anything. */
  readonly local: Instance
  readonly #joined: JoinedService
  readonly #methods: ReadonlyMap<string, number>
  readonly #remotes: (RemoteService<Instance> | undefined)[] = []

  /** @internal */
  constructor(joined: JoinedService) {
    this.name = joined.name
    this.shardCount = joined.shardCount
    this.local = joined.instance as Instance
    this.#joined = joined
    this.#methods = new Map(joined.methods.map((name, index) => [name, index]))
  }

  /**
   * The instance of a shard, to call its methods; `options` are of each call. Costs nothing without options, else an object.
   *
   * @throws {TypeError | RangeError} for a shard that the pool has not, and options of the wrong kind.
   */
  on(shard: number, options?: WaitOptions): RemoteService<Instance> {
    this.#checkShard(shard)
    if (options !== undefined) {
      this.#checkOptions(options)
      return this.#createRemote(shard, options)
    }
    let remote = this.#remotes[shard]
    if (remote === undefined) {
      remote = this.#createRemote(shard, undefined)
      this.#remotes[shard] = remote
    }
    return remote
  }

  /**
   * Calls a method by its name: what `on(shard).method(...)` does, for code that has the name as a value.
   *
   * Rejects with a {@link CallError} where the method comes to no answer: `ERR_SHARD_FAILED` if the shard has ended,
   * `ERR_SERVICE_NOT_RUNNING` once the service is stopped, `ERR_LIMIT_EXCEEDED` for a call that 64 others have led to, each made by the one before; its
   * {@link CallError.hasNotRun} says whether it can be made again without harm. Rejects with a `TypeError` for an unknown method, and for
   * arguments or a result that cannot be cloned; with a `RangeError` for a shard that the pool has not; with what the method throws; and as {@link WaitOptions} say: a call that waits in
   * line is withdrawn then, and of one that runs the task is cancelled.
   */
  submitTo<Name extends MethodOf<Instance>>(
    shard: number,
    method: Name,
    args: ArgsOf<Instance, Name>,
    options?: WaitOptions,
  ): Promise<ResultOf<Instance, Name>> {
    try {
      this.#checkShard(shard)
      const number = this.#numberOf(method)
      if (options !== undefined) this.#checkOptions(options)
      if (!Array.isArray(args)) {
        throw wrongType(`call '${method}' of service '${this.name}'`, 'args', 'an array', args)
      }
      return this.#call(shard, number, args, options) as Promise<ResultOf<Instance, Name>>
    } catch (error) {
      return refuse(error)
    }
  }

  /**
   * Calls a method on all shards at once; the results by their shards.
   *
   * Rejects with the error of the first shard, by its id, that fails, once all have answered: so nothing of it goes on then.
   */
  async onAll<Name extends MethodOf<Instance>>(
    method: Name,
    ...args: ArgsOf<Instance, Name>
  ): Promise<ResultOf<Instance, Name>[]> {
    const shards = Array.from({ length: this.shardCount }, (_, shard) => shard)
    const calls = shards.map((shard) => this.submitTo(shard, method, args))
    const outcomes = await Promise.allSettled(calls)
    return outcomes.map((outcome) => {
      if (outcome.status === 'rejected') throw outcome.reason
      return outcome.value
    })
  }

  /**
   * Calls a method on all shards at once, and makes one value of the results, in the order of the shards.
   *
   * Rejects as {@link onAll}, and with what `reduce` throws.
   */
  async mapReduce<Name extends MethodOf<Instance>, Value>(
    method: Name,
    args: ArgsOf<Instance, Name>,
    reduce: (value: Value, result: ResultOf<Instance, Name>, shard: number) => Value,
    initial: Value,
  ): Promise<Value> {
    validateFunction(`call '${method}' of service '${this.name}'`, 'reduce', reduce)
    const results = await this.onAll(method, ...args)
    return results.reduce((value, result, shard) => reduce(value, result, shard), initial)
  }

  /**
   * Says that this program calls the service no more, and waits for its calls. Where others use it, on this shard or another, it runs on,
   * here as well, also once the program has returned.
   *
   * The last one who stops it waits for its end on all shards: each instance, the last shard's first, ends the calls that it runs, and is
   * disposed of, by its `[Symbol.asyncDispose]()` or `[Symbol.dispose]()` if it has one; with what these throw it rejects. Again is the same.
   */
  stop(): Promise<void> {
    return this.#joined.leave()
  }

  /** {@link stop}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  #createRemote(shard: number, options: WaitOptions | undefined): RemoteService<Instance> {
    const remote: Record<string, (...args: unknown[]) => Promise<unknown>> = Object.create(null)
    for (const [name, method] of this.#methods) {
      remote[name] = (...args) => this.#call(shard, method, args, options)
    }
    return Object.freeze(remote) as unknown as RemoteService<Instance>
  }

  #call(
    shard: number,
    method: number,
    args: readonly unknown[],
    options: WaitOptions | undefined,
  ): Promise<unknown> {
    return this.#joined.call({ shard, method, args, options })
  }

  #checkShard(shard: number): void {
    const action = `call service '${this.name}'`
    validateInteger(action, 'the shard', shard, { min: 0, max: this.shardCount - 1 })
  }

  #checkOptions(options: WaitOptions): void {
    validateOptions(`call service '${this.name}'`, options, OPTION_NAMES)
  }

  #numberOf(method: string): number {
    const action = `call service '${this.name}'`
    validateString(action, 'method', method)
    const number = this.#methods.get(method)
    if (number !== undefined) return number
    const known = [...this.#methods.keys()].join(', ')
    throw new TypeError(
      `Cannot ${action} as it must have the method: '${method}' is none of ${known}`,
    )
  }
}
