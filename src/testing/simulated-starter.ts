import { AsyncResource } from 'node:async_hooks'
import { assert, NS_PER_MS, recordError, reviveError } from '../base/index.ts'
import { currentOrNull, type Executor, type ExecutorOptions } from '../executor/index.ts'
import {
  type FromShard,
  type PoolTimer,
  provideThreadStarter,
  runShard,
  type ShardHost,
  type ShardMain,
  type ShardProgram,
  type ShardThread,
  type ThreadEnd,
  type ThreadEvents,
  type ThreadOptions,
  type ThreadStarter,
  type ToShard,
} from '../runtime/index.ts'
import type { SimKernel } from '../sim/index.ts'
import {
  keptBufferCount,
  type SimulatedThread,
  type SimulatedThreads,
  type StartedThread,
  simulatedThreadOf,
} from './simulated-threads.ts'

/** How long a thread takes to start, and a message to another thread, from … to. */
const START_NS: readonly [number, number] = [20_000, 2_000_000]
const MESSAGE_NS: readonly [number, number] = [1_000, 100_000]
/** Steps of threads up to which one goes on that is terminated. */
const TERMINATE_STEPS_MAX = 40
const TERMINATE_NS: readonly [number, number] = [0, 500_000]
const FUNCTION_URL = 'percore-simulated:'

// Made while this is loaded, by nobody's task: what begins in it has no AsyncLocalStorage of anybody's.
const nobody = new AsyncResource('PercoreSimulation')
/** Functions that shards run instead of a module's, by the URL that stands for one. */
const functions = new Map<string, ShardMain>()
let functionCount = 0

/** Has pools of simulated programs start threads of their simulations. */
export function provideSimulatedThreads(): void {
  provideThreadStarter(findStarter)
}

/** Gives a function the URL of a module whose default export it is, until what is returned is called. */
export function nameFunction(main: ShardMain): { readonly url: string; forget(): void } {
  const url = `${FUNCTION_URL}${++functionCount}`
  functions.set(url, main)
  return { url, forget: () => functions.delete(url) }
}

function findStarter(): ThreadStarter | null {
  const current = currentOrNull()
  const thread = current === null ? undefined : simulatedThreadOf(current)
  if (thread === undefined) return null
  current!.assertOpen('start a thread')
  return new SimulatedStarter(thread)
}

/** Starts threads of a simulated program for one that it has already. */
class SimulatedStarter implements ThreadStarter {
  readonly #parent: SimulatedThread

  constructor(parent: SimulatedThread) {
    this.#parent = parent
  }

  start(options: ThreadOptions, events: ThreadEvents): ShardThread {
    const program = structuredClone(options.program)
    return new SimulatedShard(this.#parent, program, events).createThread()
  }

  setTimer(delayMs: number, callback: () => void): PoolTimer {
    const { kernel, executor } = this.#parent
    const context = new AsyncResource('PercoreSimulatedTimer')
    const cancel = kernel.after(delayMs * NS_PER_MS, () => runOn(executor, context, callback))
    // A simulated program ends as its main function does.
    return { cancel, setReferenced: () => {} }
  }
}

/** One shard's thread of a simulated program: what its pool, and what the shard itself, have in their hands. */
class SimulatedShard implements StartedThread {
  readonly name: string
  readonly #parent: SimulatedThread
  readonly #home: SimulatedThreads
  readonly #kernel: SimKernel
  readonly #toShard: Mail<ToShard>
  readonly #toPool: Mail<FromShard | ThreadEnd>
  #thread: SimulatedThread | null = null
  #listener: ((message: ToShard) => void) | null = null
  /** What came before the shard listened. */
  readonly #unheard: ToShard[] = []
  #isReferenced = true
  #hasEnded = false
  #onIdle: (() => boolean) | null = null

  constructor(parent: SimulatedThread, program: ShardProgram, events: ThreadEvents) {
    this.name = program.name
    this.#parent = parent
    this.#home = parent.home
    const onUnreferenced = (): void => this.#onUnreferenced()
    this.#kernel = parent.kernel.thread({ ...parent.home.events, onUnreferenced })
    // The asynchronous context of who starts it, which is told of it.
    const context = new AsyncResource('PercoreSimulatedThread')
    this.#toPool = new Mail(this.#kernel, (message) => {
      runOn(parent.executor, context, () => this.#tell(events, message))
    })
    this.#toShard = new Mail(this.#kernel, (message) => this.#hear(message))
    this.#home.started.add(this)
    this.#kernel.after(this.#kernel.prng.int(...START_NS), () => {
      if (!this.#hasEnded) nobody.runInAsyncScope(runShard, null, this.#createHost(), program)
    })
  }

  /** As its pool sees it. */
  createThread(): ShardThread {
    return {
      post: (message) => {
        if (!this.#hasEnded) this.#toShard.post(message)
      },
      terminate: () => {
        const end = (): void => this.#end({ exitCode: 1, failure: null })
        // In the midst of what all of them do, and soon where they all sleep.
        this.#kernel.interrupt(this.#kernel.prng.int(0, TERMINATE_STEPS_MAX), end)
        this.#kernel.after(this.#kernel.prng.int(...TERMINATE_NS), end)
      },
      // A simulated program ends as its main function does, whatever else is referenced.
      setReferenced: () => {},
    }
  }

  abandon(): void {
    this.#hasEnded = true
  }

  endWith(parent: SimulatedThread): void {
    if (parent === this.#parent) this.#end({ exitCode: 1, failure: null })
  }

  /** As the shard sees it. */
  #createHost(): ShardHost {
    const kernel = this.#kernel
    return {
      attach: (options) => this.#attach(options),
      load: (module) => this.#load(module),
      post: (message) => this.#toPool.post(message),
      listen: (onMessage) => {
        assert(this.#listener === null, 'a shard listens once')
        this.#listener = onMessage
        for (const message of this.#unheard) this.#hear(message)
      },
      setReferenced: (isReferenced) => {
        this.#isReferenced = isReferenced
      },
      setTimer: (delayMs, callback) =>
        kernel.after(delayMs * NS_PER_MS, () => {
          if (!this.#hasEnded) this.#run(callback)
        }),
      onIdle: (callback) => {
        this.#onIdle = callback
      },
      exit: (exitCode) => this.#endSoon({ exitCode, failure: null }),
    }
  }

  #attach(options: Omit<ExecutorOptions, 'kernel'>): Executor {
    const onUnhandled = (error: unknown): void => {
      this.#endSoon({ exitCode: 1, failure: { error: reviveError(recordError(error)) } })
    }
    const { name } = this
    this.#thread = this.#home.start({ name, kernel: this.#kernel, options, onUnhandled })
    return this.#thread.executor
  }

  async #load(module: string): Promise<unknown> {
    const main = functions.get(module)
    if (main !== undefined) return { default: main }
    return await this.#kernel.during(import(module))
  }

  #hear(message: ToShard): void {
    if (this.#hasEnded) return
    const listener = this.#listener
    if (listener === null) this.#unheard.push(message)
    else this.#run(() => listener(message))
  }

  /** Runs code of the shard's own, which no other thread has anything to do with. */
  #run(callback: () => void): void {
    if (this.#thread === null) nobody.runInAsyncScope(callback)
    else runOn(this.#thread.executor, nobody, callback)
  }

  #tell(events: ThreadEvents, message: FromShard | ThreadEnd): void {
    if ('kind' in message) {
      events.onMessage(message)
      return
    }
    this.#home.started.delete(this)
    events.onEnd(message)
  }

  /** Its event loop is empty: a real thread ends by itself, unless it waits for messages. */
  #onUnreferenced(): void {
    if (this.#isReferenced) return
    if (this.#onIdle !== null && nobody.runInAsyncScope(this.#onIdle)) return
    this.#endSoon({ exitCode: 0, failure: null })
  }

  /** Between this step and the next: code that has just said so does not run in vain. */
  #endSoon(end: ThreadEnd): void {
    this.#kernel.interrupt(0, () => this.#end(end))
  }

  #end(end: ThreadEnd): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    const thread = this.#thread
    if (thread !== null) {
      const keptCount = keptBufferCount(thread.executor)
      if (end.exitCode === 0 && keptCount > 0) this.#home.keptBuffers.set(this.name, keptCount)
      this.#home.end(thread)
      // As workers of a worker do.
      for (const other of this.#home.started) other.endWith(thread)
    }
    this.#toPool.push(end)
  }
}

/** Messages to another thread: copied, in their order, and each a while under way. */
class Mail<Message> {
  readonly #kernel: SimKernel
  readonly #deliver: (message: Message) => void
  readonly #underWay: Message[] = []

  constructor(kernel: SimKernel, deliver: (message: Message) => void) {
    this.#kernel = kernel
    this.#deliver = deliver
  }

  /** @throws for what can't be cloned. */
  post(message: Message): void {
    this.push(structuredClone(message))
  }

  /** What needs no copy, since nobody else has it. */
  push(message: Message): void {
    this.#underWay.push(message)
    this.#kernel.after(this.#kernel.prng.int(...MESSAGE_NS), () => {
      this.#deliver(this.#underWay.shift()!)
    })
  }
}

/** Runs what Node's event loop would call, as work of an executor's thread: in a turn, or between two if it has none any more. */
function runOn(executor: Executor, context: AsyncResource, callback: () => void): void {
  if (executor.isClosing) {
    context.runInAsyncScope(callback)
    return
  }
  const { defaultQueue } = executor
  context.runInAsyncScope(() => executor.spawnInto(defaultQueue, () => callback(), 'message'))
}
