export type { Lease } from '../memory/index.ts'
export type { SocketAddress } from './address.ts'
export type { ChunkConsumer, EndListener, LeaseConsumer } from './consumption.ts'
export { assertSameListeners, type ListenOptions, type NamedListenOptions } from './listen.ts'
export type { TcpListenerShare } from './share-listener.ts'
export type { DetachOptions, TcpStreamTicket } from './stream-ticket.ts'
export { TcpListener } from './tcp-listener.ts'
export {
  type ConnectOptions,
  type StreamConsumer,
  TcpStream,
} from './tcp-stream.ts'
