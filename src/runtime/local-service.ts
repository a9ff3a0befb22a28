import { assert } from '../base/index.ts'
import { refuse, type WaitOptions } from '../executor/index.ts'
import { callDepth } from './call-context.ts'
import { CallError } from './call-error.ts'
import type { CalledMethod, Caller } from './outgoing-calls.ts'
import type { RunningService } from './running-service.ts'
import type { CallRequest, JoinedService } from './service-port.ts'

/** So many calls may lead to one, each made by the one before: more are a circle, as good as certainly. */
const DEPTH_MAX = 64

/** What a service on this shard asks of the shard. */
export interface LocalServicePort {
  readonly shardId: number
  readonly shardCount: number
  call(
    shard: number,
    called: CalledMethod,
    args: readonly unknown[],
    options: WaitOptions | undefined,
  ): Promise<unknown>
  leave(service: LocalService): Promise<void>
}

/** A service in the hands of one who uses it on this shard. */
export class LocalService implements JoinedService, Caller {
  readonly shardId: number
  readonly shardCount: number
  /** The pool's number of it; 0 where nothing was asked. */
  readonly request: number
  readonly #service: RunningService
  readonly #port: LocalServicePort
  #leaving: Promise<void> | null = null
  #callCount = 0
  #onIdle: (() => void) | null = null

  constructor(service: RunningService, request: number, port: LocalServicePort) {
    this.#service = service
    this.request = request
    this.#port = port
    this.shardId = port.shardId
    this.shardCount = port.shardCount
  }

  get name(): string {
    return this.#service.definition.name
  }

  get instance(): object {
    return this.#service.instance
  }

  get methods(): readonly string[] {
    return this.#service.methods
  }

  call({ shard, method, args, options }: CallRequest): Promise<unknown> {
    const { definition, number, methods } = this.#service
    const methodName = methods[method]
    assert(methodName !== undefined, 'a method is called by its number')
    const action = `call '${methodName}' of service '${definition.name}'`
    if (this.#leaving !== null) {
      const message = `Cannot ${action} as the service must run: it was stopped`
      return refuse(new CallError('ERR_SERVICE_NOT_RUNNING', message, true))
    }
    const depth = callDepth()
    if (depth >= DEPTH_MAX) {
      const message = `Cannot ${action} as at most ${DEPTH_MAX} calls may lead to one, each made by the one before: they do already`
      return refuse(new CallError('ERR_LIMIT_EXCEEDED', message, true))
    }
    const called = {
      service: number,
      serviceName: definition.name,
      method,
      methodName,
      outstandingMax: definition.outstandingMax,
      depth,
      caller: this,
    }
    return this.#port.call(shard, called, args, options)
  }

  callBegins(): void {
    this.#callCount++
  }

  callEnds(): void {
    assert(this.#callCount > 0, 'a call that ends has begun')
    if (--this.#callCount === 0) this.#onIdle?.()
  }

  leave(): Promise<void> {
    this.#leaving ??= this.#leave()
    return this.#leaving
  }

  async #leave(): Promise<void> {
    if (this.#callCount > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve))
    await this.#port.leave(this)
  }
}
