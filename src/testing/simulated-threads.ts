import {
  confine,
  Executor,
  type ExecutorOptions,
  keepWaitLog,
  type Task,
  WaitLog,
} from '../executor/index.ts'
import type { SimKernel, SimLoopEvents } from '../sim/index.ts'
import { VirtualGlobals } from './virtual-globals.ts'

const EXECUTOR_DEFAULTS: ExecutorOptions = { ringDepth: 64, ioMemoryBytes: 256 * 1024 }

/** The threads of simulations, by their executors, which have their programs' asynchronous contexts. */
const threads = new WeakMap<Executor, SimulatedThread>()
const globals = new VirtualGlobals((executor) => threads.has(executor))
/** What the programs that run wait for; kept while there are any. */
const log = new WaitLog()
let runningCount = 0

/** The simulated thread that an executor is of; undefined for an executor that is not simulated. */
export function simulatedThreadOf(executor: Executor): SimulatedThread | undefined {
  return threads.get(executor)
}

/** How a thread of a simulated program begins. */
export interface ThreadStart {
  /** For people: `main`, `pool-2`. */
  readonly name: string
  readonly kernel: SimKernel
  readonly options: ExecutorOptions | undefined
  /** Told of a failure that no code of its handles. */
  readonly onUnhandled: (reason: unknown) => void
}

/** A thread of a simulated program. */
export interface SimulatedThread extends Omit<ThreadStart, 'options'> {
  readonly executor: Executor
  /** The program that it is a thread of. */
  readonly home: SimulatedThreads
}

/** A thread that has been asked for, from then until its end has been told. */
export interface StartedThread {
  readonly name: string
  /** Ends it at once, and nobody is told. */
  abandon(): void
  /** Ends it if that thread has started it. */
  endWith(parent: SimulatedThread): void
}

/**
 * The threads of one simulated program: their executors, each the ambient one of its own tasks, and what is to be known
 * of them when the program is stuck, or has ended.
 */
export class SimulatedThreads {
  /** What the loops of all threads report. */
  readonly events: SimLoopEvents
  /** Those that the program has started. */
  readonly started: Set<StartedThread> = new Set()
  /** Buffers that threads which came to their own end had not released, by name. */
  readonly keptBuffers: Map<string, number> = new Map()
  readonly #living = new Set<SimulatedThread>()
  readonly #names = new Map<number, string>()
  readonly #hasVirtualGlobals: boolean

  constructor(events: SimLoopEvents, hasVirtualGlobals: boolean) {
    this.events = events
    this.#hasVirtualGlobals = hasVirtualGlobals
  }

  /** Those whose executors have not left their loops, in the order of their start. */
  get living(): readonly SimulatedThread[] {
    return [...this.#living]
  }

  /** What a thread is called, also once it has ended; null for one that has had no executor. */
  nameOf(threadId: number): string | null {
    return this.#names.get(threadId) ?? null
  }

  /** Whether the program has had more than one. */
  get areMany(): boolean {
    return this.#names.size > 1
  }

  /** What is known of the waits of all programs. */
  get log(): WaitLog {
    return log
  }

  /**
   * Gives a thread its executor.
   *
   * @throws {TypeError | RangeError} for options of the wrong kind.
   */
  start({ name, kernel, options, onUnhandled }: ThreadStart): SimulatedThread {
    const executor = new Executor({ name, ...EXECUTOR_DEFAULTS, ...options, kernel })
    const thread: SimulatedThread = { name, kernel, executor, home: this, onUnhandled }
    threads.set(executor, thread)
    confine(executor)
    this.#living.add(thread)
    this.#names.set(kernel.threadId, name)
    if (runningCount++ === 0) keepWaitLog(log)
    if (this.#hasVirtualGlobals) globals.use(executor)
    executor.onLeave = () => this.#forget(thread)
    return thread
  }

  /** Ends a thread at once, as one that is terminated: nobody of it is told, and its descriptors are closed. */
  end({ executor }: SimulatedThread): void {
    // Nobody is to be told that the tasks of a program which has ended were ended.
    for (const task of log.forget(executor)) (task as Task<unknown>).catch(ignore)
    executor.leave()
  }

  endAll(): void {
    for (const thread of this.started) thread.abandon()
    for (const thread of this.living) this.end(thread)
  }

  #forget(thread: SimulatedThread): void {
    this.#living.delete(thread)
    if (this.#hasVirtualGlobals) globals.release()
    if (--runningCount === 0) keepWaitLog(null)
  }
}

/** Buffers that a program has not released. */
export function keptBufferCount({ memory, preemption }: Executor): number {
  return Math.max(0, memory.leasedCount - preemption.leasedCount)
}

function ignore(): void {}
