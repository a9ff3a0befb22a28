import { Duplex, Readable, Writable } from 'node:stream'
import type { ByteSink } from './byte-sink.ts'
import type { ByteSource } from './byte-source.ts'
import { type Callback, finish, SinkEnd, SourceEnd } from './node-ends.ts'
import { type NodeStreamOptions, readNodeOptions } from './node-options.ts'
import { validateSink, validateSource } from './validate-ends.ts'

/** Two sides that are no one object. */
export interface ByteEnds {
  readonly source: ByteSource
  readonly sink: ByteSink
}

/**
 * A `Readable` of Node over a source: for `pipeline()`, `for await`, `stream/consumers`, bodies of requests.
 *
 * Its chunks are copies, which are Node's for good. It pulls while Node has room. Destroying it before the end closes the
 * source; at the end the source is left as it is, as a socket's other direction goes on.
 *
 * @throws {TypeError | RangeError} for arguments of the wrong kind.
 *
 * @example Compress what a client sends
 * ```ts run
 * import { pipeline } from 'node:stream/promises'
 * import { createGzip } from 'node:zlib'
 * import { buffer } from 'node:stream/consumers'
 * import { fromIterable, toNodeReadable } from 'percore/streams'
 *
 * const gzip = createGzip()
 * const compressed = buffer(gzip)
 * await pipeline(toNodeReadable(fromIterable(['a'.repeat(1000)])), gzip)
 * console.log((await compressed).length < 100)
 * ```
 */
export function toNodeReadable(source: ByteSource, options: NodeStreamOptions = {}): Readable {
  validateSource('make a Readable', source)
  return new SourceReadable(new SourceEnd(source), readNodeOptions('make a Readable', options))
}

/**
 * A `Writable` of Node over a sink.
 *
 * What is written goes to the sink in order, and Node's callbacks are called when that has taken it. `end()` ends the
 * sink; destroying it before that aborts the sink.
 *
 * @throws {TypeError | RangeError} for arguments of the wrong kind.
 */
export function toNodeWritable(sink: ByteSink, options: NodeStreamOptions = {}): Writable {
  validateSink('make a Writable', sink)
  return new SinkWritable(new SinkEnd(sink), readNodeOptions('make a Writable', options))
}

/**
 * A `Duplex` of Node over what is both a source and a sink, such as a socket, or over one of each.
 *
 * Each direction ends by itself. When both have, or it is destroyed, the source is closed, and thereby a socket; with an
 * error the sink is aborted, so that a peer does not take what it has got for the whole.
 *
 * @throws {TypeError | RangeError} for arguments of the wrong kind.
 *
 * @example Speak HTTP on a connection
 * ```ts run
 * import { createServer } from 'node:http'
 * import { TcpListener, TcpStream } from 'percore/net'
 * import { ByteReader, toNodeDuplex } from 'percore/streams'
 *
 * const http = createServer((request, response) => response.end(`path ${request.url}`))
 * await using listener = await TcpListener.bind({ port: 0 })
 * const accepting = listener.accept()
 * await using client = await TcpStream.connect({ port: listener.address.port })
 * http.emit('connection', toNodeDuplex(await accepting))
 * await client.write(new TextEncoder().encode('GET /here HTTP/1.0\r\n\r\n'))
 * console.log(await new ByteReader(client).readLine())
 * ```
 */
export function toNodeDuplex(
  ends: (ByteSource & ByteSink) | ByteEnds,
  options: NodeStreamOptions = {},
): Duplex {
  const action = 'make a Duplex'
  const { source, sink } = readEnds(ends)
  validateSource(action, source)
  validateSink(action, sink)
  const sides = { source: new SourceEnd(source), sink: new SinkEnd(sink) }
  return new EndsDuplex(sides, readNodeOptions(action, options))
}

function readEnds(ends: (ByteSource & ByteSink) | ByteEnds): ByteEnds {
  if (typeof ends === 'object' && ends !== null && 'source' in ends) return ends
  return { source: ends, sink: ends }
}

class SourceReadable extends Readable {
  readonly #source: SourceEnd

  constructor(source: SourceEnd, options: NodeStreamOptions) {
    super(options)
    this.#source = source
  }

  override _read(): void {
    void this.#source.read(this)
  }

  override _destroy(error: Error | null, callback: Callback): void {
    finish(error, [this.#source.isAtEnd ? undefined : this.#source.close()], callback)
  }
}

class SinkWritable extends Writable {
  readonly #sink: SinkEnd

  constructor(sink: SinkEnd, options: NodeStreamOptions) {
    super(options)
    this.#sink = sink
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, callback: Callback): void {
    this.#sink.write(chunk, callback)
  }

  override _writev(chunks: { chunk: Uint8Array }[], callback: Callback): void {
    this.#sink.writeAll(chunks, callback)
  }

  override _final(callback: Callback): void {
    this.#sink.end(callback)
  }

  override _destroy(error: Error | null, callback: Callback): void {
    finish(error, [this.#sink.isEnded ? undefined : this.#sink.abort(error)], callback)
  }
}

class EndsDuplex extends Duplex {
  readonly #source: SourceEnd
  readonly #sink: SinkEnd

  constructor(sides: { source: SourceEnd; sink: SinkEnd }, options: NodeStreamOptions) {
    super(options)
    this.#source = sides.source
    this.#sink = sides.sink
  }

  override _read(): void {
    void this.#source.read(this)
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, callback: Callback): void {
    this.#sink.write(chunk, callback)
  }

  override _writev(chunks: { chunk: Uint8Array }[], callback: Callback): void {
    this.#sink.writeAll(chunks, callback)
  }

  override _final(callback: Callback): void {
    this.#sink.end(callback)
  }

  override _destroy(error: Error | null, callback: Callback): void {
    // Without an error it goes as a socket of Node does: what the kernel has taken is still sent.
    const aborted = error === null || this.#sink.isEnded ? undefined : this.#sink.abort(error)
    finish(error, [aborted, this.#source.close()], callback)
  }
}
