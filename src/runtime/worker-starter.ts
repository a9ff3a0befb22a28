import { type ResourceLimits, Worker } from 'node:worker_threads'
import { assert } from '../base/index.ts'
import { type PoolTimer, setLongTimer } from './long-timer.ts'
import type { HeapOptions } from './shard-options.ts'
import type {
  FromShard,
  ShardThread,
  ThreadEvents,
  ThreadOptions,
  ThreadStarter,
  ToShard,
} from './shard-thread.ts'

/** Options that say what the program is, or how to read it: behind the first ones stands a word of theirs, behind the others may. */
const TEXT_OPTIONS: readonly string[] = ['-e', '-pe', '--eval', '--input-type']
const PRINT_OPTIONS: readonly string[] = ['-p', '--print']
const TEXT_VALUES = /^(?:--eval|--print|--input-type)=/
const REFUSED_CODE = 'ERR_WORKER_INVALID_EXEC_ARGV'

/** Threads of this process, by `Worker`. */
export class WorkerStarter implements ThreadStarter {
  start(options: ThreadOptions, events: ThreadEvents): ShardThread {
    const { program, heap, env, execArgv } = options
    const create = (words: readonly string[] | undefined): Worker =>
      // `.js`, since what runs in it is compiled, or loaded by what gives TypeScript's files these names.
      new Worker(new URL('./worker-main.js', import.meta.url), {
        name: program.name,
        workerData: program,
        resourceLimits: limitsOf(heap),
        ...(env !== undefined && { env: env as NodeJS.Dict<string> }),
        ...(words !== undefined && { execArgv: [...words] }),
      })
    return new WorkerThread(
      execArgv === undefined ? createInheriting(create) : create(execArgv),
      events,
    )
  }

  setTimer(delayMs: number, callback: () => void): PoolTimer {
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
    // What was lost may be what somebody waits for: nothing that this thread says can be relied on any more.
    worker.on('messageerror', (error: unknown) => {
      failure ??= { error }
      void worker.terminate()
    })
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
 * Makes a worker that is given no options of Node: it has those of the process.
 *
 * But a program that is itself no file (`node -e`) has some that a worker, which is one, refuses: then it has the others, as far as a
 * thread can have options of its own. What it cannot is V8's, and holds for all threads as it is.
 */
function createInheriting(create: (words: readonly string[] | undefined) => Worker): Worker {
  const words = withoutText(process.execArgv)
  if (words.length === process.execArgv.length) return create(undefined)
  try {
    return create(words)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== REFUSED_CODE) throw error
    // "Initiated Worker with invalid execArgv flags: --expose-gc, --stack-size=2000"
    const refused = message
      .slice(message.indexOf(':') + 1)
      .split(',')
      .map((word) => word.trim())
    return create(words.filter((word) => !refused.includes(word)))
  }
}

/** Options of Node but for the text of the program, and what says how to read it: a pure function. */
export function withoutText(execArgv: readonly string[]): readonly string[] {
  const kept: string[] = []
  for (let index = 0; index < execArgv.length; index++) {
    const word = execArgv[index]!
    const next = execArgv[index + 1]
    if (TEXT_OPTIONS.includes(word)) index++
    else if (PRINT_OPTIONS.includes(word))
      index += next === undefined || next.startsWith('-') ? 0 : 1
    else if (!TEXT_VALUES.test(word)) kept.push(word)
  }
  return kept
}

function limitsOf({ oldMiB, youngMiB, codeMiB, stackMiB }: HeapOptions): ResourceLimits {
  return {
    ...(oldMiB !== undefined && { maxOldGenerationSizeMb: oldMiB }),
    ...(youngMiB !== undefined && { maxYoungGenerationSizeMb: youngMiB }),
    ...(codeMiB !== undefined && { codeRangeSizeMb: codeMiB }),
    ...(stackMiB !== undefined && { stackSizeMb: stackMiB }),
  }
}
