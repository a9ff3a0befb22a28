import { type StreamSocket, TcpStream } from '../net/index.ts'
import type { SocketOptions } from './socket-options.ts'
import { applyLeniently } from './socket-parts.ts'

/** What a socket wants of its connection, which may be said before there is one. */
export class StreamSettings {
  noDelay: boolean
  /** Negative without probes. */
  #keepAliveDelayMs: number
  #isReferenced: boolean

  constructor(options: SocketOptions) {
    this.noDelay = Boolean(options.noDelay)
    this.#keepAliveDelayMs = options.keepAlive ? (options.keepAliveInitialDelay ?? 0) : -1
    this.#isReferenced = true
  }

  /** To a connection that is new. */
  applyTo(stream: StreamSocket): void {
    if (this.noDelay) this.#applyNoDelay(stream)
    if (this.#keepAliveDelayMs >= 0) this.#applyKeepAlive(stream)
    if (!this.#isReferenced) stream.unref()
  }

  setNoDelay(isWanted: boolean, stream: StreamSocket | null): void {
    this.noDelay = isWanted
    if (stream !== null) this.#applyNoDelay(stream)
  }

  setKeepAlive(delayMs: number, stream: StreamSocket | null): void {
    this.#keepAliveDelayMs = delayMs
    if (stream !== null) this.#applyKeepAlive(stream)
  }

  setReferenced(isReferenced: boolean, stream: StreamSocket | null): void {
    this.#isReferenced = isReferenced
    if (isReferenced) stream?.ref()
    else stream?.unref()
  }

  #applyNoDelay(stream: StreamSocket): void {
    if (stream instanceof TcpStream) applyLeniently(() => stream.setNoDelay(this.noDelay))
  }

  #applyKeepAlive(stream: StreamSocket): void {
    // Streams of other kinds have no such settings, and Node passes over that.
    if (!(stream instanceof TcpStream)) return
    const delayMs = this.#keepAliveDelayMs
    applyLeniently(() => stream.setKeepAlive(delayMs >= 0, Math.max(0, delayMs)))
  }
}
