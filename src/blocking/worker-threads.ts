import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { assert, numbersOfMask, recordError } from '../base/index.ts'
import type { Kernel } from '../kernel/index.ts'
import { type CpuSet, createBound, readAffinityOf } from '../topology/index.ts'
import type {
  BlockingRequest,
  BlockingThread,
  BlockingThreadEvents,
  BlockingThreads,
  PackedArguments,
  ToBlockingThread,
  Transferable,
} from './protocol.ts'

/** How the threads of a pool are made. */
export interface WorkerThreadsOptions {
  readonly kernel: Kernel
  readonly name: string
  /** The processors of each thread, or none: so many threads, wherever the process may run. */
  readonly cpus: readonly CpuSet[] | number
  /** What their heaps may grow to; Node's own limit if not given. */
  readonly heapMiB: number | undefined
}

/** Threads of this process, by `Worker`, each on its processors. */
export class WorkerThreads implements BlockingThreads {
  readonly countMax: number
  readonly #options: WorkerThreadsOptions
  #refusals: readonly Error[] = []

  constructor(options: WorkerThreadsOptions) {
    const { cpus } = options
    this.countMax = typeof cpus === 'number' ? cpus : cpus.length
    this.#options = options
  }

  pack(values: readonly unknown[], transfer: readonly Transferable[]): PackedArguments {
    return new PackedInPort(values, transfer)
  }

  start(index: number, events: BlockingThreadEvents): BlockingThread {
    const { name, heapMiB } = this.#options
    const { kernel } = this.#options
    const cpus = this.#cpusOf(index)
    const create = (): BlockingThread => {
      // `.js`, since what runs in it is compiled.
      const worker = new Worker(new URL('./worker-main.js', import.meta.url), {
        name: `${name}-${index}`,
        ...flagsOfThreads(),
        resourceLimits: heapMiB === undefined ? {} : { maxOldGenerationSizeMb: heapMiB },
      })
      return new WorkerThread(worker, events)
    }
    // Where the kernel does not say what a thread may run on it is left where it is.
    if (cpus.length === 0) return create()
    const { result, refusals } = createBound(kernel, { cpus, memoryNodes: [] }, create)
    this.#refusals = refusals
    return result
  }

  /** What the kernel refused as a thread was bound last: it runs all the same. */
  get refusals(): readonly Error[] {
    return this.#refusals
  }

  #cpusOf(index: number): readonly number[] {
    const { kernel, cpus } = this.#options
    // A thread that is bound makes threads that are: these are free to run where the process may.
    if (typeof cpus === 'number') {
      const mask = readAffinityOf(kernel, kernel.processId)
      return mask === null ? [] : numbersOfMask(mask)
    }
    const set = cpus[index]
    assert(set !== undefined, 'a pool has no more threads than places for them')
    return set.ids
  }
}

/** The arguments are copied, or moved, as they are packed: they wait in a port of their own. */
class PackedInPort implements PackedArguments {
  readonly port: MessagePort
  readonly #sender: MessagePort

  constructor(values: readonly unknown[], transfer: readonly Transferable[]) {
    const { port1, port2 } = new MessageChannel()
    this.#sender = port1
    this.port = port2
    try {
      port1.postMessage(values, [...transfer])
    } catch (error) {
      this.discard()
      throw error
    }
  }

  discard(): void {
    this.#sender.close()
  }
}

class WorkerThread implements BlockingThread {
  readonly #worker: Worker
  #hasEnded = false

  constructor(worker: Worker, events: BlockingThreadEvents) {
    this.#worker = worker
    let failure: { readonly error: unknown } | null = null
    worker.on('message', events.onReply.bind(events))
    worker.on('messageerror', (error: unknown) => {
      events.onReply({ kind: 'threw', error: recordError(error) })
    })
    worker.on('error', (error: unknown) => {
      failure ??= { error }
    })
    worker.on('exit', (exitCode) => {
      assert(!this.#hasEnded, 'a thread ends once')
      this.#hasEnded = true
      events.onEnd({ exitCode, failure })
    })
    // Who waits for it keeps the program alive; an idle one does not.
    worker.unref()
  }

  begin(
    request: BlockingRequest,
    values: readonly unknown[],
    transfer: readonly Transferable[],
  ): void {
    this.#post({ kind: 'run', request, input: values }, [...transfer])
  }

  beginPacked(request: BlockingRequest, packed: PackedArguments): void {
    assert(packed instanceof PackedInPort, 'arguments are packed by who made the thread')
    const { port } = packed
    this.#post({ kind: 'run', request, input: port }, [port])
  }

  end(): void {
    this.#post({ kind: 'end' }, [])
  }

  terminate(): void {
    void this.#worker.terminate()
  }

  #post(message: ToBlockingThread, transfer: Transferable[]): void {
    if (!this.#hasEnded) this.#worker.postMessage(message, transfer)
  }
}

/** A program that is given as text may have a flag that says how to read it, which threads refuse: these have none then. */
function flagsOfThreads(): { execArgv?: string[] } {
  const isText = process.execArgv.some((flag) => flag.startsWith('--input-type'))
  return isText ? { execArgv: [] } : {}
}
