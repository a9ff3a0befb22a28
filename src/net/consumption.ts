import { AsyncResource } from 'node:async_hooks'
import { adoptPromise, isPromiseLike, validateFunction, wrongType } from '../base/index.ts'

/**
 * Who takes the chunks of streams of a kind. One may serve any number of them.
 *
 * Its methods are looked up at each call, and called as methods: `this` is the consumer.
 */
export interface ChunkConsumer<Stream> {
  /**
   * Takes a chunk; the next one waits until it is done.
   *
   * The chunk is valid until this returns or, if it returns a promise, until that has settled; no
   * longer than until the close. A failure, thrown or rejected, ends the consumption.
   */
  onChunk(chunk: Uint8Array<ArrayBuffer>, stream: Stream): unknown

  /**
   * Told once that no more chunks will come, when the last one is done with.
   *
   * `error` is null at the end of the stream, and when the stream was closed here; else it is why the
   * consumption ended: a {@link KernelError} such as `ECONNRESET`, the failure of {@link onChunk}, or
   * the reason of a cancellation. Nobody else is told of it. The stream is free for another reader,
   * and not closed yet. A failure of this is an unhandled rejection.
   */
  onEnd(error: unknown, stream: Stream): unknown
}

/** @throws {TypeError} unless `consumer` has both methods. */
export function validateConsumer(action: string, consumer: unknown): void {
  if (typeof consumer !== 'object' || consumer === null) {
    throw wrongType(action, 'consumer', 'an object with onChunk and onEnd', consumer)
  }
  const { onChunk, onEnd } = consumer as Partial<ChunkConsumer<unknown>>
  validateFunction(action, 'consumer.onChunk', onChunk)
  validateFunction(action, 'consumer.onEnd', onEnd)
}

/** The receiving side that a chunk comes from, told how its consumer fared if that took longer. */
export interface ConsumedSide {
  /** The consumer is done with its chunk. */
  goOn(): void
  /** The consumer failed, which ends the consumption. */
  fail(failure: unknown): void
}

/** Nobody is to be told when one is collected. */
const RESOURCE_OPTIONS = { requireManualDestroy: true }

/**
 * A stream and its consumer, which is called in the asynchronous context of who began it: in the name
 * of the same task, with the same values in every AsyncLocalStorage.
 *
 * All that an idle stream holds for its consumer: no promise, no closure.
 */
export class Consumption<Stream = unknown> extends AsyncResource {
  readonly #stream: Stream
  readonly #consumer: ChunkConsumer<Stream>

  constructor(stream: Stream, consumer: ChunkConsumer<Stream>) {
    super('PercoreConsumption', RESOURCE_OPTIONS)
    this.#stream = stream
    this.#consumer = consumer
  }

  /**
   * Calls the consumer; true if it is done, else `side` is told later.
   *
   * @throws what the consumer throws.
   */
  take(chunk: Uint8Array<ArrayBuffer>, side: ConsumedSide): boolean {
    const consumer = this.#consumer
    const result = this.runInAsyncScope(consumer.onChunk, consumer, chunk, this.#stream)
    if (!isPromiseLike(result)) return true
    const wait = idleWaits.pop() ?? new ConsumerWait()
    wait.begin(result, side)
    return false
  }

  end(error: unknown): void {
    const consumer = this.#consumer
    try {
      this.runInAsyncScope(consumer.onEnd, consumer, error, this.#stream)
    } catch (failure) {
      // As if it were asynchronous, rather than out of the turn, whose other work must go on.
      void Promise.reject(failure)
    }
  }
}

/** How many are kept for reuse: consumers that take longer are seldom more. */
const IDLE_WAITS_MAX = 256
const idleWaits: ConsumerWait[] = []

/** Waits for the promise of a consumer; used again for others, so that a chunk costs no closure. */
class ConsumerWait {
  #side: ConsumedSide | null = null
  readonly #onDone: () => void
  readonly #onFailure: (failure: unknown) => void

  constructor() {
    this.#onDone = () => this.#finish().goOn()
    this.#onFailure = (failure) => this.#finish().fail(failure)
  }

  begin(result: PromiseLike<unknown>, side: ConsumedSide): void {
    this.#side = side
    // Once, since the second call of another's promise would be for another stream.
    adoptPromise(result).then(this.#onDone, this.#onFailure)
  }

  #finish(): ConsumedSide {
    const side = this.#side!
    this.#side = null
    if (idleWaits.length < IDLE_WAITS_MAX) idleWaits.push(this)
    return side
  }
}
