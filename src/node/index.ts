export { adoptServer } from './adopt-server.ts'
export type { Listener } from './arguments.ts'
export {
  connectTls,
  RedisConnector,
  type UndiciCallback,
  type UndiciConnectOptions,
  undiciConnect,
} from './clients.ts'
export { connect, createConnection } from './connect.ts'
export type { ConnectOptions } from './connect-options.ts'
export type { OnReadOptions } from './reading.ts'
export { type ConnectionListener, createServer, Server, type ServerOptions } from './server.ts'
export { Socket } from './socket.ts'
export type { AcceptedOptions, CountingServer, SocketOptions } from './socket-options.ts'
export type { Callback } from './writing.ts'
