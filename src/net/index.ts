export type { Lease } from '../memory/index.ts'
export type { SocketAddress } from './address.ts'
export type { ChunkConsumer } from './consumption.ts'
export { type ListenOptions, TcpListener } from './tcp-listener.ts'
export {
  type ConnectOptions,
  type ReadOptions,
  type StreamConsumer,
  TcpStream,
} from './tcp-stream.ts'
