import type { Duplex } from 'node:stream'
import type { ChunkConsumer, StreamSocket } from '../net/index.ts'
import { systemError, throwUncaught } from './errors.ts'
import type { IdleTimeout } from './idle-timeout.ts'

/** Gives a callback memory of its own for everything that comes, instead of chunks: `onread` of `node:net`. */
export interface OnReadOptions {
  /** What is read into, or a function that gives it before each read. */
  readonly buffer: Uint8Array | (() => Uint8Array)
  /** Told of bytes at the start of `buffer`; false pauses the socket. */
  callback(bytesRead: number, buffer: Uint8Array): boolean
}

/** What the halves of a socket work for. */
export interface Halves {
  readonly socket: Duplex
  /** Begins anew with everything that is read or written. */
  readonly idle: IdleTimeout
}

/** Chunks that are this short cost less as a part of Node's pool than as memory of their own. */
const POOLED_BYTES_MAX = 2048

/**
 * The reading half of a socket: pushes what a stream receives, and has the stream wait while Node has no room.
 *
 * A consumer, so that an idle connection holds no promise; there is one only while it is paused.
 */
export class Reading implements ChunkConsumer<StreamSocket> {
  readonly #socket: Duplex
  readonly #idle: IdleTimeout
  readonly #onRead: OnReadOptions | null
  #hasBegun = false
  /** Whether whoever has memory of its own read into wants no more of it for now. */
  #isHeld = false
  #goOn: (() => void) | null = null

  constructor({ socket, idle }: Halves, onRead: OnReadOptions | null) {
    this.#socket = socket
    this.#idle = idle
    this.#onRead = onRead
  }

  /** Reads, from the first call on, or goes on. */
  start(stream: StreamSocket): void {
    if (!this.#hasBegun) {
      this.#hasBegun = true
      stream.consume(this)
      return
    }
    this.resume()
  }

  /** Gives `onread` nothing more until {@link proceed}: 'data' is held back by Node's own means. */
  hold(): void {
    this.#isHeld = this.#onRead !== null
  }

  proceed(): void {
    this.#isHeld = false
    if (this.#onRead !== null) this.resume()
  }

  resume(): void {
    const goOn = this.#goOn
    if (goOn === null) return
    this.#goOn = null
    goOn()
  }

  onChunk(chunk: Uint8Array): unknown {
    const socket = this.#socket
    if (socket.destroyed) return undefined
    this.#idle.touch()
    if (this.#onRead !== null) return this.#give(chunk, this.#onRead)
    let hasRoom: boolean
    try {
      hasRoom = socket.push(asBuffer(chunk))
    } catch (error) {
      throwUncaught(error)
      return undefined
    }
    return hasRoom || socket.destroyed ? undefined : this.#pause()
  }

  onEnd(error: unknown): void {
    const socket = this.#socket
    if (socket.destroyed) return
    try {
      if (error !== null) {
        socket.destroy(systemError(error, 'read'))
        return
      }
      socket.push(null)
      // Else 'end' would wait until somebody asks for more.
      socket.read(0)
    } catch (failure) {
      throwUncaught(failure)
    }
  }

  /** Until somebody calls {@link resume}. */
  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#goOn = resolve
    })
  }

  /** Memory by memory, as long as the callback wants more; done when it has all of the chunk, and wants more. */
  #give(chunk: Uint8Array, onRead: OnReadOptions): Promise<void> | undefined {
    let rest = chunk
    while (!this.#socket.destroyed) {
      if (this.#isHeld) return this.#pause().then(() => this.#give(rest, onRead))
      if (rest.length === 0) break
      try {
        rest = this.#giveOne(rest, onRead)
      } catch (error) {
        throwUncaught(error)
        break
      }
    }
    return undefined
  }

  #giveOne(chunk: Uint8Array, { buffer, callback }: OnReadOptions): Uint8Array {
    const target = typeof buffer === 'function' ? buffer() : buffer
    const part = chunk.subarray(0, target.length)
    target.set(part)
    if (callback(part.length, target) === false) this.#isHeld = true
    return chunk.subarray(part.length)
  }
}

/** The chunk as Node's listeners know it; it is theirs for good either way. */
function asBuffer(chunk: Uint8Array): Buffer {
  if (chunk.length > POOLED_BYTES_MAX) {
    return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
  }
  const buffer = Buffer.allocUnsafe(chunk.length)
  buffer.set(chunk)
  return buffer
}
