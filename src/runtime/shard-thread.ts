/**
 * The port by which the thread of a shard is started, followed and ended. Two implement it: `Worker`, and the simulation
 * with a thread of its machine. Messages are plain data, which is copied on its way.
 */
import type { ErrorRecord } from '../base/index.ts'
import type { Executor, ExecutorOptions } from '../executor/index.ts'
import type { Cpu } from '../topology/index.ts'
import type { PoolTimer } from './long-timer.ts'
import type { FromPort, ToPort } from './port-messages.ts'
import type { FromServices, ToServices } from './service-messages.ts'
import type { HeapOptions, ShardExecutorOptions, ShardPeer, WorkPriority } from './shard-options.ts'

/** What a shard is to be and to run: plain data. */
export interface ShardProgram {
  readonly id: number
  readonly count: number
  /** 1 for the first thread of this shard, 2 for that which took its place, and so on. */
  readonly generation: number
  /** For the thread, its executor and messages: `pool-2`. */
  readonly name: string
  /** Its URL. */
  readonly module: string
  /** The export to call; the default one if not given. */
  readonly entry?: string
  readonly argument: unknown
  readonly cpus: readonly Cpu[]
  /** The NUMA node of all its processors, or null. */
  readonly node: number | null
  readonly executor: ShardExecutorOptions
  /** Whether to ask the kernel where its memory is: that of its heap, and of I/O, which is mapped for it. */
  readonly asksForNodes: 'no' | 'heap' | 'all'
}

/** Where a shard came to be, as the kernel said on its own thread. */
export interface ShardReport {
  readonly executorId: number
  /** Numbers of the processors it may run on; null where the kernel does not say. */
  readonly cpus: readonly number[] | null
  /** Nodes of the pages of its heap and, unless it is a driver for tasks, of its I/O memory; null where the kernel does not say, or nobody asked. */
  readonly memoryNodes: readonly number[] | null
}

/** From the pool to a shard. */
export type ToShard =
  /** All have started: run the program. */
  | { readonly kind: 'go'; readonly peers: readonly ShardPeer[] }
  /** One of them is another now. */
  | { readonly kind: 'peer'; readonly peer: ShardPeer }
  /** Come to an end; the executor is closed after that time, if the program has not ended before. */
  | { readonly kind: 'stop'; readonly closeAfterMs: number }
  /** Run a function as a task, and answer by its number. */
  | {
      readonly kind: 'call'
      readonly id: number
      readonly module: string
      readonly name: string
      readonly argument: unknown
      readonly priority: WorkPriority
    }
  /** Its answer is not wanted any more; it is answered all the same. */
  | { readonly kind: 'cancelCall'; readonly id: number }
  | { readonly kind: 'services'; readonly message: ToServices }
  | ToPort

/** From a shard to its pool. */
export type FromShard =
  | { readonly kind: 'ready'; readonly report: ShardReport }
  /** It could not start; it ends by itself. */
  | { readonly kind: 'refused'; readonly error: ErrorRecord }
  /** Its function has returned; its thread goes on while something keeps it alive. */
  | { readonly kind: 'returned'; readonly value: unknown }
  /** Its function has thrown; the thread ends. `isStop` if it did so because it was stopped. `atNs`: when, by the kernel's clock. */
  | {
      readonly kind: 'threw'
      readonly error: ErrorRecord
      readonly isStop: boolean
      readonly atNs: number
    }
  /** What a call came to. */
  | { readonly kind: 'answered'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly error: ErrorRecord }
  | { readonly kind: 'services'; readonly message: FromServices }
  | FromPort

/** How a thread is started. */
export interface ThreadOptions {
  readonly program: ShardProgram
  readonly heap: HeapOptions
  /** The environment; that of the process if not given. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  /** Options of Node; those of the process if not given. */
  readonly execArgv?: readonly string[] | undefined
}

/** How a thread ended. */
export interface ThreadEnd {
  readonly exitCode: number
  /** What nobody caught, if that ended it. */
  readonly failure: { readonly error: unknown } | null
}

/** Told on the thread of the pool, in this order, the end last; never from within {@link ThreadStarter.start}. */
export interface ThreadEvents {
  onMessage(message: FromShard): void
  onEnd(end: ThreadEnd): void
}

/** A thread, seen from its pool. */
export interface ShardThread {
  /**
   * Sends to {@link ShardHost.listen}; to one that has ended, nothing.
   *
   * @throws for what cannot be cloned; then nothing was sent.
   */
  post(message: ToShard): void
  /** Ends it, whatever it does; {@link ThreadEvents.onEnd} follows. Once is enough. */
  terminate(): void
  /** Whether it keeps the pool's thread alive, as it does at first. */
  setReferenced(isReferenced: boolean): void
}

/** What makes threads for shards. */
export interface ThreadStarter {
  /**
   * Starts a thread that runs `runShard` with a host of its own. It inherits processors and memory policy from the
   * calling thread as they are within this call.
   *
   * @throws whatever refused it; then there is no thread.
   */
  start(options: ThreadOptions, events: ThreadEvents): ShardThread
  /** Calls back after a time, which keeps the program alive unless what is returned says otherwise. */
  setTimer(delayMs: number, callback: () => void): PoolTimer
}

/** A thread, seen from the shard that runs on it. */
export interface ShardHost {
  /** Attaches the executor of this thread. */
  attach(options: Omit<ExecutorOptions, 'kernel'>): Executor
  /** Loads the module of that URL: its exports. */
  load(module: string): Promise<unknown>
  /** @throws for what cannot be cloned; then nothing was sent. */
  post(message: FromShard): void
  /** Called once; what was sent before is delivered. */
  listen(onMessage: (message: ToShard) => void): void
  /** Whether waiting for messages keeps the thread alive, as it does at first. */
  setReferenced(isReferenced: boolean): void
  /** Calls back after a time, which does not keep the thread alive; what is returned calls it off. */
  setTimer(delayMs: number, callback: () => void): () => void
  /** Calls back when nothing keeps the thread alive any more: it ends, unless that begins something, and says so. */
  onIdle(callback: () => boolean): void
  /** Ends the thread at once, after what was posted. */
  exit(code: number): void
}
