import { isDeepStrictEqual } from 'node:util'
import {
  assert,
  type ErrorRecord,
  RuntimeError,
  recordError,
  reviveError,
  unreachable,
} from '../base/index.ts'
import { createSharedChannel } from '../channels/index.ts'
import { createDeferred, type Deferred } from '../executor/index.ts'
import type { PoolTimer } from './long-timer.ts'
import type { FromServices, LinkEnds, ToServices } from './service-messages.ts'
import { ServiceWaits } from './service-waits.ts'

/** Each ring between two shards: room for so many calls, or answers. */
const RING = { capacity: 128, valueBytes: 120, codec: 'bytes' } as const

/** A shard, as the services of its pool see it. */
export interface ServedShard {
  readonly id: number
  readonly name: string
  readonly generation: number
  /** Whether it has a thread that has got ready, and has not ended. */
  readonly isUp: boolean
  postToServices(message: ToServices): void
}

/** What services need of their pool. */
export interface ServiceLimits {
  /** How long the making of an instance may take. */
  readonly startTimeoutMs: number
  setTimer(delayMs: number, callback: () => void): PoolTimer
}

/** Who has started a service, or joined it. */
interface User {
  readonly shard: ServedShard
  /** Of its thread: another one in its place has not asked for anything. */
  readonly generation: number
  readonly request: number
  /** The service whose instance waits for the answer, until there is one; else null. */
  maker: number | null
}

type State = 'starting' | 'started' | 'stopping'

/** A service of the pool. */
interface Entry {
  readonly number: number
  readonly name: string
  readonly argument: unknown
  state: State
  methods: readonly string[] | null
  /** The shards whose present threads have an instance. */
  readonly startedOn: Set<number>
  /** Those on which one is made, after the service has started. */
  readonly restoring: Map<number, Promise<void>>
  readonly users: Map<string, User>
  /** Who was the last to leave, and waits for the end. */
  lastUser: User | null
}

type Join = FromServices & { readonly kind: 'join' }
type Answer = FromServices & { readonly kind: 'started' | 'notStarted' | 'stopped' }

/**
 * The services of a pool, on the pool's thread: starts them on all shards or none, in the order of their ids, starts them again on
 * a shard that is restarted, and stops them, in reverse, when all who have started them have left. Makes the rings
 * between shards when they are first asked for.
 */
export class ServiceBoard {
  readonly #shards: readonly ServedShard[]
  readonly #entries = new Map<string, Entry>()
  /** Those who asked for a service of that name while it stopped. */
  readonly #postponed = new Map<string, [User, Join][]>()
  /** What shards have been asked to do: by shard, then by service. */
  readonly #asked: readonly Map<number, Deferred<Answer>>[]
  /** The shards that the present thread of each is linked with. */
  readonly #linked: readonly Set<number>[]
  readonly #limits: ServiceLimits
  readonly #waits = new ServiceWaits()
  #nextNumber = 1

  constructor(shards: readonly ServedShard[], limits: ServiceLimits) {
    this.#shards = shards
    this.#limits = limits
    this.#asked = shards.map(() => new Map())
    this.#linked = shards.map(() => new Set())
  }

  onMessage(shard: ServedShard, message: FromServices): void {
    switch (message.kind) {
      case 'link':
        this.#link(shard, message.peer)
        return
      case 'join': {
        const { request, maker } = message
        this.#join({ shard, generation: shard.generation, request, maker }, message)
        return
      }
      case 'leave':
        this.#leave(shard, message.request)
        return
      default:
        this.#hearAnswer(shard, message)
    }
  }

  #hearAnswer(shard: ServedShard, message: Answer): void {
    const asked = this.#asked[shard.id]!.get(message.service)
    if (asked !== undefined) asked.resolve(message)
    // One that was made too late.
    else if (message.kind === 'started') {
      shard.postToServices({ kind: 'stop', service: message.service })
    }
  }

  /** The thread of a shard has ended. */
  onEnded(shard: ServedShard): void {
    const { id } = shard
    for (const peer of this.#linked[id]!) {
      this.#linked[peer]!.delete(id)
      this.#shards[peer]!.postToServices({ kind: 'gone', peer: id })
    }
    this.#linked[id]!.clear()
    for (const entry of this.#entries.values()) entry.startedOn.delete(id)
    const asked = [...this.#asked[id]!.values()]
    this.#asked[id]!.clear()
    for (const { reject } of asked) reject(new Error(`shard '${shard.name}' has ended`))
    for (const entry of [...this.#entries.values()]) {
      entry.restoring.delete(id)
      for (const [key, user] of entry.users) {
        if (user.shard !== shard) continue
        this.#endWait(entry, user)
        entry.users.delete(key)
      }
      this.#stopUnused(entry)
    }
  }

  /** Starts what runs on all others on a shard that has started again. Rejects with what one of them throws. */
  async restore(shard: ServedShard): Promise<void> {
    for (const entry of [...this.#entries.values()]) {
      if (entry.state !== 'started') continue
      await this.#restoreOn(entry, shard)
      // Nobody has found an instance here as the others were stopped.
      if ((entry.state as State) === 'stopping') await this.#stopOn(entry, shard)
    }
  }

  /** Starts a service on a shard that lacks it, also before its turn, where the instance of another one needs it there. */
  #restoreOn(entry: Entry, shard: ServedShard): Promise<void> {
    if (entry.startedOn.has(shard.id)) return Promise.resolve()
    let restored = entry.restoring.get(shard.id)
    if (restored === undefined) {
      restored = this.#startOn(entry, shard).finally(() => {
        if (entry.restoring.get(shard.id) === restored) entry.restoring.delete(shard.id)
      })
      entry.restoring.set(shard.id, restored)
    }
    return restored
  }

  #link(shard: ServedShard, peerId: number): void {
    const peer = this.#shards[peerId]
    assert(peer !== undefined && peer !== shard, 'a link leads to another shard')
    // One that is there already and is asked for again has been found broken before we were told of an end.
    if (!peer.isUp || this.#linked[shard.id]!.has(peerId)) {
      shard.postToServices({ kind: 'noLink', peer: peerId })
      return
    }
    this.#linked[shard.id]!.add(peerId)
    this.#linked[peerId]!.add(shard.id)
    const there = createSharedChannel(RING)
    const back = createSharedChannel(RING)
    shard.postToServices({ kind: 'link', peer: peerId, outgoing: there, incoming: back })
    const ends: LinkEnds = { peer: shard.id, outgoing: back, incoming: there }
    peer.postToServices({ kind: 'link', ...ends })
  }

  #join(user: User, message: Join): void {
    const { name, argument } = message
    const found = this.#entries.get(name)
    if (found?.state === 'stopping') {
      this.#postponed.set(name, [...(this.#postponed.get(name) ?? []), [user, message]])
      return
    }
    if (found !== undefined && !isDeepStrictEqual(found.argument, argument)) {
      const error = new RuntimeError(
        'ERR_SERVICE_START_FAILED',
        `Cannot start service '${name}' as all who do must give equal arguments: that of '${user.shard.name}' differs from the first`,
      )
      refuseJoin(user, recordError(error))
      return
    }
    const entry = found ?? this.#createEntry(name, argument)
    const { maker } = user
    const isThere = entry.state === 'started' && entry.startedOn.has(user.shard.id)
    if (maker !== null && !isThere && this.#waits.leads(entry.number, maker)) {
      refuseJoin(user, recordError(circleError(name)))
      return
    }
    entry.users.set(keyOf(user), user)
    if (maker !== null) this.#waits.add(maker, entry.number)
    if (entry.state === 'started') void this.#answerLater(entry, user)
    else if (found === undefined) void this.#start(entry)
  }

  /** Answers who joins a service that has started, once it runs on that shard as well. */
  async #answerLater(entry: Entry, user: User): Promise<void> {
    try {
      await this.#restoreOn(entry, user.shard)
      this.#answerJoin(entry, user)
    } catch (error) {
      if (entry.users.get(keyOf(user)) === user) entry.users.delete(keyOf(user))
      this.#refuse(entry, user, recordError(error))
      this.#stopUnused(entry)
    }
  }

  #answerJoin(entry: Entry, user: User): void {
    this.#endWait(entry, user)
    tell(user, { kind: 'joined', request: user.request, service: entry.number })
  }

  #refuse(entry: Entry, user: User, error: ErrorRecord): void {
    this.#endWait(entry, user)
    refuseJoin(user, error)
  }

  #endWait(entry: Entry, user: User): void {
    if (user.maker !== null) this.#waits.remove(user.maker, entry.number)
    user.maker = null
  }

  #createEntry(name: string, argument: unknown): Entry {
    const entry: Entry = {
      number: this.#nextNumber++,
      name,
      argument,
      state: 'starting',
      methods: null,
      startedOn: new Set(),
      restoring: new Map(),
      users: new Map(),
      lastUser: null,
    }
    this.#entries.set(name, entry)
    return entry
  }

  /** Never rejects: those who wait are told. */
  async #start(entry: Entry): Promise<void> {
    try {
      // One that has ended meanwhile, and been started again, has no instance.
      for (;;) {
        const next = this.#shards.find(({ id }) => !entry.startedOn.has(id))
        if (next === undefined) break
        await this.#startOn(entry, next)
      }
      entry.state = 'started'
      for (const user of entry.users.values()) this.#answerJoin(entry, user)
      this.#stopUnused(entry)
    } catch (error) {
      await this.#stopAll(entry)
      this.#forget(entry)
      const record = recordError(error)
      for (const user of entry.users.values()) this.#refuse(entry, user, record)
    }
  }

  /** @throws {RuntimeError} `ERR_SERVICE_START_FAILED`, with what the instance threw as its cause. */
  async #startOn(entry: Entry, shard: ServedShard): Promise<void> {
    const { number, name, argument } = entry
    const message = { kind: 'start', service: number, name, argument } as const
    const answer = await this.#ask(shard, message).catch((error: unknown) => ({ error }))
    if (!('kind' in answer)) throw startError(entry, shard, answer.error)
    if (answer.kind === 'notStarted') throw startError(entry, shard, reviveError(answer.error))
    assert(answer.kind === 'started', 'a start is answered by its outcome')
    entry.startedOn.add(shard.id)
    const { methods } = answer
    entry.methods ??= methods
    if (isDeepStrictEqual(entry.methods, methods)) return
    const why = `its instances must have the same methods: here they are ${methods.join(', ')}; on others ${entry.methods.join(', ')}`
    throw startError(entry, shard, new TypeError(why))
  }

  #leave(shard: ServedShard, request: number): void {
    for (const entry of this.#entries.values()) {
      const key = keyOf({ shard, request })
      const user = entry.users.get(key)
      if (user === undefined) continue
      entry.users.delete(key)
      // Nobody waits for others: they may wait for what comes after.
      if (entry.users.size > 0) answerLeave(user, null)
      else entry.lastUser = user
      this.#stopUnused(entry)
      return
    }
    unreachable('a service is left by those who use it')
  }

  #stopUnused(entry: Entry): void {
    if (entry.users.size > 0 || entry.state !== 'started') return
    entry.state = 'stopping'
    void this.#end(entry)
  }

  /** Never rejects, likewise. */
  async #end(entry: Entry): Promise<void> {
    const failures = await this.#stopAll(entry)
    this.#forget(entry)
    const [first] = failures
    const error =
      failures.length > 1
        ? new AggregateError(failures, `Cannot stop service '${entry.name}' without failures`)
        : first
    const record = failures.length === 0 ? null : recordError(error)
    if (entry.lastUser !== null) answerLeave(entry.lastUser, record)
    const postponed = this.#postponed.get(entry.name) ?? []
    this.#postponed.delete(entry.name)
    for (const [user, message] of postponed) if (isThere(user)) this.#join(user, message)
  }

  /** Ends the instances, in reverse; what they throw. */
  async #stopAll(entry: Entry): Promise<unknown[]> {
    const failures: unknown[] = []
    for (const shard of [...this.#shards].reverse()) {
      if (!entry.startedOn.has(shard.id)) continue
      const failure = await this.#stopOn(entry, shard)
      if (failure !== null) failures.push(failure.error)
    }
    return failures
  }

  /** Ends one instance; what it throws. */
  async #stopOn(entry: Entry, shard: ServedShard): Promise<{ readonly error: unknown } | null> {
    // Where the thread ends meanwhile the instance has ended with it.
    const answer = await this.#ask(shard, { kind: 'stop', service: entry.number }).catch(nothing)
    entry.startedOn.delete(shard.id)
    if (answer === null) return null
    assert(answer.kind === 'stopped', 'a stop is answered by its outcome')
    return answer.error === null ? null : { error: reviveError(answer.error) }
  }

  #forget(entry: Entry): void {
    assert(this.#entries.get(entry.name) === entry, 'a service is forgotten once')
    this.#entries.delete(entry.name)
  }

  async #ask(
    shard: ServedShard,
    message: ToServices & { readonly kind: 'start' | 'stop' },
  ): Promise<Answer> {
    if (!shard.isUp) throw new Error('it has no thread')
    const asked = this.#asked[shard.id]!
    const { service } = message
    assert(!asked.has(service), 'a shard is asked one thing of a service at a time')
    const deferred = createDeferred<Answer>()
    asked.set(service, deferred)
    const timer = message.kind === 'start' ? this.#limit(deferred) : null
    try {
      shard.postToServices(message)
      return await deferred.promise
    } finally {
      timer?.cancel()
      if (asked.get(service) === deferred) asked.delete(service)
    }
  }

  #limit(started: Deferred<Answer>): PoolTimer {
    const { startTimeoutMs, setTimer } = this.#limits
    const timer = setTimer(startTimeoutMs, () => {
      const why = `its instance must be made within ${startTimeoutMs} ms: it was not`
      started.reject(new RuntimeError('ERR_TASK_TIMEOUT', why))
    })
    // A pool that lets its program end does so meanwhile, too.
    timer.setReferenced(false)
    return timer
  }
}

function circleError(name: string): RuntimeError {
  return new RuntimeError(
    'ERR_SERVICE_START_FAILED',
    `Cannot start service '${name}' as services must not need each other to start: an instance of it is being made, and waits for the one that asks`,
  )
}

function keyOf({ shard, request }: Pick<User, 'shard' | 'request'>): string {
  return `${shard.id}/${request}`
}

/** Whether the thread that has asked is still there. */
function isThere({ shard, generation }: User): boolean {
  return shard.isUp && shard.generation === generation
}

function tell(user: User, message: ToServices): void {
  if (isThere(user)) user.shard.postToServices(message)
}

function refuseJoin(user: User, error: ErrorRecord): void {
  tell(user, { kind: 'refused', request: user.request, error })
}

function answerLeave(user: User, error: ErrorRecord | null): void {
  tell(user, { kind: 'left', request: user.request, error })
}

function startError({ name }: Entry, shard: ServedShard, cause: unknown): RuntimeError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new RuntimeError(
    'ERR_SERVICE_START_FAILED',
    `Cannot start service '${name}' as all shards must: '${shard.name}' did not: ${why}`,
    { cause },
  )
}

function nothing(): null {
  return null
}
