import { copyBytes, isBytes, wrongType } from '../base/index.ts'
import type { Lease } from '../memory/index.ts'
import { AwaitedSink, type ChunkTarget } from './awaited-sink.ts'
import { AwaitedSource } from './awaited-source.ts'
import type { ByteSink } from './byte-sink.ts'
import type { ByteSource } from './byte-source.ts'
import { settled } from './settled.ts'
import { validateSink, validateSource } from './validate-ends.ts'

/**
 * A byte stream of the Web over a source: for `Response`, `fetch` and `TransformStream`s such as `CompressionStream`.
 *
 * It pulls when somebody reads, and not ahead. Its chunks are copies of what was pulled, which are the reader's for good;
 * a reader of kind `byob` gets its own memory filled instead. Cancelling it closes the source; at the end the source
 * is left as it is.
 *
 * @throws {TypeError} for what is no source.
 *
 * @example Answer with what a source gives
 * ```ts run
 * import { fromIterable, toWebReadable } from 'percore/streams'
 *
 * const response = new Response(toWebReadable(fromIterable(['hello'])))
 * console.log(await response.text())
 * ```
 */
export function toWebReadable(source: ByteSource): ReadableStream<Uint8Array> {
  validateSource('make a ReadableStream', source)
  return new ReadableStream(new SourceBytes(source), { highWaterMark: 0 })
}

/**
 * A `WritableStream` of the Web over a sink, for chunks of bytes.
 *
 * Closing it ends the sink, aborting it aborts the sink.
 *
 * @throws {TypeError} for what is no sink. A chunk that is no bytes errors the stream, and aborts the sink.
 */
export function toWebWritable(sink: ByteSink): WritableStream<Uint8Array> {
  validateSink('make a WritableStream', sink)
  return new WritableStream({
    write: async (chunk) => {
      try {
        await sink.push(bytesOf(chunk))
      } catch (error) {
        // The stream is errored by this, and tells nobody else.
        await settled(() => sink.abort?.(error))
        throw error
      }
    },
    close: () => sink.end(),
    abort: (reason) => sink.abort?.(reason),
  })
}

/**
 * A source over a `ReadableStream` of the Web, such as the body of a `Response`; closing it cancels the stream.
 *
 * @throws {TypeError} for what is no such stream, or is locked by another reader.
 */
export function fromWebReadable(stream: ReadableStream<Uint8Array | string>): ByteSource {
  if (typeof stream?.getReader !== 'function') {
    throw wrongType('make a source', 'stream', 'a ReadableStream', stream)
  }
  const reader = stream.getReader()
  return new AwaitedSource({
    next: async () => {
      const { done, value } = await reader.read()
      return done ? null : value
    },
    close: () => reader.cancel(),
  })
}

/**
 * A sink over a `WritableStream` of the Web, to which it gives copies; ending it closes the stream, aborting it aborts that.
 *
 * A push that is cancelled while it waits for room has been taken.
 *
 * @throws {TypeError} for what is no such stream, or is locked by another writer.
 */
export function fromWebWritable(stream: WritableStream<Uint8Array>): ByteSink {
  if (typeof stream?.getWriter !== 'function') {
    throw wrongType('make a sink', 'stream', 'a WritableStream', stream)
  }
  return new AwaitedSink(new WriterTarget(stream.getWriter()))
}

/** What a byte stream asks for its bytes. */
class SourceBytes {
  readonly type = 'bytes' as const
  readonly #source: ByteSource
  /** What was pulled and did not fit where it was to go. */
  #rest: Lease | null = null
  #restStart = 0
  #isCancelled = false

  constructor(source: ByteSource) {
    this.#source = source
  }

  async pull(controller: ReadableByteStreamController): Promise<void> {
    const lease = this.#rest ?? (await this.#pullSource())
    const request = controller.byobRequest
    if (lease === null) {
      if (this.#isCancelled) return
      controller.close()
      // A reader that brought memory is told by that.
      request?.respond(0)
      return
    }
    const bytes = lease.bytes.subarray(this.#restStart)
    const view = request?.view
    if (view === null || view === undefined) {
      this.#keep(null)
      const chunk = copyBytes(bytes)
      lease.release()
      controller.enqueue(chunk)
      return
    }
    const count = Math.min(bytes.length, view.byteLength)
    new Uint8Array(view.buffer, view.byteOffset, count).set(bytes.subarray(0, count))
    if (count < bytes.length) {
      this.#keep(lease, this.#restStart + count)
    } else {
      this.#keep(null)
      lease.release()
    }
    request!.respond(count)
  }

  async cancel(): Promise<void> {
    this.#isCancelled = true
    this.#rest?.release()
    this.#keep(null)
    await this.#source.close()
  }

  /** The next piece, null at the end, and once it is cancelled. */
  async #pullSource(): Promise<Lease | null> {
    try {
      const lease = await this.#source.pull()
      if (!this.#isCancelled) return lease
      lease?.release()
      return null
    } catch (error) {
      // The stream is errored by this, and nobody can cancel it any more.
      if (!this.#isCancelled) await settled(() => this.#source.close())
      throw error
    }
  }

  #keep(lease: Lease | null, startBytes = 0): void {
    this.#rest = lease
    this.#restStart = startBytes
  }
}

class WriterTarget implements ChunkTarget {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>
  readonly over: Promise<void>

  constructor(writer: WritableStreamDefaultWriter<Uint8Array>) {
    this.#writer = writer
    this.over = writer.closed.then(() => {})
    writer.ready.catch(ignore)
  }

  write(chunk: Uint8Array): Promise<void> | null {
    const writer = this.#writer
    // What fails here fails `over`.
    writer.write(chunk).catch(ignore)
    if ((writer.desiredSize ?? 0) > 0) return null
    const room = writer.ready
    room.catch(ignore)
    return room.then(() => {})
  }

  end(): void {
    this.#writer.close().catch(ignore)
  }

  abort(reason: unknown): void {
    this.#writer.abort(reason).catch(ignore)
  }
}

/** @throws {TypeError} for what is no bytes. */
function bytesOf(chunk: unknown): Uint8Array {
  if (isBytes(chunk)) return chunk
  if (ArrayBuffer.isView(chunk)) {
    return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  }
  if (chunk instanceof ArrayBuffer) return new Uint8Array(chunk)
  const hint = typeof chunk === 'string' ? '; pipe through a TextEncoderStream' : ''
  const error = wrongType('write', 'chunk', 'a Uint8Array', chunk)
  error.message += hint
  throw error
}

function ignore(): void {}
