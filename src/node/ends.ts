import type { SocketAddress, TcpStream } from '../net/index.ts'

/** The addresses of a connection, asked for once: they are told of one that is closed, too. */
export class Ends {
  #remote: SocketAddress | null = null
  #local: SocketAddress | null = null

  remoteOf(stream: TcpStream | null): SocketAddress | null {
    if (stream !== null) this.#remote ??= stream.remoteAddress
    return this.#remote
  }

  /** Null once it is closed. */
  localOf(stream: TcpStream | null): SocketAddress | null {
    if (stream === null) return null
    if (!stream.isClosed) this.#local ??= stream.localAddress
    return this.#local
  }
}
