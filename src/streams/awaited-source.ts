import { isBytes, RuntimeError, wrongBytes } from '../base/index.ts'
import {
  answerReady,
  checkCancellation,
  type Executor,
  executor,
  refuse,
  Waiter,
  type WaitOptions,
} from '../executor/index.ts'
import { type Lease, leaseHeap } from '../memory/index.ts'
import type { ByteSource } from './byte-source.ts'

/** Where chunks come from one by one, by promises that can't be taken back. */
export interface ChunkOrigin {
  /** The next chunk, null at the end; not called again before it has settled. */
  next(): Promise<unknown>
  /** Ends it, also while a chunk is asked for; resolves without that one if it may never come. */
  close(): Promise<unknown>
}

const ACTION = 'pull'

/** How asking an origin has ended: with a chunk, the end (null), or a failure. */
type Answer = { readonly lease: Lease | null } | { readonly failure: unknown }

/**
 * A source over what gives promises of chunks: iterables, streams of Node and of the Web.
 *
 * A pull that is cancelled leaves the promise it waited for to the next pull. The memory of a chunk is passed on as it is.
 */
export class AwaitedSource implements ByteSource {
  readonly #home: Executor = executor()
  readonly #origin: ChunkOrigin
  #waiter: Waiter<Lease | null> | null = null
  #isAsking = false
  /** What came and nobody waited for; the end and a failure stay for good. */
  #answer: Answer | null = null
  #closing: Promise<void> | null = null

  constructor(origin: ChunkOrigin) {
    this.#origin = origin
  }

  pull(options?: WaitOptions): Promise<Lease | null> {
    const home = this.#home
    try {
      if (this.#closing !== null) throw sourceClosed()
      if (this.#waiter !== null) throw stillPulling()
      if (this.#answer !== null) {
        checkCancellation(home, options, ACTION)
        return answerReady(home, this.#takeAnswer(this.#answer))
      }
      const waiter = new Waiter<Lease | null>(home)
      waiter.bind(home, options, ACTION, () => {
        this.#waiter = null
      })
      this.#waiter = waiter
      if (!this.#isAsking) this.#ask()
      return waiter.promise
    } catch (error) {
      return refuse(error)
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeOrigin()
    return this.#closing
  }

  async #closeOrigin(): Promise<void> {
    const waiter = this.#waiter
    this.#waiter = null
    waiter?.fail(sourceClosed())
    this.#answer = null
    await this.#origin.close()
  }

  /** @throws the failure that ended it. */
  #takeAnswer(answer: Answer): Lease | null {
    if ('failure' in answer) throw answer.failure
    if (answer.lease !== null) this.#answer = null
    return answer.lease
  }

  #ask(): void {
    this.#isAsking = true
    nextOf(this.#origin).then(
      (chunk) => this.#takeChunk(chunk),
      (failure: unknown) => this.#settle({ failure }),
    )
  }

  #takeChunk(chunk: unknown): void {
    if (chunk === null) {
      this.#settle({ lease: null })
    } else if (typeof chunk !== 'string' && !isBytes(chunk)) {
      this.#settle({ failure: wrongBytes(ACTION, 'chunk', chunk, 'a Uint8Array or a string') })
    } else if (chunk.length === 0) {
      this.#ask()
    } else {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
      this.#settle({ lease: leaseHeap(bytes) })
    }
  }

  #settle(answer: Answer): void {
    this.#isAsking = false
    if (this.#closing !== null) return
    const waiter = this.#waiter
    this.#waiter = null
    const isChunk = 'lease' in answer && answer.lease !== null
    if (waiter === null || !isChunk) this.#answer = answer
    if (waiter === null) return
    if ('failure' in answer) waiter.fail(answer.failure)
    else waiter.fulfil(answer.lease)
  }
}

/** What an origin throws is its failure too. */
async function nextOf(origin: ChunkOrigin): Promise<unknown> {
  return origin.next()
}

function sourceClosed(): RuntimeError {
  return new RuntimeError(
    'ERR_HANDLE_CLOSED',
    'Cannot pull as the source must be open: it was closed',
  )
}

function stillPulling(): RuntimeError {
  return new RuntimeError(
    'ERR_STILL_HELD',
    'Cannot pull as a source has one consumer at a time: it is being pulled from',
  )
}
