import { copyBytes, isBytes, RuntimeError, wrongBytes } from '../base/index.ts'
import {
  answerDone,
  checkCancellation,
  type Executor,
  executor,
  refuse,
  Waiter,
  type WaitOptions,
} from '../executor/index.ts'
import { Lease } from '../memory/index.ts'
import type { ByteSink } from './byte-sink.ts'

/** Where chunks go one by one, which takes each at once and says when it would rather have no more. */
export interface ChunkTarget {
  /** Settles when it has ended, or failed. */
  readonly over: Promise<void>
  /** Takes a chunk for good; what to wait for before the next, null for nothing. */
  write(chunk: Uint8Array): Promise<void> | null
  end(): void
  abort(reason: unknown): void
}

/** A sink over what keeps the chunks that it is given: streams of Node and of the Web. */
export class AwaitedSink implements ByteSink {
  readonly #home: Executor = executor()
  readonly #target: ChunkTarget
  readonly #waiters: Set<Waiter<void>> = new Set<Waiter<void>>()
  #isEnding = false
  #isOver = false
  #failure: unknown = null
  /** Settles once nothing of it is under way, however it ended. */
  readonly #settled: Promise<void>

  constructor(target: ChunkTarget) {
    this.#target = target
    this.#settled = target.over.then(
      () => this.#finish(this.#isEnding ? null : endedByOthers()),
      (error: unknown) => this.#finish(error),
    )
  }

  push(data: Uint8Array | Lease, options?: WaitOptions): Promise<void> {
    const action = 'push'
    try {
      const chunk = takeChunk(data)
      this.#assertOpen(action)
      checkCancellation(this.#home, options, action)
      if (chunk.length === 0) return answerDone(this.#home)
      const room = this.#target.write(chunk)
      if (room === null) return answerDone(this.#home)
      const waiter = this.#waiter(options, action)
      room.then(
        () => this.#letGo(waiter),
        // The end of the target says so too.
        () => {},
      )
      return waiter.promise
    } catch (error) {
      return refuse(error)
    }
  }

  end(options?: WaitOptions): Promise<void> {
    const action = 'end a sink'
    try {
      this.#assertOpen(action)
      checkCancellation(this.#home, options, action)
      const waiter = this.#waiter(options, action)
      this.#isEnding = true
      this.#target.end()
      return waiter.promise
    } catch (error) {
      return refuse(error)
    }
  }

  async abort(reason?: unknown): Promise<void> {
    if (this.#isOver) return
    this.#failure ??= reason ?? sinkEnded('push')
    this.#target.abort(reason)
    await this.#settled
  }

  #waiter(options: WaitOptions | undefined, action: string): Waiter<void> {
    const waiter = new Waiter<void>(this.#home)
    waiter.bind(this.#home, options, action, () => this.#waiters.delete(waiter))
    this.#waiters.add(waiter)
    return waiter
  }

  #letGo(waiter: Waiter<void>): void {
    this.#waiters.delete(waiter)
    waiter.fulfil()
  }

  #finish(failure: unknown): void {
    this.#isOver = true
    this.#failure ??= failure
    for (const waiter of this.#waiters) {
      if (this.#failure === null) waiter.fulfil()
      else waiter.fail(this.#failure)
    }
    this.#waiters.clear()
  }

  #assertOpen(action: string): void {
    if (this.#failure !== null) throw this.#failure
    if (this.#isEnding) throw sinkEnded(action)
  }
}

/** A copy of what is pushed; a lease is released. @throws {TypeError} */
function takeChunk(data: Uint8Array | Lease): Uint8Array {
  if (isBytes(data)) return copyBytes(data)
  if (!(data instanceof Lease)) throw wrongBytes('push', 'data', data, 'a Uint8Array or a Lease')
  const chunk = copyBytes(data.bytes)
  data.release()
  return chunk
}

function sinkEnded(action: string): RuntimeError {
  return new RuntimeError(
    'ERR_HANDLE_CLOSED',
    `Cannot ${action} as the sink must be open: it was ended`,
  )
}

function endedByOthers(): RuntimeError {
  return new RuntimeError(
    'ERR_HANDLE_CLOSED',
    'Cannot push as the stream must be open: somebody else has ended it',
  )
}
