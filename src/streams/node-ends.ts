/** What Readable, Writable and Duplex over a source and a sink have in common. */
import { copyBytes } from '../base/index.ts'
import type { Lease } from '../memory/index.ts'
import type { ByteSink } from './byte-sink.ts'
import type { ByteSource } from './byte-source.ts'

/** How Node is told that something is done, or failed. */
export type Callback = (error?: Error | null) => void

/** What a Readable does with what is pulled for it. */
export interface ReadSide {
  readonly destroyed: boolean
  push(chunk: Uint8Array | null): boolean
  destroy(error: Error): unknown
}

/** The reading side: one pull at a time, whose bytes are Node's for good. */
export class SourceEnd {
  readonly #source: ByteSource
  isAtEnd = false

  constructor(source: ByteSource) {
    this.#source = source
  }

  /** Node asks again when it has room. */
  async read(readable: ReadSide): Promise<void> {
    let lease: Lease | null
    try {
      lease = await this.#source.pull()
    } catch (error) {
      // What was closed by destroy() needs no further word.
      if (!readable.destroyed) readable.destroy(asError(error))
      return
    }
    if (lease === null) {
      this.isAtEnd = true
      readable.push(null)
      return
    }
    const chunk = copyBytes(lease.bytes)
    lease.release()
    readable.push(chunk)
  }

  close(): Promise<void> {
    return this.#source.close()
  }
}

/** The writing side: chunks in order, all that wait together at a time. */
export class SinkEnd {
  readonly #sink: ByteSink
  isEnded = false

  constructor(sink: ByteSink) {
    this.#sink = sink
  }

  write(chunk: Uint8Array, callback: Callback): void {
    tell(this.#sink.push(chunk), callback)
  }

  writeAll(chunks: readonly { readonly chunk: Uint8Array }[], callback: Callback): void {
    tell(Promise.all(chunks.map(({ chunk }) => this.#sink.push(chunk))), callback)
  }

  end(callback: Callback): void {
    const ended = this.#sink.end().then(() => {
      this.isEnded = true
    })
    tell(ended, callback)
  }

  abort(reason: unknown): Promise<void> | undefined {
    return this.#sink.abort?.(reason)
  }
}

/** Calls back when all of `ends` are over, with the error that there was, or one of theirs. */
export function finish(
  error: Error | null,
  ends: readonly (Promise<void> | undefined)[],
  callback: Callback,
): void {
  tell(Promise.all(ends), (failure) => callback(error ?? failure ?? null))
}

function tell(promise: Promise<unknown>, callback: Callback): void {
  // Outside of the promise, so that what a listener throws is an exception as ever, and no rejection.
  promise.then(
    () => process.nextTick(callback, null),
    (error: unknown) => process.nextTick(callback, asError(error)),
  )
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error('Cannot go on', { cause: error })
}
