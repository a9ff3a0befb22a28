import type { BlockList, Server } from 'node:net'
import type { OnReadOptions } from './reading.ts'

/** What a socket may be told as it is made; more is ignored, as `node:http` hands on all of its own options. */
export interface SocketOptions {
  /** Whether it stays writable after the peer's end; false if not given. */
  readonly allowHalfOpen?: boolean | undefined
  /** Aborting it destroys the socket. */
  readonly signal?: AbortSignal | undefined
  readonly onread?: OnReadOptions | undefined
  readonly noDelay?: boolean | undefined
  readonly keepAlive?: boolean | undefined
  readonly keepAliveInitialDelay?: number | undefined
  /** How many bytes Node holds before it stops reading, or asks writers to wait; Node's default if not given. */
  readonly highWaterMark?: number | undefined
  /** Addresses that it is not to connect to: `ERR_IP_BLOCKED`. */
  readonly blockList?: BlockList | undefined
}

/** How a connection that was accepted becomes a socket. */
export interface AcceptedOptions extends SocketOptions {
  /** Whether nothing is read until somebody asks; false if not given. */
  readonly pauseOnCreate?: boolean
  /** Whose connections it counts among. */
  readonly server?: CountingServer
}

/** A server that waits for its connections, as those of `node:net` do. */
export interface CountingServer extends Server {
  _connections: number
  _emitCloseIfDrained(): void
}
