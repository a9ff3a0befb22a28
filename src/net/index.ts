export type { SocketAddress } from './address.ts'
export type { StreamConsumer } from './consumption.ts'
export { type ListenOptions, TcpListener } from './tcp-listener.ts'
export { type ConnectOptions, type ReadOptions, TcpStream } from './tcp-stream.ts'
