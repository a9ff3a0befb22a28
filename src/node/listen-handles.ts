/** What a server of `node:net` listens by: its handle is ours, so that its own methods go on working. */
import type { AddressInfo, BlockList } from 'node:net'
import type { TcpListener, UnixListener } from '../net/index.ts'
import type { CountingServer } from './socket-options.ts'
import { toAddressInfo } from './socket-parts.ts'

/** What a server of `node:net`, and whatever builds upon one, keeps to itself and its methods work by. */
export interface NodeServer extends CountingServer {
  _handle: ServerHandle | null
  /** Another one since each `listen()` and `close()`, which makes those before void; some releases have none until we give it. */
  _listeningId?: number
  readonly _unref?: boolean
  readonly allowHalfOpen?: boolean
  readonly pauseOnConnect?: boolean
  readonly noDelay?: boolean
  readonly keepAlive?: boolean
  readonly keepAliveInitialDelay?: number
  readonly highWaterMark?: number
  readonly blockList?: BlockList
  /** What `address()` tells where there is no IP. */
  _pipeName?: string
  /** Servers of `node:tls` have it, and those of `https` and `http2` that build upon them. */
  readonly setSecureContext?: unknown
}

/** What a server of `node:net` asks of the handle that it listens by. */
export interface ServerHandle {
  close(): void
  ref(): void
  unref(): void
}

export class PortHandle implements ServerHandle {
  readonly #server: NodeServer
  readonly #listener: TcpListener

  constructor(server: NodeServer, listener: TcpListener) {
    this.#server = server
    this.#listener = listener
  }

  close(): void {
    closeFor(this.#server, this.#listener.close())
  }

  ref(): void {
    this.#listener.ref()
  }

  unref(): void {
    this.#listener.unref()
  }

  /** Fills in where it listens. */
  getsockname(out: Partial<AddressInfo>): number {
    Object.assign(out, toAddressInfo(this.#listener.address))
    return 0
  }
}

/** Without `getsockname()`, by which Node knows that the server has a path. */
export class PathHandle implements ServerHandle {
  readonly #server: NodeServer
  readonly #binding: Promise<UnixListener>
  #listener: UnixListener | null = null

  constructor(server: NodeServer, binding: Promise<UnixListener>) {
    this.#server = server
    this.#binding = binding
  }

  async whenBound(): Promise<UnixListener> {
    this.#listener = await this.#binding
    return this.#listener
  }

  close(): void {
    const closed = this.#binding.then(
      (listener) => listener.close(),
      () => {},
    )
    closeFor(this.#server, closed)
  }

  // Before it is bound the server remembers it.

  ref(): void {
    this.#listener?.ref()
  }

  unref(): void {
    this.#listener?.unref()
  }
}

/** Of a server whose ports are not free yet. */
interface Closing {
  /** How many handles are being closed. */
  count: number
  /** What is to be done then. */
  readonly waiting: (() => void)[]
}

const closings = new WeakMap<NodeServer, Closing>()

/** The server is not to tell that it is closed while its port or path is still taken. */
function closeFor(server: NodeServer, closed: Promise<void>): void {
  beginClosing(server)
  void closed.then(() => endClosing(server))
}

function beginClosing(server: NodeServer): void {
  const closing = closings.get(server) ?? { count: 0, waiting: [] }
  closing.count++
  closings.set(server, closing)
  Object.defineProperty(server, '_emitCloseIfDrained', { value: () => {}, configurable: true })
}

function endClosing(server: NodeServer): void {
  const closing = closings.get(server)!
  closing.count--
  if (closing.count > 0) return
  closings.delete(server)
  Reflect.deleteProperty(server, '_emitCloseIfDrained')
  // Before it listens again, as it would not tell at all from then on.
  server._emitCloseIfDrained()
  for (const proceed of closing.waiting) proceed()
}

/** At once, if nothing is being closed. */
export function whenClosed(server: NodeServer, proceed: () => void): void {
  const closing = closings.get(server)
  if (closing === undefined) proceed()
  else closing.waiting.push(proceed)
}
