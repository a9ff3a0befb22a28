import type { TcpStream } from '../net/index.ts'
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
  applyTo(stream: TcpStream): void {
    if (this.noDelay) this.#applyNoDelay(stream)
    if (this.#keepAliveDelayMs >= 0) this.#applyKeepAlive(stream)
    if (!this.#isReferenced) stream.unref()
  }

  setNoDelay(isWanted: boolean, stream: TcpStream | null): void {
    this.noDelay = isWanted
    if (stream !== null) this.#applyNoDelay(stream)
  }

  setKeepAlive(delayMs: number, stream: TcpStream | null): void {
    this.#keepAliveDelayMs = delayMs
    if (stream !== null) this.#applyKeepAlive(stream)
  }

  setReferenced(isReferenced: boolean, stream: TcpStream | null): void {
    this.#isReferenced = isReferenced
    if (isReferenced) stream?.ref()
    else stream?.unref()
  }

  #applyNoDelay(stream: TcpStream): void {
    applyLeniently(() => stream.setNoDelay(this.noDelay))
  }

  #applyKeepAlive(stream: TcpStream): void {
    const delayMs = this.#keepAliveDelayMs
    applyLeniently(() => stream.setKeepAlive(delayMs >= 0, Math.max(0, delayMs)))
  }
}
