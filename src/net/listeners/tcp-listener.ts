import { assert, showAs } from '../../base/index.ts'
import {
  checkCancellation,
  executor,
  type OwnedDescriptor,
  refusalOf,
  refuse,
  type WaitOptions,
} from '../../executor/index.ts'
import { netRingFor } from '../memory/net-ring.ts'
import { openStreamSocket } from '../sockets/connect.ts'
import type { Socket } from '../sockets/socket.ts'
import { TcpStream } from '../streams/tcp-stream.ts'
import { formatAddress, parseAddress, type SocketAddress } from '../values/address.ts'
import {
  type ListenerConfiguration,
  type ListenOptions,
  readListenOptions,
} from '../values/listen.ts'
import { resolveHost } from '../values/resolve.ts'
import type { TcpListenerShare } from '../values/share-listener.ts'
import { adoptListening } from './adopt-listener.ts'
import { listen } from './bind-listener.ts'
import { type ListeningSocket, StreamListener } from './stream-listener.ts'

/**
 * Accepts TCP connections: by {@link accept}, or `for await (const stream of listener)`. See {@link StreamListener}.
 *
 * One operation goes on accepting by itself, from the first call on; what comes before it is asked
 * for waits in a bounded list, and is closed with the listener. Without descriptors or memory
 * {@link accept} rejects, an iteration waits, and both go on when there are some again.
 *
 * Belongs to the executor that made it, and must be closed; leaving an iteration does not. Until then it keeps
 * the program alive, as a server of `node:net` does, be anything accepted or not; see {@link unref}.
 *
 * @example Echo
 * ```ts run
 * import { TcpListener, TcpStream } from 'percore/net'
 *
 * async function serve(stream: TcpStream): Promise<void> {
 *   await using owned = stream
 *   for await (const chunk of owned) await owned.write(chunk)
 * }
 *
 * async function listen(listener: TcpListener): Promise<void> {
 *   for await (const stream of listener) void serve(stream)
 * }
 *
 * await using listener = await TcpListener.bind({ port: 0 })
 * void listen(listener)
 * await using client = await TcpStream.connect({ port: listener.address.port })
 * await client.write(new Uint8Array([1, 2, 3]))
 * console.log(await client.read())
 * ```
 */
export class TcpListener extends StreamListener<TcpStream, SocketAddress> {
  static {
    showAs(
      TcpListener,
      (listener) =>
        `TcpListener ${formatAddress(listener.address)} ${listener.isClosed ? 'closed' : 'listening'}`,
    )
  }

  // Not for users: they bind, or adopt.
  private constructor(socket: ListeningSocket<SocketAddress>) {
    super(socket)
  }

  /**
   * Listens.
   *
   * @throws {KernelError} such as `EADDRINUSE`, `EACCES`; what the look-up of a name throws.
   * @throws {RuntimeError} `ERR_TASK_TIMEOUT` after `timeoutMs`.
   * @throws {TypeError | RangeError} for options of the wrong kind.
   */
  static override async bind(options: ListenOptions): Promise<TcpListener> {
    const action = 'listen'
    const configuration = readListenOptions(action, options)
    const { host, port, family } = configuration
    const { signal, timeoutMs } = options
    const refusal = refusalOf(action)
    if (refusal !== null) return refusal
    const current = executor()
    const wait = { signal, timeoutMs }
    checkCancellation(current, wait, action)
    const [address] = await resolveHost(current, { host, port, family }, wait)
    assert(address !== undefined, 'a host that was found has an address')
    try {
      return TcpListener.#begin(address, configuration)
    } catch (error) {
      return refuse(error)
    }
  }

  /**
   * The same at once, for a literal address: whoever calls it can ask for its port in the next line.
   *
   * @throws as {@link bind} does; {@link RangeError} for a host that would have to be looked up.
   */
  static bindNow(options: Omit<ListenOptions, keyof WaitOptions>): TcpListener {
    const configuration = readListenOptions('listen', options)
    const { host, port } = configuration
    const address = parseAddress(host, port)
    if (address !== null) return TcpListener.#begin(address, configuration)
    throw new RangeError(`Cannot listen now as host must be an address: current value is ${host}`)
  }

  /** @throws {KernelError} */
  static #begin(address: SocketAddress, configuration: ListenerConfiguration): TcpListener {
    const current = executor()
    const net = netRingFor(current, current.currentQueue())
    const fd = openStreamSocket(current, address)
    try {
      return new TcpListener({ net, fd, address: listen(current, fd, address, configuration) })
    } catch (error) {
      current.descriptors.closeFd(fd)
      throw error
    }
  }

  /**
   * A listener of this thread on a socket that another listener of the process is bound to, and {@link share}s; or by a descriptor
   * that came from elsewhere: see `UnixStream.receiveDescriptors()`.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED` once all that share the socket are closed; `ERR_EXECUTOR_CLOSED`;
   * `ERR_UNSUPPORTED` for a descriptor of something else, or that came to another thread: it is its holder's still.
   * @throws {KernelError} `EMFILE`
   * @throws {TypeError | RangeError} for what is neither.
   */
  static adopt(from: TcpListenerShare | OwnedDescriptor): TcpListener {
    return new TcpListener(adoptListening(from, 'TcpListener') as ListeningSocket<SocketAddress>)
  }

  /**
   * Lets other threads of the process accept from the same socket: posts nothing, but returns plain data, which
   * {@link TcpListener.adopt} makes a listener of, as often as asked, while one that shares the socket is open.
   *
   * All of them are equal from then on: each is closed by itself, and by the end of its thread, and the others accept on.
   * With the last one the socket is closed. A connection goes to a thread that waits for one, in turns: one that is
   * busy takes none, unlike with `reusePort`, and one that ends loses none that others could still accept. In exchange
   * accepting costs a request for each connection.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`, `ERR_EXECUTOR_CLOSED`.
   *
   * @example Bind once, accept on every thread
   * ```ts run
   * import { TcpListener, TcpStream } from 'percore/net'
   *
   * await using listener = await TcpListener.bind({ port: 0 })
   * const posted = structuredClone(listener.share()) // as worker.postMessage(), or workerData, does
   *
   * // On the other thread:
   * await using other = TcpListener.adopt(posted)
   * const accepting = other.accept()
   * await using client = await TcpStream.connect({ port: other.address.port })
   * await using stream = await accepting
   * console.log(stream.remoteAddress?.port === client.localAddress.port)
   * ```
   */
  share(): TcpListenerShare {
    const name = this.shareSocket('share a listener')
    return { kind: 'TcpListener', name, address: this.address }
  }

  /** @internal */
  protected override wrap(socket: Socket): TcpStream {
    return new TcpStream(socket)
  }
}
