import { AsyncLocalStorage } from 'node:async_hooks'
import { assert, recordError, reviveError } from '../base/index.ts'
import {
  createDeferred,
  type Deferred,
  type Executor,
  HoldingWaiter,
  type Task,
  WaitList,
} from '../executor/index.ts'
import { runForNobody } from './call-context.ts'
import { LocalService, type LocalServicePort } from './local-service.ts'
import { PeerConnection } from './peer-connection.ts'
import { RunningService } from './running-service.ts'
import { notDefined, type ShardServices, type ShardServicesParts } from './service-loading.ts'
import type { FromServices, ToServices } from './service-messages.ts'
import type { JoinedService } from './service-port.ts'
import { findDefinition, listMethods } from './service-registry.ts'
import type { Shard } from './shard.ts'

/** The making of a service's instance. */
interface Making {
  readonly service: number
  readonly name: string
  isOver: boolean
}

/** That which the running code belongs to, or which has begun it. */
const beingMade = new AsyncLocalStorage<Making>()

/**
 * The services of one shard: its instances, its ways to all other shards, and what it has asked the pool for.
 *
 * The pool starts and stops services, since it alone outlives every shard; calls go from shard to shard.
 */
export class ServiceHub implements ShardServices {
  readonly #home: Executor
  readonly #shard: Shard
  readonly #post: (message: FromServices) => void
  readonly #running = new Map<number, RunningService>()
  readonly #peers: PeerConnection[] = []
  readonly #requests = new Map<number, ControlWaiter>()
  /** Those of them that somebody waits for; for the close of the executor. */
  readonly #waiting = new WaitList<ControlWaiter>({ waiterLeft: () => {} })
  /** What this shard has joined, and not left; with the service whose instance has, if one has. */
  readonly #joined = new Map<LocalService, number | null>()
  readonly #port: LocalServicePort
  /** While the program has ended, and something runs here. */
  #ended: Deferred<void> | null = null
  #nextRequest = 1

  constructor({ home, shard, post }: ShardServicesParts) {
    this.#home = home
    this.#shard = shard
    this.#post = post
    this.#port = {
      shardId: shard.id,
      shardCount: shard.count,
      call: (to, called, args, options) => this.#peer(to).outgoing.call(called, args, options),
      leave: (service) => this.#leave(service),
    }
  }

  async join(name: string, argument: unknown): Promise<JoinedService> {
    const maker = beingMade.getStore()
    if (maker?.name === name && !maker.isOver) {
      throw new Error(
        `Cannot start service '${name}' as its instance is being made: it needs itself`,
      )
    }
    const action = `start service '${name}'`
    const request = this.#nextRequest++
    const number = await this.#ask(action, {
      kind: 'join',
      request,
      name,
      argument,
      maker: maker === undefined || maker.isOver ? null : maker.service,
    })
    const service = this.#running.get(number as number)
    assert(service !== undefined, 'a service that has started runs on each shard')
    const local = new LocalService(service, request, this.#port)
    this.#joined.set(local, maker?.service ?? null)
    return local
  }

  find(name: string): JoinedService | null {
    for (const service of this.#running.values()) {
      if (service.definition.name === name) return new LocalService(service, 0, this.#port)
    }
    return null
  }

  onMessage(message: ToServices): void {
    switch (message.kind) {
      case 'link':
        this.#peer(message.peer).connect(message)
        return
      case 'noLink':
        this.#peer(message.peer).refuse()
        return
      case 'gone':
        this.#peers[message.peer]?.disconnect()
        return
      case 'start':
        this.#run(`start ${message.name}`, () => this.#start(message))
        return
      case 'stop':
        this.#run('stop a service', () => this.#stop(message.service))
        return
      case 'joined':
        this.#takeRequest(message.request)?.fulfil(message.service)
        return
      case 'refused':
        this.#takeRequest(message.request)?.fail(reviveError(message.error))
        return
      case 'left': {
        const waiter = this.#takeRequest(message.request)
        if (message.error === null) waiter?.fulfil(0)
        else waiter?.fail(reviveError(message.error))
      }
    }
  }

  /** Whether anything runs here, or was joined. */
  get isInUse(): boolean {
    return this.#running.size > 0 || this.#joined.size > 0
  }

  /**
   * Leaves all that was joined, as the program has come to its end. What others use runs on, and keeps this thread
   * alive; resolves once nothing runs here.
   */
  end(): Promise<void> {
    if (this.#ended !== null) return this.#ended.promise
    const ended = createDeferred<void>()
    this.#ended = ended
    this.#home.liveness.hold()
    this.#leaveAll()
    this.#checkEnd()
    return ended.promise
  }

  /** What an instance needs it has until its own end. */
  #leaveAll(): void {
    for (const [service, maker] of [...this.#joined]) {
      if (maker !== null) continue
      // What fails as a service stops is told to those who wait for that.
      runForNobody(() => void service.leave().catch(ignore))
    }
  }

  #checkEnd(): void {
    if (this.#ended === null || this.#running.size > 0) return
    this.#ended.resolve()
    this.#ended = null
    this.#home.liveness.letGo()
  }

  async #leave(service: LocalService): Promise<void> {
    if (!this.#joined.delete(service)) return
    await this.#ask(`stop service '${service.name}'`, { kind: 'leave', request: service.request })
  }

  async #start(message: ToServices & { readonly kind: 'start' }): Promise<void> {
    const { service: number, name, argument } = message
    const making: Making = { service: number, name, isOver: false }
    try {
      const definition = findDefinition(name)
      if (definition === undefined) {
        throw notDefined(name, this.#shard.name)
      }
      const { create } = definition
      const instance: unknown = await beingMade.run(making, () => create(this.#shard, argument))
      making.isOver = true
      if (typeof instance !== 'object' || instance === null) {
        throw new TypeError(`it must be made an object with methods: it is ${typeof instance}`)
      }
      const methods = listMethods(instance)
      this.#running.set(number, new RunningService({ number, definition, instance, methods }))
      this.#post({ kind: 'started', service: number, methods })
    } catch (error) {
      making.isOver = true
      this.#leaveOf(number)
      this.#post({ kind: 'notStarted', service: number, error: recordError(error) })
    }
  }

  async #stop(number: number): Promise<void> {
    const service = this.#running.get(number)
    assert(service !== undefined, 'a service that is stopped runs')
    let failure: { readonly error: unknown } | null = null
    try {
      await service.stop()
    } catch (error) {
      failure = { error }
    }
    this.#leaveOf(number)
    this.#running.delete(number)
    this.#checkEnd()
    for (const peer of this.#peers) peer?.outgoing.forgetService(number)
    const error = failure === null ? null : recordError(failure.error)
    this.#post({ kind: 'stopped', service: number, error })
  }

  /** Leaves what the instance of a service has joined as it was made. Not waited for: it may be in use by others. */
  #leaveOf(number: number): void {
    for (const [joined, maker] of [...this.#joined]) {
      if (maker === number) void joined.leave().catch(ignore)
    }
  }

  /** What the pool asks for is a task, whose failure is told to it. */
  #run(name: string, body: (task: Task<void>) => Promise<void>): void {
    const { defaultQueue } = this.#home
    runForNobody(() => this.#home.spawnInto(defaultQueue, body, name).catch(ignore))
  }

  /** Asks the pool, and waits for its answer, without which nothing goes on: for the end of the executor, at most. */
  #ask(action: string, message: FromServices & { readonly request: number }): Promise<unknown> {
    const { request } = message
    this.#home.assertOpen(action)
    this.#postRequest(action, message)
    return runForNobody(() => {
      const waiter = new ControlWaiter(this.#home)
      waiter.bindListed(this.#home, undefined, action)
      assert(!this.#requests.has(request), 'a join is answered before its leave')
      this.#requests.set(request, waiter)
      this.#waiting.push(waiter)
      return waiter.promise
    })
  }

  #postRequest(action: string, message: FromServices): void {
    try {
      this.#post(message)
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      throw new TypeError(`Cannot ${action} as its argument must be cloneable: ${text}`, {
        cause: error,
      })
    }
  }

  #takeRequest(request: number): ControlWaiter | null {
    const waiter = this.#requests.get(request)
    assert(waiter !== undefined, 'a request is answered once')
    this.#requests.delete(request)
    // Nobody waits any more where the executor has closed.
    if (waiter.list === null) return null
    this.#waiting.remove(waiter)
    return waiter
  }

  #peer(id: number): PeerConnection {
    let peer = this.#peers[id]
    if (peer === undefined) {
      const shard = this.#shard
      peer = new PeerConnection(id, {
        home: this.#home,
        name: shard.name,
        find: (service) => this.#running.get(service),
        isSelf: id === shard.id,
        peerName: () => shard.peers[id]?.name ?? `shard ${id}`,
        askLink: () => this.#post({ kind: 'link', peer: id }),
      })
      this.#peers[id] = peer
    }
    return peer
  }
}

/** Waits for an answer of the pool. */
class ControlWaiter extends HoldingWaiter<unknown> {}

function ignore(): void {}
