import { isBytes, validateInteger, wrongBytes } from '../../base/index.ts'
import { refuse, type WaitOptions } from '../../executor/index.ts'
import {
  SK_MEMINFO_DROPS,
  SO_MEMINFO,
  SO_RCVBUF,
  SO_SNDBUF,
  SOL_SOCKET,
} from '../../kernel/index.ts'
import { Lease } from '../../memory/index.ts'
import { handleClosed } from '../sockets/socket.ts'
import type { Address } from '../values/address.ts'
import { getIntOption, setIntOption } from '../values/socket-options.ts'
import type { RawAddress } from './address-book.ts'
import type { Datagram, DatagramLease } from './datagram.ts'
import {
  type DatagramConsumer,
  DatagramConsumption,
  validateDatagramConsumer,
} from './datagram-consumption.ts'
import { DatagramIterator, DatagramLeaseIterator } from './datagram-iterators.ts'
import type { DatagramPort } from './datagram-port.ts'
import { BORROW, DatagramReceiver, type DatagramWant, PEEK, RECEIVE } from './datagram-receiver.ts'
import { DatagramSender } from './datagram-sender.ts'

/**
 * A socket that carries datagrams, each as a whole: what is the same for UDP and Unix.
 *
 * **Receiving.** The data that {@link receive} and iterating give is the caller's for good. {@link receiveLease}, {@link leases}
 * and a consumer with `onLease` borrow the memory that the kernel wrote to, without a copy; see {@link DatagramLease}. There is one
 * reader at a time. A read that is cancelled or times out loses nothing. What has come and nobody reads is kept, up to
 * 512 KiB or 256 datagrams and what was on its way then; further ones stay with the kernel, and beyond what that keeps UDP drops
 * them ({@link droppedCount}), while senders of Unix datagrams wait. An error of the kernel is told to one reader, or ends one
 * iteration or consumption; the socket can be used on. Linux 6.0 receives many by one request, before that one at a time.
 *
 * **Sending.** `send()` resolves when the kernel has taken the datagram; until then the data must not be changed. They reach
 * the kernel in the order of the calls. Leases are sent without a copy.
 *
 * Belongs to the executor that made it. It must be closed; breaking out of an iteration does not.
 */
export abstract class DatagramSocket<A extends Address = Address>
  implements AsyncIterable<Datagram<A>>, AsyncDisposable
{
  /** @internal */
  protected readonly port: DatagramPort
  readonly #receiver: DatagramReceiver<A>
  readonly #sender: DatagramSender

  /** @internal */
  constructor(port: DatagramPort) {
    this.port = port
    this.#receiver = new DatagramReceiver<A>(port)
    this.#sender = new DatagramSender(port)
  }

  /**
   * The next datagram, whose data is the caller's for good.
   *
   * @throws {KernelError} such as `ECONNREFUSED`, on a connected socket, once for what it has sent to where nobody is.
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`; `ERR_STILL_HELD` while another read is pending.
   */
  receive(options?: WaitOptions): Promise<Datagram<A>> {
    return this.#read(RECEIVE, options) as Promise<Datagram<A>>
  }

  /**
   * Borrows the next datagram, to be released (`using`). It holds memory that is there for all sockets of the thread: while
   * leases hold half of that, further ones are on copies.
   *
   * @throws as {@link receive}.
   */
  receiveLease(options?: WaitOptions): Promise<DatagramLease<A>> {
    return this.#read(BORROW, options) as Promise<DatagramLease<A>>
  }

  /**
   * A copy of the next datagram, which the next read gets again.
   *
   * @throws as {@link receive}.
   */
  peek(options?: WaitOptions): Promise<Datagram<A>> {
    return this.#read(PEEK, options) as Promise<Datagram<A>>
  }

  /** Datagram by datagram until the socket is closed, each the caller's for good; leaving the loop does not close it. */
  [Symbol.asyncIterator](): AsyncIterator<Datagram<A>, undefined> {
    return new DatagramIterator<A>(this.#receiver)
  }

  /** The same with leases, each of which is released with the next step, or the end of the loop. */
  leases(): AsyncIterableIterator<DatagramLease<A>, undefined> {
    return new DatagramLeaseIterator<A>(this.#receiver)
  }

  /**
   * Hands every datagram, or a lease on it, to `consumer`, one at a time: the fastest way. It holds neither a promise nor a
   * suspended function.
   *
   * The consumer is called in turns of the caller's task queue, in its asynchronous context, never before this returns; up
   * to 32 times a turn while it returns no promise. Until `onEnd` it is the socket's reader. It ends, and `onEnd` is called,
   * by the close of the socket, with an error of the kernel or a failure of the consumer, and when the signal is aborted,
   * `timeoutMs` from now have passed or the task is cancelled.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`; `ERR_STILL_HELD` while the socket has a reader; `ERR_EXECUTOR_CLOSED`.
   * @throws The signal's reason if it is aborted; `ERR_TASK_CANCELLED` if the task is.
   * @throws {TypeError | RangeError} for arguments of the wrong kind.
   *
   * @example Echo
   * ```ts run
   * import { UdpSocket } from 'percore/net'
   *
   * await using server = await UdpSocket.bind({ port: 0 })
   * server.consume({
   *   onLease: (lease, socket) => socket.send(lease, { to: lease.from }),
   *   onEnd: () => {},
   * })
   * await using client = await UdpSocket.connect(server.localAddress)
   * await client.send(new Uint8Array([1, 2, 3]))
   * console.log((await client.receive()).data)
   * ```
   */
  consume(consumer: DatagramConsumer<this, A>, options?: WaitOptions): void {
    validateDatagramConsumer('consume', consumer)
    if (this.port.isClosing) throw handleClosed('consume')
    this.#receiver.consume(new DatagramConsumption(this, consumer as never), options)
  }

  /**
   * Closes it: pending reads and sends reject with `ERR_HANDLE_CLOSED`, iterations end; what the kernel has taken is sent all
   * the same. Resolves when the descriptor is gone; again is nothing.
   */
  close(): Promise<void> {
    return this.port.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Whether it was closed, by itself or with its executor. */
  get isClosed(): boolean {
    return this.port.isClosed
  }

  /** @throws {RuntimeError} `ERR_HANDLE_CLOSED` */
  abstract get localAddress(): A

  /** Who it is connected to, or null. */
  abstract get remoteAddress(): A | null

  /**
   * @internal Receives no more: what has come is handed out, then iterations and consumptions end, and reads reject with
   * `ERR_HANDLE_CLOSED`. It sends as before.
   */
  endReceiving(): void {
    if (!this.port.isClosed) this.#receiver.end(handleClosed('receive'))
  }

  /** @internal Whether a read or a consumer waits for what comes, or is taking it. */
  get isRead(): boolean {
    return this.#receiver.isRead
  }

  /** @internal Ends a read that nobody waits for any more, which takes nothing from now on; its caller is told. */
  endRead(reason: Error): void {
    this.#receiver.cancel(reason)
  }

  /** @internal Resolves when it has no consumer any more, after `onEnd`; null where it has none. One caller at a time. */
  whenConsumed(): Promise<void> | null {
    return this.#receiver.whenConsumed()
  }

  /** Messages received, be they read or not; datagrams that the kernel has brought together count as one. */
  get receivedCount(): number {
    return this.port.receivedCount
  }

  /** Datagrams that the kernel has taken; one send of many segments counts as one. */
  get sentCount(): number {
    return this.port.sentCount
  }

  /**
   * How many datagrams the kernel has dropped, as it had no more room for them: one call of it. Linux 4.12.
   *
   * @throws {RuntimeError} `ERR_HANDLE_CLOSED`
   */
  droppedCount(): number {
    const words = new Uint32Array(SK_MEMINFO_DROPS + 1)
    const { kernel } = this.#open('read a count').net.executor
    const result = kernel.getSocketOption(
      this.port.fd,
      SOL_SOCKET,
      SO_MEMINFO,
      new Uint8Array(words.buffer),
    )
    return result < 0 ? 0 : words[SK_MEMINFO_DROPS]!
  }

  /** Has a read or consumer that waits keep the program alive, as they do unless {@link unref} is called. */
  ref(): this {
    this.#receiver.setReferenced(true)
    return this
  }

  /** Lets the program end although a read or consumer waits. O(1), like `unref()` of a socket of `node:dgram`. */
  unref(): this {
    this.#receiver.setReferenced(false)
    return this
  }

  /** What the kernel holds for the reader; it doubles the value, for its own bookkeeping, and bounds it (`net.core.rmem_max`). */
  setReceiveBufferBytes(bytes: number): void {
    this.#setBuffer(SO_RCVBUF, bytes)
  }

  /** What the kernel holds of what is sent; likewise (`net.core.wmem_max`). */
  setSendBufferBytes(bytes: number): void {
    this.#setBuffer(SO_SNDBUF, bytes)
  }

  receiveBufferBytes(): number {
    const { net, fd } = this.#open('get an option')
    return getIntOption(net.executor.kernel, fd, SOL_SOCKET, SO_RCVBUF)
  }

  sendBufferBytes(): number {
    const { net, fd } = this.#open('get an option')
    return getIntOption(net.executor.kernel, fd, SOL_SOCKET, SO_SNDBUF)
  }

  /** @internal Checks the data, and sends it. */
  protected sendRaw(
    data: Uint8Array | Lease,
    to: RawAddress | null,
    {
      segmentBytes,
      wait,
    }: { readonly segmentBytes: number; readonly wait: WaitOptions | undefined },
  ): Promise<void> {
    if (this.port.isClosing) return refuse(handleClosed('send'))
    try {
      return this.#sender.send({ data, lengthBytes: lengthOf(data), to, segmentBytes }, wait)
    } catch (error) {
      return refuse(error)
    }
  }

  #read(want: DatagramWant, options: WaitOptions | undefined): Promise<unknown> {
    if (this.port.isClosing) return refuse(handleClosed('receive'))
    return this.#receiver.read(want, options, null)
  }

  #setBuffer(option: number, bytes: number): void {
    validateInteger('set a buffer size', 'bytes', bytes, { min: 1, max: 2 ** 30 })
    const { net, fd } = this.#open('set an option')
    setIntOption(net.executor.kernel, fd, SOL_SOCKET, option, bytes)
  }

  #open(action: string): DatagramPort {
    if (this.port.isClosed) throw handleClosed(action)
    return this.port
  }
}

/** @throws {TypeError} unless it is bytes or a lease; `ERR_BUFFER_RELEASED`. */
function lengthOf(data: Uint8Array | Lease): number {
  if (isBytes(data)) return data.length
  if (!(data instanceof Lease)) throw wrongBytes('send', 'data', data, 'a Uint8Array or a Lease')
  data.assertHeld()
  return data.lengthBytes
}

/** The signal and time limit among options of a send, or nothing: the common send has none. */
export function waitOf(options: WaitOptions): WaitOptions | undefined {
  const { signal, timeoutMs } = options
  return signal === undefined && timeoutMs === undefined ? undefined : { signal, timeoutMs }
}
