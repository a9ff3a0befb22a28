import { type ResourceLimits, Worker } from 'node:worker_threads'
import { assert } from '../base/index.ts'
import { setLongTimer } from './long-timer.ts'
import type { HeapOptions } from './shard-options.ts'
import type {
  FromShard,
  ShardThread,
  ThreadEvents,
  ThreadOptions,
  ThreadStarter,
  ToShard,
} from './shard-thread.ts'

const EVALUATED = /^(?:-e|-p|-pe|--eval|--print|--input-type)(?:=|$)/

/** Threads of this process, by `Worker`. */
export class WorkerStarter implements ThreadStarter {
  start(options: ThreadOptions, events: ThreadEvents): ShardThread {
    const { program, heap, env, execArgv = inheritedOptions() } = options
    // `.js`, since what runs in it is compiled, or loaded by what gives TypeScript's files these names.
    const worker = new Worker(new URL('./worker-main.js', import.meta.url), {
      name: program.name,
      workerData: program,
      resourceLimits: limitsOf(heap),
      ...(env !== undefined && { env: env as NodeJS.Dict<string> }),
      ...(execArgv !== undefined && { execArgv: [...execArgv] }),
    })
    return new WorkerThread(worker, events)
  }

  setTimer(delayMs: number, callback: () => void): () => void {
    return setLongTimer(delayMs, callback, true)
  }
}

class WorkerThread implements ShardThread {
  readonly #worker: Worker
  #hasEnded = false

  constructor(worker: Worker, events: ThreadEvents) {
    this.#worker = worker
    let failure: { readonly error: unknown } | null = null
    worker.on('message', (message: FromShard) => events.onMessage(message))
    worker.on('error', (error: unknown) => {
      failure ??= { error }
    })
    worker.on('exit', (exitCode) => {
      assert(!this.#hasEnded, 'a thread ends once')
      this.#hasEnded = true
      events.onEnd({ exitCode, failure })
    })
  }

  post(message: ToShard): void {
    if (!this.#hasEnded) this.#worker.postMessage(message)
  }

  terminate(): void {
    void this.#worker.terminate()
  }

  setReferenced(isReferenced: boolean): void {
    if (isReferenced) this.#worker.ref()
    else this.#worker.unref()
  }
}

/**
 * Options of Node for a worker that is given none: those of the process, which undefined stands for.
 *
 * But a program that is itself no file (`node -e`) has some that a worker, which is one, refuses: then none.
 */
function inheritedOptions(): readonly string[] | undefined {
  return process.execArgv.some((option) => EVALUATED.test(option)) ? [] : undefined
}

function limitsOf({ oldMiB, youngMiB, codeMiB, stackMiB }: HeapOptions): ResourceLimits {
  return {
    ...(oldMiB !== undefined && { maxOldGenerationSizeMb: oldMiB }),
    ...(youngMiB !== undefined && { maxYoungGenerationSizeMb: youngMiB }),
    ...(codeMiB !== undefined && { codeRangeSizeMb: codeMiB }),
    ...(stackMiB !== undefined && { stackSizeMb: stackMiB }),
  }
}
