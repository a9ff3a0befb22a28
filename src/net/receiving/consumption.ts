import { AsyncResource } from 'node:async_hooks'
import { adoptPromise, isPromiseLike, validateFunction, wrongType } from '../../base/index.ts'
import type { Lease } from '../../memory/index.ts'

/** Told of the end of streams of a kind, by way of {@link ChunkConsumer} or {@link LeaseConsumer}. */
export interface EndListener<Stream> {
  /**
   * Told once that no more data will come, when the last of it is done with.
   *
   * `error` is null at the end of the stream, and when the stream was closed here; else it is why the
   * consumption ended: a {@link KernelError} such as `ECONNRESET`, the failure of the consumer, or
   * the reason of a cancellation. Nobody else is told of it. The stream is free for another reader,
   * and not closed yet. A failure of this is an unhandled rejection.
   */
  onEnd(error: unknown, stream: Stream): unknown
}

/**
 * A taker of the chunks of streams of a kind. One may serve any number of them.
 *
 * Its methods are looked up at each call, and called as methods: `this` is the consumer.
 */
export interface ChunkConsumer<Stream> extends EndListener<Stream> {
  /**
   * Takes a chunk, which is its own for good; the next one waits until it is done.
   *
   * It is done when this returns or, if it returns a promise, when that has settled. A failure, thrown
   * or rejected, ends the consumption.
   */
  onChunk(chunk: Uint8Array, stream: Stream): unknown
}

/** A borrower of what streams of a kind receive, without a copy. One may serve any number of them. */
export interface LeaseConsumer<Stream> extends EndListener<Stream> {
  /**
   * Borrows a chunk; the next one waits until it is done.
   *
   * It is done when this returns or, if it returns a promise, when that has settled: the lease is then
   * released, if it has not been before, and using it throws. What it was written to keeps its memory
   * as long as it takes. A failure, thrown or rejected, ends the consumption.
   */
  onLease(lease: Lease, stream: Stream): unknown
}

/** @throws {TypeError} unless `consumer` has `onEnd`, and one of `onChunk` and `onLease`. */
export function validateConsumer(action: string, consumer: unknown): void {
  if (typeof consumer !== 'object' || consumer === null) {
    throw wrongType(action, 'consumer', 'an object with onChunk or onLease, and onEnd', consumer)
  }
  const { onChunk, onLease, onEnd } = consumer as Partial<AnyConsumer<unknown>>
  if (onLease === undefined) {
    validateFunction(action, 'consumer.onChunk', onChunk)
  } else {
    validateFunction(action, 'consumer.onLease', onLease)
    if (onChunk !== undefined) throw takesBoth(action)
  }
  validateFunction(action, 'consumer.onEnd', onEnd)
}

function takesBoth(action: string): TypeError {
  return new TypeError(
    `Cannot ${action} as consumer must have only one of onChunk and onLease: it has both`,
  )
}

type AnyConsumer<Stream> = ChunkConsumer<Stream> & LeaseConsumer<Stream>

/** The receiving side that data comes from, told how its consumer fared if that took longer. */
export interface ConsumedSide {
  /** The consumer is done with its chunk. */
  goOn(): void
  /** The consumer failed, which ends the consumption. */
  fail(failure: unknown): void
}

/** Nobody is to be told when one is collected. */
const RESOURCE_OPTIONS = { requireManualDestroy: true }

/**
 * A stream and its consumer, which is called in the asynchronous context of the code that began it: in the name
 * of the same task, with the same values in every AsyncLocalStorage.
 *
 * All that an idle stream holds for its consumer: no promise, no closure.
 */
export class Consumption<Stream = unknown> extends AsyncResource {
  readonly #stream: Stream
  readonly #consumer: AnyConsumer<Stream>

  constructor(stream: Stream, consumer: ChunkConsumer<Stream> | LeaseConsumer<Stream>) {
    super('PercoreConsumption', RESOURCE_OPTIONS)
    this.#stream = stream
    this.#consumer = consumer as AnyConsumer<Stream>
  }

  get takesLeases(): boolean {
    return this.#consumer.onLease !== undefined
  }

  /**
   * Calls the consumer; true if it is done, else `side` is told later.
   *
   * @throws what the consumer throws.
   */
  takeChunk(chunk: Uint8Array, side: ConsumedSide): boolean {
    const consumer = this.#consumer
    const result = this.runInAsyncScope(consumer.onChunk, consumer, chunk, this.#stream)
    if (!isPromiseLike(result)) return true
    awaitConsumer(result, side, null)
    return false
  }

  /** The same with a lease, which is released when the consumer is done. */
  takeLease(lease: Lease, side: ConsumedSide): boolean {
    const consumer = this.#consumer
    let isWaiting = false
    try {
      const result = this.runInAsyncScope(consumer.onLease, consumer, lease, this.#stream)
      // Asking for its `then` may throw as well.
      isWaiting = isPromiseLike(result)
      if (isWaiting) awaitConsumer(result as PromiseLike<unknown>, side, lease)
    } catch (error) {
      lease.release()
      throw error
    }
    if (!isWaiting) lease.release()
    return !isWaiting
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

/** Tells `side` when the promise of a consumer has settled, and releases the lease that it had. */
export function awaitConsumer(
  result: PromiseLike<unknown>,
  side: ConsumedSide,
  lease: Lease | null,
): void {
  const wait = idleWaits.pop() ?? new ConsumerWait()
  wait.begin(result, side, lease)
}

/** Waits for the promise of a consumer; used again for others, so that a chunk costs no closure. */
class ConsumerWait {
  #side: ConsumedSide | null = null
  #lease: Lease | null = null
  readonly #onDone: () => void
  readonly #onFailure: (failure: unknown) => void

  constructor() {
    this.#onDone = () => this.#finish().goOn()
    this.#onFailure = (failure) => this.#finish().fail(failure)
  }

  begin(result: PromiseLike<unknown>, side: ConsumedSide, lease: Lease | null): void {
    this.#side = side
    this.#lease = lease
    // Once, since the second call of another's promise would be for another stream.
    adoptPromise(result).then(this.#onDone, this.#onFailure)
  }

  #finish(): ConsumedSide {
    const side = this.#side!
    this.#lease?.release()
    this.#side = null
    this.#lease = null
    if (idleWaits.length < IDLE_WAITS_MAX) idleWaits.push(this)
    return side
  }
}
