import { assert, NS_PER_MS, Runnable, type RunQueue, recordError } from '../base/index.ts'
import type { Executor, Task } from '../executor/index.ts'
import { Timer } from '../reactor/index.ts'
import type {
  BlockingReply,
  BlockingRequest,
  BlockingThread,
  BlockingThreadEvents,
  BlockingThreads,
  PackedArguments,
  Transferable,
} from './protocol.ts'
import { loadFunction, notCloneable } from './run-request.ts'

const RUN_NS_MIN = 20_000
const RUN_NS_MAX: number = 2 * NS_PER_MS

/**
 * The threads of a simulated program: none. A function is called on the one thread there is, at the end of a virtual time that
 * the seed decides, so that runs replay. Virtual time stands still while its module is loaded.
 */
export class SimulatedThreads implements BlockingThreads {
  readonly countMax: number
  readonly refusals: readonly Error[] = []
  readonly #executor: Executor

  constructor(executor: Executor, countMax: number) {
    this.#executor = executor
    this.countMax = countMax
  }

  pack(values: readonly unknown[], transfer: readonly Transferable[]): PackedArguments {
    return new PackedClone(cloneOf(values, transfer))
  }

  start(_index: number, events: BlockingThreadEvents): BlockingThread {
    return new SimulatedThread(this.#executor, events)
  }
}

class PackedClone implements PackedArguments {
  readonly values: readonly unknown[]

  constructor(values: readonly unknown[]) {
    this.values = values
  }

  discard(): void {}
}

/** Expires when the function is to be called. */
class SimulatedThread extends Timer implements BlockingThread {
  readonly #executor: Executor
  readonly #events: BlockingThreadEvents
  #loading: Promise<(...args: unknown[]) => unknown> | null = null
  #values: readonly unknown[] = []
  #task: Task<unknown> | null = null
  #isEnding = false
  #hasEnded = false

  constructor(executor: Executor, events: BlockingThreadEvents) {
    super(executor.defaultQueue, { keepsAlive: true, runsUserCode: true })
    this.#executor = executor
    this.#events = events
  }

  begin(
    request: BlockingRequest,
    values: readonly unknown[],
    transfer: readonly Transferable[],
  ): void {
    this.#begin(request, cloneOf(values, transfer))
  }

  beginPacked(request: BlockingRequest, packed: PackedArguments): void {
    assert(packed instanceof PackedClone, 'arguments are packed by who made the thread')
    this.#begin(request, packed.values)
  }

  end(): void {
    this.#isEnding = true
    if (this.#loading === null) this.#finish(0)
  }

  terminate(): void {
    this.#executor.timers.disarm(this)
    void this.#task?.cancel()
    this.#finish(1)
  }

  override run(): void {
    assert(this.#loading !== null, 'a thread calls what it has been given')
    const [loading, values] = [this.#loading, this.#values]
    if (this.#executor.isClosing) return
    // A task, so that what the function uses of percore, and its clock, are the simulated ones.
    const call = async (): Promise<unknown> => (await loading)(...values)
    this.#task = this.#executor.spawnInto(this.#executor.defaultQueue, call, 'blocking call')
    this.#task.then(
      (value) => this.#reply(value),
      (error) => this.#answer({ kind: 'threw', error: recordError(error) }),
    )
  }

  #reply(value: unknown): void {
    try {
      this.#answer({ kind: 'returned', value: structuredClone(value) })
    } catch (error) {
      this.#answer({ kind: 'threw', error: recordError(notCloneable(error)) })
    }
  }

  #answer(reply: BlockingReply): void {
    this.#loading = null
    this.#task = null
    if (this.#hasEnded) return
    this.#events.onReply(reply)
    if (this.#isEnding) this.#finish(0)
  }

  /** In a later turn, as an event comes. */
  #finish(exitCode: number): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    const { defaultQueue } = this.#executor
    defaultQueue.push(
      new ThreadEnded(defaultQueue, () => this.#events.onEnd({ exitCode, failure: null })),
    )
  }

  #begin(request: BlockingRequest, values: readonly unknown[]): void {
    assert(this.#loading === null, 'a thread runs one request at a time')
    const { timers, kernel } = this.#executor
    const found = loadFunction(request)
    const loading = kernel.during?.(found) ?? found
    loading.catch(ignore)
    this.#loading = loading
    this.#values = values
    const runNs = RUN_NS_MIN + Math.floor(kernel.random() * (RUN_NS_MAX - RUN_NS_MIN))
    timers.arm(this, timers.nowNs() + runNs)
  }
}

class ThreadEnded extends Runnable {
  readonly #tell: () => void

  constructor(home: RunQueue, tell: () => void) {
    super(home)
    this.#tell = tell
  }

  override run(): void {
    this.#tell()
  }
}

function cloneOf(
  values: readonly unknown[],
  transfer: readonly Transferable[],
): readonly unknown[] {
  return structuredClone(values, { transfer: [...transfer] as never })
}

function ignore(): void {}
