import type { Duplex } from 'node:stream'
import type { ChunkConsumer, TcpStream } from '../net/index.ts'
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
export class Reading implements ChunkConsumer<TcpStream> {
  readonly #socket: Duplex
  readonly #idle: IdleTimeout
  readonly #onRead: OnReadOptions | null
  #hasBegun = false
  #goOn: (() => void) | null = null

  constructor({ socket, idle }: Halves, onRead: OnReadOptions | null) {
    this.#socket = socket
    this.#idle = idle
    this.#onRead = onRead
  }

  /** Reads, from the first call on, or goes on. */
  start(stream: TcpStream): void {
    if (!this.#hasBegun) {
      this.#hasBegun = true
      stream.consume(this)
      return
    }
    this.resume()
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
    let hasRoom: boolean
    try {
      hasRoom =
        this.#onRead === null ? socket.push(asBuffer(chunk)) : this.#give(chunk, this.#onRead)
    } catch (error) {
      throwUncaught(error)
      return undefined
    }
    if (hasRoom || socket.destroyed) return undefined
    return new Promise<void>((resolve) => {
      this.#goOn = resolve
    })
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

  #give(chunk: Uint8Array, { buffer, callback }: OnReadOptions): boolean {
    let hasRoom = true
    for (let start = 0; start < chunk.length; ) {
      const target = typeof buffer === 'function' ? buffer() : buffer
      const part = chunk.subarray(start, start + target.length)
      target.set(part)
      start += part.length
      if (callback(part.length, target) === false) hasRoom = false
    }
    return hasRoom
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
