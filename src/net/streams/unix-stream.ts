import { optionNames, showAs, validateOptions } from '../../base/index.ts'
import {
  checkCancellation,
  executor,
  type OwnedDescriptor,
  refusalOf,
  type WaitOptions,
} from '../../executor/index.ts'
import {
  AF_UNIX,
  kernelError,
  SO_PEERCRED,
  SOCK_CLOEXEC,
  SOCK_STREAM,
  SOL_SOCKET,
} from '../../kernel/index.ts'
import type { Lease } from '../../memory/index.ts'
import { netRingFor } from '../memory/net-ring.ts'
import { CONNECT_PLAINLY, ConnectAttempt } from '../sockets/connect.ts'
import { Socket } from '../sockets/socket.ts'
import { formatAddress, type UnixAddress } from '../values/address.ts'
import type {
  DescriptorHolder,
  ReceiveDescriptorsOptions,
  ReceivedMessage,
} from '../values/received-message.ts'
import type { DetachOptions, UnixStreamTicket } from '../values/stream-ticket.ts'
import { readUnixEndpoint, type UnixEndpoint } from '../values/unix-endpoint.ts'
import { receiveDescriptors, sendDescriptors } from './descriptor-passing.ts'
import { adoptSocket, detachSocket, discardTicket } from './hand-over.ts'
import { StreamSocket } from './stream-socket.ts'

/** Where to connect to, and for how long to try. */
export interface UnixConnectOptions extends UnixEndpoint, WaitOptions {}

/** Who had the other end of a stream as it was connected, or its listener as that began to listen. */
export interface PeerCredentials {
  /** 0 for a process of another name space, which has no number here. */
  readonly processId: number
  readonly userId: number
  readonly groupId: number
}

const CONNECT_NAMES = optionNames<UnixConnectOptions>({
  path: true,
  abstractName: true,
  family: true,
  signal: true,
  timeoutMs: true,
})
// ABI: struct ucred: process, user, group.
const CREDENTIAL_WORDS = 3

/**
 * A connection within the machine, by a path or an abstract name.
 *
 * What all streams do is told with {@link StreamSocket}: reading, writing, consuming, half-closing. A Unix stream tells who its
 * peer is as well ({@link peerCredentials}). It cannot be reset: {@link abort} and {@link close} are one, and the peer sees
 * `ECONNRESET` only where something that it had sent was not read, else the end.
 *
 * @example Ask a server of the machine
 * ```ts run
 * import { UnixListener, UnixStream } from 'percore/net'
 *
 * const abstractName = `percore-example-${process.pid}`
 * await using listener = await UnixListener.bind({ abstractName })
 * const accepting = listener.accept()
 * await using client = await UnixStream.connect({ abstractName })
 * await using server = await accepting
 * await client.write(new TextEncoder().encode('ping'))
 * console.log((await server.read())?.length, server.peerCredentials().processId === process.pid)
 * ```
 */
export class UnixStream extends StreamSocket {
  static {
    showAs(UnixStream, (stream) => {
      const remote = stream.remoteAddress
      const peer = remote === null ? 'unknown peer' : formatAddress(remote)
      return `UnixStream ${peer} ${stream.isClosed ? 'closed' : 'open'}`
    })
  }

  /**
   * Connects. Waits while the backlog of the listener is full.
   *
   * @throws {KernelError} such as `ENOENT` where there is no such path, `ECONNREFUSED` where nobody listens, `EACCES`.
   * @throws {RuntimeError} `ERR_TASK_TIMEOUT` after `timeoutMs`.
   * @throws {TypeError | RangeError} for options of the wrong kind.
   */
  static async connect(options: UnixConnectOptions): Promise<UnixStream> {
    const action = 'connect'
    validateOptions(action, options, CONNECT_NAMES)
    const address = readUnixEndpoint(action, options)
    const { signal, timeoutMs } = options
    const refusal = refusalOf(action)
    if (refusal !== null) return refusal
    const current = executor()
    const wait = { signal, timeoutMs }
    checkCancellation(current, wait, action)
    const net = netRingFor(current, current.currentQueue())
    return new UnixStream(await new ConnectAttempt(net, address, CONNECT_PLAINLY).start(wait))
  }

  /**
   * Takes over a stream that another thread of the process has given away: see {@link detach}; or one whose descriptor came from
   * elsewhere: see {@link receiveDescriptors}.
   *
   * @throws as `TcpStream.adopt()`.
   */
  static adopt(from: UnixStreamTicket | OwnedDescriptor): UnixStream {
    return new UnixStream(adoptSocket(from, 'UnixStream'))
  }

  /**
   * Closes the stream of a ticket that nobody is to adopt any more, on any thread; false if it was adopted, or is
   * closed already. Attaches no executor.
   *
   * @throws {TypeError | RangeError} for what is no ticket.
   */
  static discard(ticket: UnixStreamTicket): boolean {
    return discardTicket(ticket, 'UnixStream')
  }

  /**
   * Two streams that are connected with each other, without names.
   *
   * @throws {KernelError} `EMFILE`
   * @throws {RuntimeError} `ERR_EXECUTOR_CLOSED`
   *
   * @example
   * ```ts run
   * import { UnixStream } from 'percore/net'
   *
   * const [one, other] = UnixStream.pair()
   * await one.write(new Uint8Array([1, 2, 3]))
   * await one.shutdown()
   * for await (const chunk of other) console.log(chunk.length)
   * await one.close()
   * await other.close()
   * ```
   */
  static pair(): [UnixStream, UnixStream] {
    const current = executor()
    current.assertOpen('open a pair of streams')
    const net = netRingFor(current, current.currentQueue())
    const fds = new Int32Array(2)
    const type = SOCK_STREAM | SOCK_CLOEXEC
    const opened = current.descriptors.openSocketPair(AF_UNIX, type, fds)
    if (opened < 0) throw kernelError(opened, { syscall: 'socketpair' })
    const [one, other] = Array.from(fds, (fd) => new Socket(net, fd, UNNAMED))
    return [new UnixStream(one!), new UnixStream(other!)]
  }

  /**
   * Who has the other end, by the kernel's word.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`
   */
  peerCredentials(): PeerCredentials {
    const { fd, isClosed, net } = this.socket
    if (isClosed) throw this.socket.closedError('read credentials')
    const words = new Uint32Array(CREDENTIAL_WORDS)
    const value = new Uint8Array(words.buffer)
    const result = net.executor.kernel.getSocketOption(fd, SOL_SOCKET, SO_PEERCRED, value)
    if (result < 0) throw kernelError(result, this.socket.describe('getsockopt'))
    return { processId: words[0]!, userId: words[1]!, groupId: words[2]! }
  }

  /**
   * Sends `data` as {@link write} does, and descriptors with its first byte: the peer's process gets further descriptors of the same
   * files, sockets and listeners. What is given stays the caller's, and may be closed at once.
   *
   * A listener of ours takes no connections ahead once it was sent, as one that is shared: all that accept from its socket get them in
   * turns. One that is sent by its number does not know; `share()` it before.
   *
   * @param descriptors - From 1 to 32 of what has an open descriptor (files, streams, listeners, a `FileHandle` of Node's), or of
   * numbers of descriptors.
   * @throws as {@link write}; {@link KernelError} `EMFILE` where the process has no numbers left until they are sent, `EBADF` for a number
   * of none; `ETOOMANYREFS` where too many are on their way, and `EINVAL` for one of a ring, which end this call alone.
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED` for what is closed; `ERR_OUT_OF_MEMORY`.
   * @throws {TypeError | RangeError} for no data, and no descriptors.
   *
   * @example Let another process write to a file
   * ```ts run
   * import { tmpdir } from 'node:os'
   * import { join } from 'node:path'
   * import { BufferedFile } from 'percore/io'
   * import { UnixStream } from 'percore/net'
   *
   * const [one, other] = UnixStream.pair()
   * await using file = await BufferedFile.create(join(tmpdir(), `percore-sent-${process.pid}`))
   * await one.sendDescriptors(new TextEncoder().encode('log'), [file])
   *
   * // In the other process:
   * await using message = await other.receiveDescriptors()
   * await using log = await BufferedFile.adopt(message!.descriptors[0]!)
   * await log.write(new TextEncoder().encode('one line\n'), 0)
   *
   * console.log(await file.size()) // 9
   * await file.remove()
   * await one.close()
   * await other.close()
   * ```
   */
  sendDescriptors(
    data: Uint8Array | Lease,
    descriptors: readonly (DescriptorHolder | number)[],
    options?: WaitOptions,
  ): Promise<void> {
    return sendDescriptors(this.socket, data, descriptors, options)
  }

  /**
   * The next chunk, up to 64 KiB, with the descriptors that came with it; null at the end of the stream.
   *
   * For streams that are read by this alone: {@link read}, iterating and consuming drop descriptors, which are closed then, and once
   * begun they go on by themselves; so this is refused after any of them. Cancelled, it loses nothing. What it gives
   * is the caller's: adopt each descriptor, or close it; `await using` closes those that were not adopted, as the end of the
   * executor does.
   *
   * A chunk may begin with bytes that were sent before, without descriptors. It ends, at the latest, with the bytes that its
   * descriptors were sent with; a long message comes in several, with its descriptors in the first. Two system calls.
   *
   * @throws as {@link read}; {@link RuntimeError} `ERR_UNSUPPORTED` if it was read otherwise.
   * @throws {TypeError | RangeError} for options of the wrong kind.
   */
  receiveDescriptors(options: ReceiveDescriptorsOptions = {}): Promise<ReceivedMessage | null> {
    return receiveDescriptors(this.socket, options)
  }

  /**
   * Gives the stream away, to another thread of this process: a ticket, plain data, that {@link UnixStream.adopt} makes a stream
   * of there, once. All as `TcpStream.detach()` has it; descriptors that have come and were not received go along, in the kernel,
   * unless the stream was read otherwise.
   *
   * @throws as `TcpStream.detach()`; `ERR_STILL_HELD` while descriptors are being received.
   */
  detach(options: DetachOptions = {}): Promise<UnixStreamTicket> {
    return detachSocket<UnixStreamTicket>(this.socket, 'UnixStream', options)
  }

  /** {@link close}: there is no reset, so a peer that reads to the end takes what has come for the whole. */
  override abort(): Promise<void> {
    return this.close()
  }

  /** @throws {RuntimeError} `ERR_HANDLE_CLOSED` */
  override get localAddress(): UnixAddress {
    return this.socket.localAddress as UnixAddress
  }

  /** The peer, which is unnamed if it connected; null if it had gone before it could be asked. */
  override get remoteAddress(): UnixAddress | null {
    return this.socket.remoteAddress as UnixAddress | null
  }
}

const UNNAMED: UnixAddress = { family: 'unix', path: null, abstractName: null }
