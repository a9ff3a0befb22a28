import { finished, type Readable, type Writable } from 'node:stream'
import { RuntimeError, wrongType } from '../base/index.ts'
import { AwaitedSink, type ChunkTarget } from './awaited-sink.ts'
import { AwaitedSource, type ChunkOrigin } from './awaited-source.ts'
import type { ByteSink } from './byte-sink.ts'
import type { ByteSource } from './byte-source.ts'

/**
 * A source over a `Readable` of Node: a request's body, a child's output, a gunzip.
 *
 * It is read from the first pull on, as its buffer allows. A stream that was destroyed before its end fails the pull; closing
 * the source destroys the stream.
 *
 * @throws {TypeError} for what is no stream of bytes: one of objects, or with an encoding.
 * @throws {RuntimeError} `ERR_STILL_HELD` if somebody else reads it, who would take pieces of it.
 *
 * @example Count the lines that a program writes
 * ```ts run
 * import { spawn } from 'node:child_process'
 * import { ByteReader, fromNodeReadable } from 'percore/streams'
 *
 * const child = spawn(process.execPath, ['-p', '"one\\ntwo"'])
 * const reader = new ByteReader(fromNodeReadable(child.stdout))
 * let count = 0
 * for await (const _line of reader.lines()) count++
 * console.log(count) // 2
 * ```
 */
export function fromNodeReadable(readable: Readable): ByteSource {
  const action = 'make a source'
  if (typeof readable?.read !== 'function' || typeof readable.on !== 'function') {
    throw wrongType(action, 'readable', 'a Readable of node:stream', readable)
  }
  if (readable.readableObjectMode) {
    throw wrongType(action, 'readable', 'a stream of bytes, not of objects', readable)
  }
  if (readable.readableEncoding !== null) {
    throw wrongType(action, 'readable.readableEncoding', 'null', readable.readableEncoding)
  }
  if (readable.readableFlowing === true) {
    throw new RuntimeError(
      'ERR_STILL_HELD',
      'Cannot make a source as nobody else must read the stream: it is flowing',
    )
  }
  return new AwaitedSource(new ReadableOrigin(readable))
}

/**
 * A sink over a `Writable` of Node: a response, a child's input, a gzip.
 *
 * What is pushed is copied, since Node keeps chunks as long as it likes; a push waits while the stream asks for that. One
 * that is cancelled while it waits has been taken. Ending it ends the stream and waits until that has finished; aborting
 * destroys it. `process.stdout` can't be ended: pipe to it with `end: false`.
 *
 * @throws {TypeError} for what is no stream that can be written to.
 */
export function fromNodeWritable(writable: Writable): ByteSink {
  if (typeof writable?.write !== 'function' || typeof writable.once !== 'function') {
    throw wrongType('make a sink', 'writable', 'a Writable of node:stream', writable)
  }
  return new AwaitedSink(new WritableTarget(writable))
}

class ReadableOrigin implements ChunkOrigin {
  readonly #readable: Readable
  #isOver = false
  #isListening = false
  #failure: Error | null = null
  #wake: () => void = nothing

  constructor(readable: Readable) {
    this.#readable = readable
    finished(readable, { writable: false }, (error) => {
      this.#isOver = true
      this.#failure = error ?? null
      this.#wake()
    })
  }

  async next(): Promise<unknown> {
    const readable = this.#readable
    // From then on Node reads ahead as far as its buffer goes.
    if (!this.#isListening) readable.on('readable', this.#listen)
    this.#isListening = true
    while (true) {
      const chunk: unknown = readable.read()
      if (chunk !== null) return chunk
      if (this.#failure !== null) throw this.#failure
      if (this.#isOver) return null
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async close(): Promise<void> {
    this.#readable.off('readable', this.#listen)
    this.#readable.destroy()
  }

  readonly #listen = (): void => this.#wake()
}

class WritableTarget implements ChunkTarget {
  readonly #writable: Writable
  /** What those wait for who have come since the stream asked to wait. */
  #drained: Promise<void> | null = null
  /** Settles when it has finished, or failed. */
  readonly over: Promise<void>

  constructor(writable: Writable) {
    this.#writable = writable
    this.over = new Promise((resolve, reject) => {
      finished(writable, { readable: false }, (error) => {
        if (error) reject(error)
        else resolve()
      })
    })
  }

  write(chunk: Uint8Array): Promise<void> | null {
    const writable = this.#writable
    if (writable.write(chunk)) return null
    this.#drained ??= new Promise((resolve) => {
      writable.once('drain', () => {
        this.#drained = null
        resolve()
      })
    })
    return this.#drained
  }

  end(): void {
    this.#writable.end()
  }

  abort(reason: unknown): void {
    this.#writable.destroy(reason instanceof Error ? reason : undefined)
  }
}

function nothing(): void {}
