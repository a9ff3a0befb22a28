export type { Lease } from '../memory/index.ts'
export type { SocketAddress } from './address.ts'
export type { ChunkConsumer, EndListener, LeaseConsumer } from './consumption.ts'
export type { DetachOptions, TcpStreamTicket } from './hand-over.ts'
export { type ListenOptions, TcpListener } from './tcp-listener.ts'
export {
  type ConnectOptions,
  type StreamConsumer,
  TcpStream,
} from './tcp-stream.ts'
