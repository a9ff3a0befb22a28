import {
  isBytes,
  type OptionNames,
  optionNames,
  validateBoolean,
  validateInteger,
  validateOptions,
  wrongBytes,
  wrongType,
} from '../../base/index.ts'
import type { WaitOptions } from '../../executor/index.ts'
import type { Address, SocketAddress, UnixAddress } from './address.ts'

/** How a connection is given to another thread. */
export interface DetachOptions extends WaitOptions {
  /**
   * Whether the connection waits for its taker though this thread has ended; false, as it is if not given, closes it
   * then. Nobody but who has the ticket can close it otherwise, before the process ends.
   */
  readonly outlivesThread?: boolean
  /**
   * After how many milliseconds the connection is closed if nobody has adopted it; it waits for as long as this thread runs if not
   * given. The limit is this thread's to keep: it ends with it, and keeps no program alive. Where another thread adopts the connection a timer stays
   * here until then, which finds nothing to close.
   */
  readonly adoptWithinMs?: number
}

/**
 * A stream on its way from one thread of the process to another: plain data, to be posted. It is whoever's adopts it
 * first.
 */
interface Ticket<Kind extends string, Where extends Address> {
  readonly kind: Kind
  /** Stands for the descriptor, once: no other ticket of the process has the same. */
  readonly name: number
  /** What had come, and nobody had read. */
  readonly received: Uint8Array
  /** Whether the peer had ended its side, after that. */
  readonly hasEnded: boolean
  /** The negative number of the error that reading ends with after that, else 0. */
  readonly readErrno: number
  /** Whether this side had told the peer that no more is coming. */
  readonly isShutDown: boolean
  /** The negative number of the error that writing had failed with, else 0. */
  readonly writeErrno: number
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly localAddress: Where
  readonly remoteAddress: Where | null
}

/** A TCP connection on its way from one thread of the process to another: see {@link TcpStream.detach}. */
export interface TcpStreamTicket extends Ticket<'TcpStream', SocketAddress> {}

/** A Unix stream on its way from one thread of the process to another: see {@link UnixStream.detach}. */
export interface UnixStreamTicket extends Ticket<'UnixStream', UnixAddress> {}

/** A stream of either kind on its way. */
export type StreamTicket = TcpStreamTicket | UnixStreamTicket

/** The names of {@link DetachOptions}. */
export const DETACH_NAMES: OptionNames = optionNames<DetachOptions>({
  outlivesThread: true,
  adoptWithinMs: true,
  signal: true,
  timeoutMs: true,
})

const TICKET_NAMES = optionNames<StreamTicket>({
  kind: true,
  name: true,
  received: true,
  hasEnded: true,
  readErrno: true,
  isShutDown: true,
  writeErrno: true,
  bytesRead: true,
  bytesWritten: true,
  localAddress: true,
  remoteAddress: true,
})

/** @throws {TypeError | RangeError} */
export function validateTicket(
  action: string,
  ticket: unknown,
  expected: StreamTicket['kind'],
): asserts ticket is StreamTicket {
  validateOptions(action, ticket, TICKET_NAMES, 'ticket')
  const { kind, name, received, remoteAddress } = ticket as Partial<StreamTicket>
  if (kind !== expected) throw wrongType(action, 'ticket.kind', `'${expected}'`, kind)
  validateInteger(action, 'ticket.name', name, { min: 0, max: Number.MAX_SAFE_INTEGER })
  if (!isBytes(received)) throw wrongBytes(action, 'ticket.received', received)
  for (const flag of ['hasEnded', 'isShutDown'] as const) {
    validateBoolean(action, `ticket.${flag}`, (ticket as StreamTicket)[flag])
  }
  for (const errno of ['readErrno', 'writeErrno'] as const) {
    const value = (ticket as StreamTicket)[errno]
    validateInteger(action, `ticket.${errno}`, value, { min: -4095, max: 0 })
  }
  for (const count of ['bytesRead', 'bytesWritten'] as const) {
    const bounds = { min: 0, max: Number.MAX_SAFE_INTEGER }
    validateInteger(action, `ticket.${count}`, (ticket as StreamTicket)[count], bounds)
  }
  if (typeof remoteAddress !== 'object') {
    throw wrongType(action, 'ticket.remoteAddress', 'an address or null', remoteAddress)
  }
}
