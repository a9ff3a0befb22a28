import { showAs } from '../../base/index.ts'
import { checkCancellation, executor, OwnedDescriptor, refusalOf } from '../../executor/index.ts'
import { kernelError, SOCK_STREAM } from '../../kernel/index.ts'
import { type NetRing, netRingFor } from '../memory/net-ring.ts'
import { bindUnix, removeOwnFile, removeOwnFileIfStale } from '../sockets/bind-unix.ts'
import type { Socket } from '../sockets/socket.ts'
import { UnixStream } from '../streams/unix-stream.ts'
import { formatAddress, type UnixAddress } from '../values/address.ts'
import type { SocketFile, UnixListenerShare } from '../values/share-listener.ts'
import { readUnixListenOptions, type UnixListenOptions } from '../values/unix-listen.ts'
import { adoptListening } from './adopt-listener.ts'
import { type ListeningSocket, StreamListener } from './stream-listener.ts'

/**
 * Accepts Unix streams: by {@link accept}, or `for await (const stream of listener)`. See {@link StreamListener}.
 *
 * **The file of a path** is made as it is bound, with the permissions that the process's mask leaves: who may write to it may
 * connect. It is removed by {@link close}, if it is still the same file. A program that ends otherwise leaves it; the next one
 * to listen there finds that nobody has its socket, and takes its place. The name of a socket that somebody has is never
 * taken, and no other kind of file: that is `EADDRINUSE`. An abstract name ends with its socket.
 *
 * @example Echo
 * ```ts run
 * import { mkdtempSync, rmSync } from 'node:fs'
 * import { tmpdir } from 'node:os'
 * import { join } from 'node:path'
 * import { type StreamConsumer, UnixListener, UnixStream } from 'percore/net'
 *
 * const echo: StreamConsumer = {
 *   onLease: (lease, stream) => stream.write(lease),
 *   onEnd: (_error, stream) => stream.close(),
 * }
 *
 * async function listen(listener: UnixListener): Promise<void> {
 *   for await (const stream of listener) stream.consume(echo)
 * }
 *
 * const folder = mkdtempSync(join(tmpdir(), 'percore-'))
 * {
 *   await using listener = await UnixListener.bind({ path: join(folder, 'socket') })
 *   void listen(listener)
 *   await using client = await UnixStream.connect(listener.address)
 *   await client.write(new Uint8Array([1, 2, 3]))
 *   console.log(await client.read())
 * }
 * rmSync(folder, { recursive: true })
 * ```
 */
export class UnixListener extends StreamListener<UnixStream, UnixAddress> {
  static {
    showAs(
      UnixListener,
      (listener) =>
        `UnixListener ${formatAddress(listener.address)} ${listener.isClosed ? 'closed' : 'listening'}`,
    )
  }

  readonly #net: NetRing
  readonly #file: SocketFile | null
  /** Resolves once its file has been looked after, of one that was sent to another process. */
  #left: Promise<void> | null = null

  private constructor(socket: ListeningSocket<UnixAddress>, file: SocketFile | null) {
    super(socket)
    this.#net = socket.net
    this.#file = file
  }

  /**
   * Listens.
   *
   * @throws {KernelError} `EADDRINUSE` while somebody has that address, or where a file of another kind has the path;
   * `EACCES`, `ENOENT` for a folder that there is not.
   * @throws {RuntimeError} `ERR_TASK_TIMEOUT` after `timeoutMs`.
   * @throws {TypeError | RangeError} for options of the wrong kind.
   */
  static override async bind(options: UnixListenOptions): Promise<UnixListener> {
    const action = 'listen'
    const { backlog, path, abstractName } = readUnixListenOptions(action, options)
    const given: UnixAddress = { family: 'unix', path, abstractName }
    const { signal, timeoutMs } = options
    const refusal = refusalOf(action)
    if (refusal !== null) return refusal
    const current = executor()
    const wait = { signal, timeoutMs }
    checkCancellation(current, wait, action)
    const net = netRingFor(current, current.currentQueue())
    const kind = { type: SOCK_STREAM, action }
    const { fd, address, file } = await bindUnix(net, given, kind, wait)
    const listening = current.kernel.listenSocket(fd, backlog)
    if (listening >= 0) return new UnixListener({ net, fd, address }, file)
    if (file !== null) await removeOwnFile(current, file)
    current.descriptors.closeFd(fd)
    throw kernelError(listening, { syscall: 'listen', fd })
  }

  /**
   * A listener of this thread on a socket that another listener of the process is bound to, and {@link share}s; or by a descriptor
   * that came from elsewhere: see `UnixStream.receiveDescriptors()`. The file of the latter is left to who has bound it, and stays where that
   * one closes first: the next one to listen there takes its place.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED` once all that share the socket are closed; `ERR_EXECUTOR_CLOSED`;
   * `ERR_UNSUPPORTED` for a descriptor of something else, or that came to another thread: it is its holder's still.
   * @throws {KernelError} `EMFILE`
   * @throws {TypeError | RangeError} for what is neither.
   */
  static adopt(from: UnixListenerShare | OwnedDescriptor): UnixListener {
    const socket = adoptListening(from, 'UnixListener') as ListeningSocket<UnixAddress>
    return new UnixListener(socket, from instanceof OwnedDescriptor ? null : from.file)
  }

  /**
   * Lets other threads of the process accept from the same socket, as `TcpListener.share()` does: plain data, which
   * {@link UnixListener.adopt} makes a listener of, as often as asked, while one that shares the socket is open.
   *
   * All of them are equal from then on, and a connection goes to a thread that waits for one. The file of a path is removed by the
   * last that is closed.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`, `ERR_EXECUTOR_CLOSED`.
   *
   * @example Bind once, accept on every thread
   * ```ts run
   * import { UnixListener, UnixStream } from 'percore/net'
   *
   * await using listener = await UnixListener.bind({ abstractName: `percore-share-${process.pid}` })
   * const posted = structuredClone(listener.share()) // as worker.postMessage(), or workerData, does
   *
   * // On the other thread:
   * await using other = UnixListener.adopt(posted)
   * const accepting = other.accept()
   * await using client = await UnixStream.connect(other.address)
   * await using stream = await accepting
   * console.log(stream.localAddress.abstractName === client.remoteAddress?.abstractName)
   * ```
   */
  share(): UnixListenerShare {
    const name = this.shareSocket('share a listener')
    return { kind: 'UnixListener', name, address: this.address, file: this.#file }
  }

  /**
   * Stops listening, as {@link StreamListener.close} does. The file that it has made is removed, unless another process that it was sent to
   * (`UnixStream.sendDescriptors()`) listens on: clients find that one by it.
   */
  override close(): Promise<void> {
    const closed = super.close()
    const file = this.#file
    if (file === null || !this.isElsewhere) return closed
    // Only now, since its own descriptor listens as well as that of another process.
    this.#left ??= closed.then(() => removeOwnFileIfStale(this.#net, file))
    return this.#left
  }

  /** @internal */
  protected override wrap(socket: Socket): UnixStream {
    return new UnixStream(socket)
  }

  /** @internal */
  protected override leaveName(): Promise<void> | null {
    if (this.#file === null || this.isElsewhere) return null
    return removeOwnFile(this.#net.executor, this.#file)
  }
}
