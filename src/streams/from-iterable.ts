import { wrongType } from '../base/index.ts'
import { AwaitedSource, type ChunkOrigin } from './awaited-source.ts'
import type { ByteSource } from './byte-source.ts'

/** What can be iterated for chunks; strings are taken as UTF-8. */
export type Chunks = Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>

/**
 * A source of the chunks of anything that can be iterated: an array, a generator, a response's body.
 *
 * The next chunk is asked for with the pull that wants it, and its memory is passed on, so that it must not be
 * changed any more. Closing it ends the iteration by its `return()`, and waits for that; but not while a chunk is still
 * being waited for, since an asynchronous generator does not return before it has come: what fails then is told to nobody.
 *
 * @throws {TypeError} for what can't be iterated. A chunk of another kind fails the pull.
 *
 * @example Send what a generator makes
 * ```ts run
 * import { ByteReader, fromIterable } from 'percore/streams'
 *
 * async function* rows(): AsyncGenerator<string> {
 *   for (let row = 0; row < 3; row++) yield `row ${row}\n`
 * }
 * await using reader = new ByteReader(fromIterable(rows()))
 * for await (const line of reader.lines()) console.log(line)
 * ```
 */
export function fromIterable(chunks: Chunks): ByteSource {
  return new AwaitedSource(new IteratorOrigin(iteratorOf(chunks)))
}

class IteratorOrigin implements ChunkOrigin {
  readonly #iterator: Iterator<unknown> | AsyncIterator<unknown>
  #isAsked = false

  constructor(iterator: Iterator<unknown> | AsyncIterator<unknown>) {
    this.#iterator = iterator
  }

  async next(): Promise<unknown> {
    this.#isAsked = true
    try {
      const { done, value } = await this.#iterator.next()
      return done === true ? null : value
    } finally {
      this.#isAsked = false
    }
  }

  async close(): Promise<void> {
    // A generator that waits for its next chunk itself may never answer this.
    if (this.#isAsked) this.#leave().catch(ignore)
    else await this.#leave()
  }

  async #leave(): Promise<void> {
    await this.#iterator.return?.()
  }
}

function iteratorOf(chunks: Chunks): Iterator<unknown> | AsyncIterator<unknown> {
  // A string is an iterable of strings, but whoever passes one means all of it.
  if (typeof chunks === 'object' && chunks !== null) {
    if (Symbol.asyncIterator in chunks) return chunks[Symbol.asyncIterator]()
    // Bytes are an iterable of numbers.
    if (Symbol.iterator in chunks && !ArrayBuffer.isView(chunks)) return chunks[Symbol.iterator]()
  }
  throw wrongType(
    'make a source',
    'chunks',
    'an iterable of Uint8Arrays or strings; one chunk is [chunk]',
    chunks,
  )
}

function ignore(): void {}
