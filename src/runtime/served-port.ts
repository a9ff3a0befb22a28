import { showAs } from '../base/index.ts'
import {
  type Address,
  formatAddress,
  type SocketAddress,
  type TcpStream,
  type UdpSocket,
  type UnixAddress,
  type UnixStream,
} from '../net/index.ts'

/** What serves a connection: an export of a module, called on a driver of the port for each connection that this accepts. */
export type ConnectionMain<Argument = unknown> = (
  stream: TcpStream,
  port: ServedPort<Argument>,
) => unknown

/** The same for a connection of a Unix socket. */
export type UnixConnectionMain<Argument = unknown> = (
  stream: UnixStream,
  port: ServedPort<Argument, UnixAddress>,
) => unknown

/**
 * What serves a UDP port: an export of a module, called once on each driver of the port, with a socket of its own. The kernel
 * brings all datagrams of one sender to one of them. Where it
 * ends before the port is closed, by what it throws or as it returns, that is told as a failure, and it is called again: soon, and
 * after growing pauses where that happens again and again. It gets the same socket with what has come meanwhile, or another one if it
 * has closed that. As the port is closed the socket receives no more: what has come is handed out, then iterations and consumptions end, and
 * reads reject with `ERR_HANDLE_CLOSED`; it sends until the function has ended. One that returns while a consumption goes on has not ended before that has.
 */
export type UdpMain<Argument = unknown> = (socket: UdpSocket, port: ServedPort<Argument>) => unknown

/** A connection of a port, or its socket. */
export type ServedStream = TcpStream | UnixStream | UdpSocket

/**
 * A port, as the function that serves its connections sees it: the same object for all connections of one driver.
 *
 * Belongs to the driver's thread.
 */
export class ServedPort<Argument = unknown, Where extends Address = SocketAddress> {
  static {
    showAs(ServedPort, ({ driver, address }) => `ServedPort(${driver}) ${formatAddress(address)}`)
  }

  /** The name of the driver that this is. */
  readonly driver: string
  /** What the driver listens on, with the port that the kernel chose if it had to. */
  readonly address: Where
  /** This driver's copy of the `argument` that {@link Runtime.listen} was given. */
  readonly argument: Argument
  /** Aborted when the port is closed, or the runtime stopped: connections have half of the deadline to come to an end. */
  readonly signal: AbortSignal

  /** @internal */
  constructor(
    parts: Pick<ServedPort<Argument, Where>, 'driver' | 'address' | 'argument' | 'signal'>,
  ) {
    this.driver = parts.driver
    this.address = parts.address
    this.argument = parts.argument
    this.signal = parts.signal
  }
}
