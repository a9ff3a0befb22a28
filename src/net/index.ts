export { type DescriptorKind, OwnedDescriptor } from '../executor/index.ts'
export type { Lease } from '../memory/index.ts'
export { type Datagram, DatagramLease, type DatagramOrigin } from './datagrams/datagram.ts'
export type {
  DatagramBorrower,
  DatagramConsumer,
  DatagramTaker,
} from './datagrams/datagram-consumption.ts'
export { DatagramSocket } from './datagrams/datagram-socket.ts'
export type { GroupMembership } from './datagrams/multicast.ts'
export { assertSameUdpSockets, type NamedUdpOptions } from './datagrams/same-udp.ts'
export type { UdpBindOptions, UdpConnectOptions, UdpOptions } from './datagrams/udp-options.ts'
export { type UdpDestination, type UdpSendOptions, UdpSocket } from './datagrams/udp-socket.ts'
export {
  type UnixDatagramBindOptions,
  type UnixDatagramConnectOptions,
  type UnixDatagramOptions,
  type UnixDatagramSendOptions,
  UnixDatagramSocket,
} from './datagrams/unix-datagram-socket.ts'
export {
  type ServeOptions,
  type ServerStopOptions,
  type ServeStream,
  StreamServer,
  serve,
} from './listeners/server.ts'
export { StreamListener } from './listeners/stream-listener.ts'
export { TcpListener } from './listeners/tcp-listener.ts'
export { UnixListener } from './listeners/unix-listener.ts'
export type { ChunkConsumer, EndListener, LeaseConsumer } from './receiving/consumption.ts'
export type { StreamTimeouts } from './sockets/stream-watch.ts'
export { type StreamConsumer, StreamSocket } from './streams/stream-socket.ts'
export { type ConnectOptions, TcpStream } from './streams/tcp-stream.ts'
export { type PeerCredentials, type UnixConnectOptions, UnixStream } from './streams/unix-stream.ts'
export {
  type Address,
  formatAddress,
  type SocketAddress,
  type UnixAddress,
} from './values/address.ts'
export {
  assertSameListeners,
  type ListenOptions,
  type NamedListenOptions,
} from './values/listen.ts'
export {
  type DescriptorHolder,
  type ReceiveDescriptorsOptions,
  ReceivedMessage,
} from './values/received-message.ts'
export type { SocketFile, TcpListenerShare, UnixListenerShare } from './values/share-listener.ts'
export type { DetachOptions, TcpStreamTicket, UnixStreamTicket } from './values/stream-ticket.ts'
export type { UnixEndpoint } from './values/unix-endpoint.ts'
export type { UnixListenOptions } from './values/unix-listen.ts'
