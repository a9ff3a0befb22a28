import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { assert } from '../base/index.ts'
import { attachExecutor, type Executor, type ExecutorOptions } from '../executor/index.ts'
import { markLoading } from './loading.ts'
import { setLongTimer } from './long-timer.ts'
import { runShard } from './run-shard.ts'
import type { FromShard, ShardHost, ShardProgram, ToShard } from './shard-thread.ts'

class WorkerHost implements ShardHost {
  readonly #port: MessagePort

  constructor(port: MessagePort) {
    this.#port = port
  }

  attach(options: Omit<ExecutorOptions, 'kernel'>): Executor {
    return attachExecutor(options)
  }

  async load(module: string): Promise<unknown> {
    return await markLoading(module, () => import(module))
  }

  post(message: FromShard): void {
    this.#port.postMessage(message)
  }

  listen(onMessage: (message: ToShard) => void): void {
    this.#port.on('message', onMessage)
    // Whoever sent it waits for an answer, and would for ever: the end of the thread is one.
    this.#port.on('messageerror', (error: unknown) => {
      throw error
    })
  }

  setReferenced(isReferenced: boolean): void {
    if (isReferenced) this.#port.ref()
    else this.#port.unref()
  }

  setTimer(delayMs: number, callback: () => void): () => void {
    const timer = setLongTimer(delayMs, callback, false)
    return () => timer.cancel()
  }

  onIdle(callback: () => boolean): void {
    process.on('beforeExit', callback)
  }

  exit(code: number): void {
    process.exit(code)
  }
}

/** Runs a shard on this thread, a `Worker` of its pool. */
export function runWorker(): void {
  assert(parentPort !== null, 'a shard runs in a worker of its pool')
  runShard(new WorkerHost(parentPort), workerData as ShardProgram)
}
