import type { KernelErrorContext } from '../base/index.ts'
import { AwaitedOperation, type Executor, type WaitOptions } from '../executor/index.ts'
import { ENOTCONN, kernelError, SHUT_WR, SOCK_CLOEXEC, SOCK_STREAM } from '../kernel/index.ts'
import type { Lease } from '../memory/index.ts'
import { encodeConnect, encodeShutdown, type Ring } from '../ring/index.ts'
import { COUNTER_CONNECTIONS } from '../stats/index.ts'
import { domainOf, encodeAddress, formatAddress, type SocketAddress } from './address.ts'
import type { NetRing } from './net-ring.ts'
import { Socket } from './socket.ts'
import { setNoDelay } from './socket-options.ts'

/**
 * Opens a TCP socket for an address, not yet bound or connected; it is tracked.
 *
 * @throws {KernelError}
 * @throws {RuntimeError} `ERR_EXECUTOR_CLOSED`
 */
export function openTcpSocket(executor: Executor, address: SocketAddress): number {
  executor.assertOpen('open a socket')
  const type = SOCK_STREAM | SOCK_CLOEXEC
  const fd = executor.descriptors.openSocket(domainOf(address), type, 0)
  if (fd < 0) throw kernelError(fd, { syscall: 'socket', address: formatAddress(address) })
  return fd
}

/** One try to connect to one address. */
export class ConnectAttempt {
  readonly #net: NetRing
  readonly #address: SocketAddress
  readonly #noDelay: boolean
  #socket: Socket | null = null

  constructor(net: NetRing, address: SocketAddress, noDelay: boolean) {
    this.#net = net
    this.#address = address
    this.#noDelay = noDelay
  }

  /** Null before {@link start}, and where none could be opened. */
  get socket(): Socket | null {
    return this.#socket
  }

  /** Connects; the descriptor is closed before it rejects. */
  async start(options: WaitOptions | undefined): Promise<Socket> {
    const { executor } = this.#net
    const address = this.#address
    const socket = new Socket(this.#net, openTcpSocket(executor, address), address)
    this.#socket = socket
    try {
      if (this.#noDelay) setNoDelay(executor.kernel, socket.fd, true)
      await connect(socket, address, options)
      this.#net.home.counters[COUNTER_CONNECTIONS]!++
    } catch (error) {
      await socket.close()
      throw error
    }
    return socket
  }

  /** Cancels and closes it, whatever has become of it; resolves when the descriptor is gone. */
  async end(): Promise<void> {
    await this.#socket?.close()
  }
}

/**
 * Sends the end of the stream, once all that was written before has been sent. If the peer has left already
 * that is nothing: there is nobody to be told.
 */
export function shutdownSending(socket: Socket, options: WaitOptions | undefined): Promise<void> {
  return new ShutdownOperation(socket).start(options, 'shut down')
}

function connect(
  socket: Socket,
  address: SocketAddress,
  options: WaitOptions | undefined,
): Promise<void> {
  const { net } = socket
  const bytes = encodeAddress(address)
  const buffer = net.executor.memory.allocateOwn(bytes.length)
  buffer.bytes.set(bytes)
  const operation = new ConnectOperation(socket, address, buffer)
  return operation.start(options, `connect to ${formatAddress(address)}`)
}

abstract class SocketOperation extends AwaitedOperation<void> {
  protected readonly socket: Socket

  constructor(socket: Socket) {
    super(socket.net.executor)
    this.socket = socket
  }

  protected abstract encode(ring: Ring, base: number): void

  /** Submits it; throwing leaves nothing behind. */
  start(options: WaitOptions | undefined, action: string): Promise<void> {
    const { ring } = this.socket.net
    try {
      this.bind(options, action)
      this.encode(ring, ring.begin())
    } catch (error) {
      this.unbind()
      this.finish()
      throw error
    }
    ring.commit(this)
    this.socket.otherCount++
    return this.promise
  }

  override complete(result: number, flags: number): void {
    this.socket.otherCount--
    super.complete(result, flags)
    this.socket.ended()
  }

  protected override interpret(): void {}
}

class ConnectOperation extends SocketOperation {
  readonly #address: SocketAddress
  readonly #buffer: Lease

  constructor(socket: Socket, address: SocketAddress, buffer: Lease) {
    super(socket)
    this.#address = address
    this.#buffer = buffer
  }

  protected override encode(ring: Ring, base: number): void {
    const { address, lengthBytes } = this.#buffer
    encodeConnect(ring.sqes, base, { target: this.socket, address, addressBytes: lengthBytes })
  }

  protected override describe(): KernelErrorContext {
    return { syscall: 'connect', address: formatAddress(this.#address) }
  }

  protected override finish(): void {
    this.#buffer.release()
  }
}

class ShutdownOperation extends SocketOperation {
  protected override encode(ring: Ring, base: number): void {
    encodeShutdown(ring.sqes, base, { target: this.socket, how: SHUT_WR })
  }

  override complete(result: number, flags: number): void {
    super.complete(result === -ENOTCONN ? 0 : result, flags)
  }

  protected override describe(): KernelErrorContext {
    return this.socket.describe('shutdown')
  }
}
