import { assert } from '../base/index.ts'
import type { ServiceDefinition } from './service-registry.ts'

/** What a running service is made from. */
export interface RunningServiceParts {
  /** By which the pool's shards name it. */
  readonly number: number
  readonly definition: ServiceDefinition
  readonly instance: object
  readonly methods: readonly string[]
}

/** An instance of a service on this shard, and how many calls it runs. */
export class RunningService {
  readonly number: number
  readonly definition: ServiceDefinition
  readonly instance: object
  readonly methods: readonly string[]
  /** What the task of a call is called, by its method. */
  readonly taskNames: readonly string[]
  #isStopping = false
  #callCount = 0
  #onIdle: (() => void) | null = null

  constructor({ number, definition, instance, methods }: RunningServiceParts) {
    this.number = number
    this.definition = definition
    this.instance = instance
    this.methods = methods
    this.taskNames = methods.map((method) => `${definition.name}.${method}`)
  }

  /** Whether it takes no more calls. */
  get isStopping(): boolean {
    return this.#isStopping
  }

  call(method: number, args: readonly unknown[]): unknown {
    const name = this.methods[method]
    assert(name !== undefined, 'a method is called by its number')
    const instance = this.instance as Record<string, (...args: readonly unknown[]) => unknown>
    return instance[name]!(...args)
  }

  enter(): void {
    assert(!this.#isStopping, 'a service that stops begins no calls')
    this.#callCount++
  }

  exit(): void {
    assert(this.#callCount > 0, 'a call that ends has begun')
    if (--this.#callCount === 0) this.#onIdle?.()
  }

  /** Waits for its calls, then ends the instance, by the method that `await using` calls. */
  async stop(): Promise<void> {
    assert(!this.#isStopping, 'a service is stopped once')
    this.#isStopping = true
    if (this.#callCount > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve))
    const instance = this.instance as Partial<AsyncDisposable & Disposable>
    if (typeof instance[Symbol.asyncDispose] === 'function') await instance[Symbol.asyncDispose]!()
    else instance[Symbol.dispose]?.()
  }
}
