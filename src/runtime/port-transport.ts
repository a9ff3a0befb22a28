/** What differs between the transports of ports: a further one is a further entry of each table here. */
import { unreachable } from '../base/index.ts'
import {
  type Address,
  assertSameListeners,
  assertSameUdpSockets,
  type ListenOptions,
  type SocketAddress,
  TcpListener,
  type TcpListenerShare,
  type UdpBindOptions,
  UdpSocket,
  type UnixAddress,
  type UnixEndpoint,
  UnixListener,
  type UnixListenerShare,
  type UnixListenOptions,
} from '../net/index.ts'
import type { ServedStream } from './served-port.ts'

/** How clients reach a port. */
export type Transport = 'tcp' | 'udp' | 'unix'
/** Where a port listens, and how. */
export type PortListen = ListenOptions | UdpBindOptions | UnixListenOptions
/** How other drivers get at its socket. */
export type PortShare = TcpListenerShare | UnixListenerShare
/** What a driver has of it: a source of what its function is called for. */
export interface PortListener extends AsyncIterable<ServedStream> {
  readonly address: Address
  close(): Promise<void>
  /** Lets others get at the same socket. */
  share(): PortShare
}

/** As a listener has it. */
const HOST_DEFAULT = 'localhost'

interface Place<Listen extends PortListen, Where extends Address> {
  /** The options by which others find it, once it is open there. */
  locate(listen: Listen, address: Where): Listen
  /** Whether both name one place, of which one is `address`, if it is open. */
  isSame(own: Listen, other: Listen, address: Where | null): boolean
  /** Whether both need the same place, by whatever address. */
  mayClash(own: Listen, other: Listen): boolean
  /** The second options, where they name the place of the first by other words, by those. */
  sayAs(own: Listen, other: Listen): Listen
  /** For people: `port 80`. */
  name(address: Where): string
  nameOptions(listen: Listen): string
  /** Whether its function is called for the socket itself, once, which is there until that has ended. */
  readonly servesSocket: boolean
  /** @throws {RuntimeError} `ERR_LISTENERS_DIFFER` */
  assertSame(first: Named<Listen>, other: Named<Listen>): void
  bind(listen: Listen): Promise<PortListener>
  adopt(share: PortShare): PortListener
}

/** Options, and whose they are: `driver 'a'`. */
interface Named<Listen> {
  readonly name: string
  readonly options: Listen
}

/** How a port of IP is found: by its number and the name or address of a host. */
const BY_NUMBER: Pick<
  Place<ListenOptions | UdpBindOptions, SocketAddress>,
  'locate' | 'isSame' | 'mayClash' | 'sayAs' | 'name' | 'nameOptions'
> = {
  locate: (listen, { port }) => ({ ...listen, port }),
  isSame: (own, other, address) => {
    if (own.port !== other.port || other.port === 0) return false
    const { host = HOST_DEFAULT } = other
    return host === (own.host ?? HOST_DEFAULT) || host === address?.host
  },
  mayClash: (own, other) => own.port !== 0 && own.port === other.port,
  sayAs: ({ host = HOST_DEFAULT }, other) => ({ ...other, host }),
  name: ({ port }) => `port ${port}`,
  nameOptions: ({ port }) => `port ${port}`,
}

const TCP = {
  ...BY_NUMBER,
  servesSocket: false,
  assertSame: assertSameListeners,
  bind: (listen: ListenOptions) => TcpListener.bind(listen),
  adopt: (share: PortShare) => TcpListener.adopt(share as TcpListenerShare),
}

const UDP = {
  ...BY_NUMBER,
  servesSocket: true,
  assertSame: assertSameUdpSockets,
  bind: async (listen: UdpBindOptions) => new UdpDoor(await UdpSocket.bind(listen)),
  adopt: (): never => unreachable('every driver has a UDP socket of its own'),
}

const UNIX: Place<UnixListenOptions, UnixAddress> = {
  locate: (listen) => listen,
  isSame: isSameName,
  mayClash: isSameName,
  sayAs: (_own, other) => other,
  name: nameSocket,
  nameOptions: nameSocket,
  servesSocket: false,
  assertSame: assertSameListeners,
  bind: (listen) => UnixListener.bind(listen),
  adopt: (share) => UnixListener.adopt(share as UnixListenerShare),
}

function isSameName(own: UnixEndpoint, other: UnixEndpoint): boolean {
  return nameSocket(own) === nameSocket(other)
}

function nameSocket({ path, abstractName }: UnixEndpoint): string {
  return `socket ${path ?? `@${abstractName}`}`
}

const PLACES: Readonly<Record<Transport, Place<PortListen, Address>>> = {
  tcp: TCP as Place<PortListen, Address>,
  udp: UDP as Place<PortListen, Address>,
  unix: UNIX as Place<PortListen, Address>,
}

/** What is particular to a transport. */
export function placeOf(transport: Transport): Place<PortListen, Address> {
  return PLACES[transport]
}

/** Ends what its function has not come to the end of: the peer of a TCP connection does not take what has come for the whole. */
export function breakOff(stream: ServedStream): Promise<void> {
  return stream instanceof UdpSocket ? stream.close() : stream.abort()
}

/** Another UDP socket of a port that is open, for a driver whose own is gone. */
export function reopenSocket(listen: PortListen, address: Address): Promise<UdpSocket> {
  const { host, port } = address as SocketAddress
  return UdpSocket.bind({ ...(listen as UdpBindOptions), host, port })
}

/** A UDP socket that is handed out once; then it is closed by who has it. */
class UdpDoor implements PortListener {
  readonly address: SocketAddress
  readonly #socket: UdpSocket
  #isHandedOut = false

  constructor(socket: UdpSocket) {
    this.#socket = socket
    this.address = socket.localAddress
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<UdpSocket> {
    this.#isHandedOut = true
    yield this.#socket
  }

  close(): Promise<void> {
    return this.#isHandedOut ? Promise.resolve() : this.#socket.close()
  }

  share(): never {
    unreachable('a UDP socket of several drivers is several sockets')
  }
}

/** `port 80`, `socket /run/service` */
export function namePort(address: Address): string {
  return placeOf(address.family === 'unix' ? 'unix' : 'tcp').name(address)
}
