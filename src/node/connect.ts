import type { Listener } from './arguments.ts'
import { readArguments } from './arguments.ts'
import type { ConnectOptions } from './connect-options.ts'
import { Socket } from './socket.ts'
import type { SocketOptions } from './socket-options.ts'

/**
 * A socket that connects: `net.connect()`.
 *
 * @throws as {@link Socket.connect} does.
 */
export function connect(options: ConnectOptions & SocketOptions, listener?: Listener): Socket
export function connect(port: number | string, host?: string, listener?: Listener): Socket
export function connect(port: number | string, listener?: Listener): Socket
export function connect(path: string, listener?: Listener): Socket
export function connect(...args: unknown[]): Socket {
  const { options, listener } = readArguments(args)
  const socket = new Socket(options as SocketOptions)
  const { timeout } = options
  if (timeout) socket.setTimeout(timeout as number)
  return socket.connect(options as unknown as ConnectOptions, listener ?? undefined)
}

/** The same by the other name that `node:net` has for it, which options of `node:http` and `http2` are called. */
export const createConnection: typeof connect = connect
