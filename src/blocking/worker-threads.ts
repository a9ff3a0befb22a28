import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { assert, maskOfNumbers, recordError } from '../base/index.ts'
import { type Kernel, kernelError } from '../kernel/index.ts'
import type { CpuSet } from '../topology/index.ts'
import type {
  BlockingRequest,
  BlockingThread,
  BlockingThreadEvents,
  BlockingThreads,
  PackedArguments,
  ToBlockingThread,
  Transferable,
} from './protocol.ts'

const MASK_BYTES = 8192

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
    return this.#withAffinity(this.#maskOf(index), () => {
      // `.js`, since what runs in it is compiled.
      const worker = new Worker(new URL('./worker-main.js', import.meta.url), {
        name: `${name}-${index}`,
        ...flagsOfThreads(),
        resourceLimits: heapMiB === undefined ? {} : { maxOldGenerationSizeMb: heapMiB },
      })
      return new WorkerThread(worker, events)
    })
  }

  #maskOf(index: number): Uint8Array {
    const { kernel, cpus } = this.#options
    // A thread that is bound makes threads that are: these are free to run where the process may.
    if (typeof cpus === 'number') return readAffinity(kernel, kernel.processId)
    const set = cpus[index]
    assert(set !== undefined, 'a pool has no more threads than places for them')
    return maskOfNumbers(set.ids)
  }

  /** Runs `start` with the affinity of a thread to come, which inherits it, and puts that of the caller back. */
  #withAffinity<T>(mask: Uint8Array, start: () => T): T {
    const { kernel } = this.#options
    const own = readAffinity(kernel, 0)
    if (isSameMask(own, mask)) return start()
    check(kernel.setAffinity(0, mask), 'sched_setaffinity')
    try {
      return start()
    } finally {
      check(kernel.setAffinity(0, own), 'sched_setaffinity')
    }
  }
}

function readAffinity(kernel: Kernel, threadId: number): Uint8Array {
  const mask = new Uint8Array(MASK_BYTES)
  return mask.subarray(0, check(kernel.getAffinity(threadId, mask), 'sched_getaffinity'))
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

function check(result: number, syscall: string): number {
  if (result < 0) throw kernelError(result, { syscall })
  return result
}

function isSameMask(a: Uint8Array, b: Uint8Array): boolean {
  const lengthBytes = Math.max(a.length, b.length)
  for (let i = 0; i < lengthBytes; i++) if ((a[i] ?? 0) !== (b[i] ?? 0)) return false
  return true
}
