import { type SocketAddress, type StreamSocket, TcpStream } from '../net/index.ts'

/** The addresses of a connection, asked for once: they are told of one that is closed, too. Those of Unix streams are none to Node. */
export class Ends {
  #remote: SocketAddress | null = null
  #local: SocketAddress | null = null

  remoteOf(stream: StreamSocket | null): SocketAddress | null {
    if (stream instanceof TcpStream) this.#remote ??= stream.remoteAddress
    return this.#remote
  }

  /** Null once it is closed. */
  localOf(stream: StreamSocket | null): SocketAddress | null {
    if (!(stream instanceof TcpStream)) return null
    if (!stream.isClosed) this.#local ??= stream.localAddress
    return this.#local
  }
}
