import type { Executor, WaitOptions } from '../../executor/index.ts'
import {
  kernelError,
  SO_REUSEADDR,
  SOCK_CLOEXEC,
  SOCK_STREAM,
  SOL_SOCKET,
} from '../../kernel/index.ts'
import { COUNTER_CONNECTIONS } from '../../stats/index.ts'
import type { NetRing } from '../memory/net-ring.ts'
import { type Address, formatAddress } from '../values/address.ts'
import { domainOf, encodeAddress } from '../values/sockaddr.ts'
import { setIntOption, setNoDelay } from '../values/socket-options.ts'
import { Socket } from './socket.ts'
import { ConnectOperation, type OperatedSocket } from './socket-operation.ts'

/**
 * Opens a stream socket for an address, not yet bound or connected; it is tracked.
 *
 * @throws {KernelError}
 * @throws {RuntimeError} `ERR_EXECUTOR_CLOSED`
 */
export function openStreamSocket(executor: Executor, address: Address): number {
  executor.assertOpen('open a socket')
  const type = SOCK_STREAM | SOCK_CLOEXEC
  const fd = executor.descriptors.openSocket(domainOf(address), type, 0)
  if (fd < 0) throw kernelError(fd, { syscall: 'socket', address: formatAddress(address) })
  return fd
}

/** What a socket is given before it connects. */
export interface ConnectSettings {
  readonly noDelay: boolean
  /** Where it connects from; null for whichever address the kernel takes. */
  readonly localHost: string | null
  /** 0 for whichever port. */
  readonly localPort: number
}

/** Of a socket that nothing is asked of. */
export const CONNECT_PLAINLY: ConnectSettings = { noDelay: false, localHost: null, localPort: 0 }

/** One try to connect to one address. */
export class ConnectAttempt {
  readonly #net: NetRing
  readonly #address: Address
  readonly #settings: ConnectSettings
  #socket: Socket | null = null

  constructor(net: NetRing, address: Address, settings: ConnectSettings) {
    this.#net = net
    this.#address = address
    this.#settings = settings
  }

  /** Null before {@link start}, and where none could be opened. */
  get socket(): Socket | null {
    return this.#socket
  }

  /** Connects; the descriptor is closed before it rejects. */
  async start(options: WaitOptions | undefined): Promise<Socket> {
    const { executor } = this.#net
    const address = this.#address
    const socket = new Socket(this.#net, openStreamSocket(executor, address), address)
    this.#socket = socket
    try {
      if (this.#settings.noDelay) setNoDelay(executor.kernel, socket.fd, true)
      bindEnd(executor, socket.fd, address, this.#settings)
      await connectSocket(socket, address, options)
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

/** Has it connect from where it is to. @throws {KernelError} such as `EADDRNOTAVAIL`, `EADDRINUSE`. */
function bindEnd(
  { kernel }: Executor,
  fd: number,
  to: Address,
  { localHost, localPort }: ConnectSettings,
): void {
  if (to.family === 'unix' || (localHost === null && localPort === 0)) return
  const host = localHost ?? (to.family === 'ipv4' ? '0.0.0.0' : '::')
  const from: Address = { host, port: localPort, family: to.family }
  // Connections that were closed hold the port for a minute, and are not in the way of one to elsewhere.
  setIntOption(kernel, fd, SOL_SOCKET, SO_REUSEADDR, 1)
  const bound = kernel.bindSocket(fd, encodeAddress(from))
  if (bound < 0) throw kernelError(bound, { syscall: 'bind', fd, address: formatAddress(from) })
}

/** Connects a socket that was opened for the address. */
export function connectSocket(
  socket: OperatedSocket,
  address: Address,
  options: WaitOptions | undefined,
): Promise<void> {
  const { net } = socket
  const bytes = encodeAddress(address)
  const buffer = net.executor.memory.allocateOwn(bytes.length)
  buffer.bytes.set(bytes)
  const operation = new ConnectOperation(socket, address, buffer)
  return operation.start(options, `connect to ${formatAddress(address)}`)
}
