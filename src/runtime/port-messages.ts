/** What a runtime and its drivers tell each other about ports: plain data, a part of what a pool and its shards do. */
import type { ErrorRecord } from '../base/index.ts'
import type { Address } from '../net/index.ts'
import type { PortListen, PortShare, Transport } from './port-transport.ts'

/** A port that a driver is to serve. */
export interface PortProgram {
  /** The URL of the module with the function that serves a connection. */
  readonly module: string
  /** The name of that export. */
  readonly name: string
  readonly argument: unknown
  /** How to listen. */
  readonly transport: Transport
  readonly listen: PortListen
  /** The socket to accept from, where another driver has opened it; null to open one. */
  readonly share: PortShare | null
  /** Whether others are to get at this driver's socket. */
  readonly isShared: boolean
  /** Whether failures that a peer causes by going away are to be told as well. */
  readonly tellsPeerErrors: boolean
}

/** A port that is open on a driver. */
export interface OpenedPort {
  readonly address: Address
  /** How others get at the socket, if that is shared. */
  readonly share: PortShare | null
}

/** To a driver; `port` is a number that its runtime gives whenever it has it open one. */
export type ToPort =
  /** Load the function and listen, but accept nothing yet. */
  | { readonly kind: 'openPort'; readonly port: number; readonly program: PortProgram }
  /** All have it open: accept. */
  | { readonly kind: 'servePort'; readonly port: number }
  /** Stop listening; connections that have not ended after that time are ended. */
  | { readonly kind: 'closePort'; readonly port: number; readonly cutAfterMs: number }
  /** What was told of connections that failed has been taken: more may come. */
  | { readonly kind: 'failuresTaken'; readonly port: number }

/** From a driver. */
export type FromPort =
  | { readonly kind: 'portOpened'; readonly port: number; readonly opened: OpenedPort }
  | { readonly kind: 'portRefused'; readonly port: number; readonly error: ErrorRecord }
  /** It has no socket of it any more; connections may go on. */
  | { readonly kind: 'portShut'; readonly port: number }
  /** Neither the socket nor a connection of it is left. */
  | { readonly kind: 'portClosed'; readonly port: number }
  /** The function has thrown for some connections: what it threw for the first ones, and for how many more. */
  | {
      readonly kind: 'connectionsFailed'
      readonly port: number
      readonly errors: readonly ErrorRecord[]
      readonly skippedCount: number
    }
