import { assert, RuntimeError, reviveError } from '../base/index.ts'
import { createDeferred, type Deferred } from '../executor/index.ts'
import type { CpuSet } from '../topology/index.ts'
import { CallBoard } from './call-board.ts'
import type { PoolTimer } from './long-timer.ts'
import { PortBoard } from './port-board.ts'
import type { FromServices, ToServices } from './service-messages.ts'
import { describeExit, errorOf, explainEnd, type ShardExit } from './shard-exit.ts'
import type { ShardPeer } from './shard-options.ts'
import type {
  FromShard,
  ShardReport,
  ShardThread,
  ThreadEnd,
  ThreadEvents,
  ToShard,
} from './shard-thread.ts'

/**
 * | state | thread | left by |
 * | --- | --- | --- |
 * | starting | loads its module | ready, ended |
 * | ready | waits for all others | running, ended |
 * | running | runs its function | returned, stopping, restarting, ended |
 * | returned | lives on what its function has left behind | stopping, restarting, ended |
 * | stopping | was asked to end | ended |
 * | restarting | none: failed, and waits for another | starting, ended |
 * | ended | none | |
 */
export type ShardState =
  | 'starting'
  | 'ready'
  | 'running'
  | 'returned'
  | 'stopping'
  | 'restarting'
  | 'ended'

/** A thread that was started where it is to be, and what the kernel refused of that. */
interface StartedThread {
  readonly result: ShardThread
  readonly refusals: readonly Error[]
}

/** What a place of a pool asks of it. */
export interface SlotPort {
  /** Starts a thread for that place, bound to its processors. */
  startThread(slot: ShardSlot, events: ThreadEvents): StartedThread
  setTimer(delayMs: number, callback: () => void): PoolTimer
  readonly startTimeoutMs: number
  /** A thread has ended: milliseconds until another is to take its place, or null. */
  decide(slot: ShardSlot, exit: ShardExit): number | null
  /** It has started again. */
  onReady(slot: ShardSlot): void
  onServices(slot: ShardSlot, message: FromServices): void
  /** Its thread has ended. */
  onThreadEnd(slot: ShardSlot): void
}

/** One place of a pool, and the threads that are in it one after the other. Belongs to the pool's thread. */
export class ShardSlot {
  readonly id: number
  readonly name: string
  readonly cpus: CpuSet
  readonly memoryNodes: readonly number[]
  state: ShardState = 'restarting'
  generation = 0
  report: ShardReport | null = null
  refusals: readonly Error[] = []
  /** How its last thread ended. */
  lastExit: ShardExit | null = null
  /** When it failed, as far as its restarts depend on that. */
  failures: readonly number[] = []
  /** Its last end. */
  readonly ended: Deferred<ShardExit> = createDeferred()
  /** What its present thread has been asked to do. */
  readonly calls: CallBoard = new CallBoard((message) => this.post(message))
  /** What it listens on, if it is a driver. */
  readonly ports: PortBoard = new PortBoard((message) => this.post(message))
  readonly #port: SlotPort
  #thread: ShardThread | null = null
  #starting: Deferred<void> | null = null
  #outcome: (FromShard & { readonly kind: 'returned' | 'threw' }) | null = null
  #isTerminated = false
  #isStopping = false
  #isReferenced = true
  /** Why it did not start, where that is more than how it ended. */
  #startError: { readonly error: unknown } | null = null
  /** Until which it has to have started, or after which it is started again. */
  #timer: PoolTimer | null = null
  /** Told of the end of the present thread. */
  #whenThreadEnds: ((exit: ShardExit) => void)[] = []

  constructor(port: SlotPort, place: Pick<ShardSlot, 'id' | 'name' | 'cpus' | 'memoryNodes'>) {
    this.#port = port
    this.id = place.id
    this.name = place.name
    this.cpus = place.cpus
    this.memoryNodes = place.memoryNodes
  }

  get peer(): ShardPeer {
    const { id, generation, name } = this
    return { id, generation, name, executorId: this.report?.executorId ?? 0 }
  }

  /** Whether it has a thread that has got ready. */
  get isUp(): boolean {
    return this.#thread !== null && this.state !== 'starting'
  }

  /** When its present function threw, by the kernel's clock; null if it did not. */
  get threwAtNs(): number | null {
    return this.#outcome?.kind === 'threw' ? this.#outcome.atNs : null
  }

  /** Starts a thread; resolves once it is ready, and rejects if it does not get so far, when it has ended. */
  start(): Promise<void> {
    assert(this.#thread === null, 'a place has one thread at a time')
    assert(this.state === 'restarting', 'a thread is started where there is none')
    this.generation++
    this.state = 'starting'
    this.#outcome = null
    this.#isTerminated = false
    this.report = null
    this.#starting = createDeferred()
    const { promise } = this.#starting
    try {
      const events: ThreadEvents = {
        onMessage: (message) => this.#onMessage(message),
        onEnd: (end) => this.#onEnd(end),
      }
      const { result, refusals } = this.#port.startThread(this, events)
      this.#thread = result
      this.refusals = refusals
      if (!this.#isReferenced) result.setReferenced(false)
    } catch (error) {
      this.#onEnd({ exitCode: 1, failure: { error } })
      return promise
    }
    const { startTimeoutMs } = this.#port
    this.#setTimer(startTimeoutMs, () => {
      const late = `it must be ready within ${startTimeoutMs} ms: it was not`
      this.#failStart(new RuntimeError('ERR_TASK_TIMEOUT', late))
    })
    return promise
  }

  /** Lets the program begin. */
  go(peers: readonly ShardPeer[]): void {
    if (this.state !== 'ready') return
    this.state = 'running'
    this.post({ kind: 'go', peers })
  }

  post(message: ToShard): void {
    this.#thread?.post(message)
  }

  postToServices(message: ToServices): void {
    this.post({ kind: 'services', message })
  }

  /** Ends it, before its program has begun, for an error that is told as that of its end. */
  failReady(error: unknown): void {
    if (this.state !== 'ready') return
    this.#startError = { error }
    this.terminate()
  }

  /** Asks it to come to an end; what never began is ended. */
  stop(closeAfterMs: number): void {
    if (this.state === 'ended' || this.#isStopping) return
    this.#isStopping = true
    if (this.#thread === null) {
      assert(this.lastExit !== null, 'a place without a thread had one')
      this.#finish(this.lastExit)
    } else if (this.state === 'running' || this.state === 'returned') {
      this.state = 'stopping'
      this.post({ kind: 'stop', closeAfterMs })
    } else {
      this.terminate()
    }
  }

  /** Ends its thread, whatever that does. */
  terminate(): void {
    if (this.#thread === null || this.#isTerminated) return
    this.#isTerminated = true
    this.#thread.terminate()
  }

  /** How the present thread ends, or the last one has ended. */
  threadEnd(): Promise<ShardExit> {
    if (this.#thread === null) {
      return this.lastExit === null ? this.ended.promise : Promise.resolve(this.lastExit)
    }
    return new Promise((resolve) => this.#whenThreadEnds.push(resolve))
  }

  setReferenced(isReferenced: boolean): void {
    this.#isReferenced = isReferenced
    this.#thread?.setReferenced(isReferenced)
    this.#timer?.setReferenced(isReferenced)
  }

  #onMessage(message: FromShard): void {
    switch (message.kind) {
      case 'ready':
        this.#beReady(message.report)
        return
      case 'refused':
        this.#failStart(reviveError(message.error))
        return
      case 'returned':
        this.#outcome = message
        if (this.state === 'running') this.state = 'returned'
        return
      case 'threw':
        this.#outcome = message
        return
      case 'answered':
      case 'failed':
        this.calls.settle(message)
        return
      case 'services':
        this.#port.onServices(this, message.message)
        return
      default:
        this.ports.hear(message)
    }
  }

  #beReady(report: ShardReport): void {
    const starting = this.#starting
    // It was given up meanwhile.
    if (starting === null || this.#isTerminated) return
    assert(this.state === 'starting', 'a thread becomes ready once')
    this.#timer?.cancel()
    this.#timer = null
    this.#starting = null
    this.report = report
    this.state = 'ready'
    starting.resolve()
    if (this.generation > 1) this.#port.onReady(this)
  }

  /** Why it does not start; told once the thread has ended. */
  #failStart(error: unknown): void {
    if (this.#starting === null) return
    this.#startError = { error }
    this.terminate()
  }

  #onEnd(end: ThreadEnd): void {
    this.#thread = null
    this.#timer?.cancel()
    this.#timer = null
    const exit = this.#explain(end)
    this.lastExit = exit
    this.calls.failAll(this.name, describeExit(exit))
    this.ports.endAll(this.name, describeExit(exit))
    this.#port.onThreadEnd(this)
    const waiting = this.#whenThreadEnds
    this.#whenThreadEnds = []
    const starting = this.#starting
    const startError = this.#startError
    this.#starting = null
    this.#startError = null
    const isFirst = this.generation === 1 && (starting !== null || this.state === 'ready')
    // All start or none does: a first thread that does not get so far is the pool's to answer.
    const delayMs = this.#isStopping || isFirst ? null : this.#port.decide(this, exit)
    if (delayMs === null) this.#finish(exit)
    else this.#await(delayMs)
    for (const callback of waiting) callback(exit)
    starting?.reject(startError?.error ?? errorOf(exit))
  }

  #setTimer(delayMs: number, callback: () => void): void {
    this.#timer = this.#port.setTimer(delayMs, callback)
    // A pool that lets its program end does so while a shard is coming, too.
    if (!this.#isReferenced) this.#timer.setReferenced(false)
  }

  #explain(end: ThreadEnd): ShardExit {
    const of = { shard: this.id, generation: this.generation }
    if (this.#startError !== null) return { ...of, reason: 'threw', ...this.#startError }
    return explainEnd(
      {
        end,
        outcome: this.#outcome,
        isTerminated: this.#isTerminated,
        isStopping: this.#isStopping,
      },
      of,
    )
  }

  #await(delayMs: number): void {
    this.state = 'restarting'
    this.#setTimer(delayMs, () => {
      this.#timer = null
      // Why it did not start is in its exit, which is decided upon like any.
      this.start().catch(ignore)
    })
  }

  #finish(exit: ShardExit): void {
    assert(this.state !== 'ended', 'a place ends once')
    this.#timer?.cancel()
    this.#timer = null
    this.state = 'ended'
    this.ended.resolve(exit)
  }
}

function ignore(): void {}
