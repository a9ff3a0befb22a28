import { assert } from '../../base/index.ts'

/** A stream that ends with its file. */
export interface AttachedStream {
  /**
   * The file closes: ends the stream, and resolves once nothing of it is under way.
   *
   * Rejects if what it has taken could not be written, unless somebody was told.
   */
  fileCloses(): Promise<void>
}

/** The streams on a file that have not ended. */
export class AttachedStreams {
  readonly #streams = new Set<AttachedStream>()

  get isEmpty(): boolean {
    return this.#streams.size === 0
  }

  add(stream: AttachedStream): void {
    assert(!this.#streams.has(stream), 'a stream is attached once')
    this.#streams.add(stream)
  }

  /** Again is nothing. */
  remove(stream: AttachedStream): void {
    this.#streams.delete(stream)
  }

  /** Ends them all; what they failed with. */
  async end(): Promise<unknown[]> {
    const ends = await Promise.allSettled([...this.#streams].map((stream) => stream.fileCloses()))
    return ends.flatMap((end) => (end.status === 'rejected' ? [end.reason] : []))
  }
}

/** @throws the one failure, or an {@link AggregateError} of several. */
export function throwFailures(failures: readonly unknown[], message: string): void {
  if (failures.length === 1) throw failures[0]
  if (failures.length > 1) throw new AggregateError(failures, message)
}
