/** What differs between the transports of ports: a further one is a further entry of each table here. */
import {
  type Address,
  type ListenOptions,
  type SocketAddress,
  TcpListener,
  type TcpListenerShare,
  type UnixAddress,
  type UnixEndpoint,
  UnixListener,
  type UnixListenerShare,
  type UnixListenOptions,
} from '../net/index.ts'

/** How clients reach a port. */
export type Transport = 'tcp' | 'unix'
/** Where a port listens, and how. */
export type PortListen = ListenOptions | UnixListenOptions
/** How other drivers get at its socket. */
export type PortShare = TcpListenerShare | UnixListenerShare
/** What accepts for it on a driver. */
export type PortListener = TcpListener | UnixListener

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
  bind(listen: Listen): Promise<PortListener>
  adopt(share: PortShare): PortListener
}

const TCP: Place<ListenOptions, SocketAddress> = {
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
  bind: (listen) => TcpListener.bind(listen),
  adopt: (share) => TcpListener.adopt(share as TcpListenerShare),
}

const UNIX: Place<UnixListenOptions, UnixAddress> = {
  locate: (listen) => listen,
  isSame: isSameName,
  mayClash: isSameName,
  sayAs: (_own, other) => other,
  name: nameSocket,
  nameOptions: nameSocket,
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
  unix: UNIX as Place<PortListen, Address>,
}

/** What is particular to a transport. */
export function placeOf(transport: Transport): Place<PortListen, Address> {
  return PLACES[transport]
}

/** `port 80`, `socket /run/service` */
export function namePort(address: Address): string {
  return placeOf(address.family === 'unix' ? 'unix' : 'tcp').name(address)
}
