import {
  isBytes,
  optionNames,
  RuntimeError,
  validateInteger,
  validateOptions,
  wrongBytes,
  wrongType,
} from '../base/index.ts'
import { Lease, leaseHeap } from '../memory/index.ts'
import { executor } from './current.ts'

/** A buffer on its way from one thread of the process to another: plain data, to be posted. It is whoever's adopts it first. */
export interface BufferTicket {
  readonly kind: 'Buffer'
  /** Stands for the memory, once: no other ticket of the process has the same. -1 where the bytes themselves are here. */
  readonly name: number
  readonly lengthBytes: number
  /** The bytes themselves, where they lay in no memory that another thread can be shown; else null. */
  readonly bytes: Uint8Array | null
}

const NAMES = optionNames<BufferTicket>({ kind: true, name: true, lengthBytes: true, bytes: true })
const NO_NAME = -1

/**
 * Gives a lease to another thread of the process, which sees the same memory, without a copy: posts nothing, but returns a ticket,
 * plain data, of which {@link adoptBuffer} makes a lease there. Here the lease is released; its bytes must not be changed any more.
 *
 * The memory goes on to count to this executor's limits, until the other thread has released it, its thread has ended, or
 * {@link discardBuffer} takes the ticket back. If this thread ends before, the ticket is spent, but whoever has adopted it keeps the
 * memory. What lies in no I/O memory (see {@link TcpStream.readLease}), or was itself adopted, is copied with the ticket. O(1).
 *
 * @throws {RuntimeError} `ERR_BUFFER_RELEASED`; `ERR_STILL_HELD` while an operation or a slice uses it; `ERR_EXECUTOR_CLOSED`.
 * @throws {TypeError} for what is no lease.
 *
 * @example Have another thread look at what was received
 * ```ts run
 * import { adoptBuffer, allocateBuffer, detachBuffer } from 'percore'
 *
 * const lease = allocateBuffer(4096)
 * lease.bytes.fill(7)
 * const posted = structuredClone(detachBuffer(lease)) // as worker.postMessage() does
 *
 * // On the other thread:
 * using adopted = adoptBuffer(posted)
 * console.log(adopted.bytes.length, adopted.bytes[0]) // 4096 7
 * ```
 */
export function detachBuffer(lease: Lease): BufferTicket {
  const action = 'detach a buffer'
  if (!(lease instanceof Lease)) throw wrongType(action, 'lease', 'a Lease', lease)
  const current = executor()
  current.assertOpen(action)
  const { lengthBytes } = lease
  const name = current.loans.offer(lease)
  if (name !== null) return { kind: 'Buffer', name, lengthBytes, bytes: null }
  // Not by slice(): a Buffer's is no copy, and a clone of it has all that lies in the same ArrayBuffer.
  const bytes = new Uint8Array(lease.bytes)
  lease.release()
  return { kind: 'Buffer', name: NO_NAME, lengthBytes, bytes }
}

/**
 * Takes over a buffer that another thread of the process has given away: see {@link detachBuffer}. The lease is this thread's to
 * release, which gives the memory back to where it came from; views of it show nothing from then on. Operations of this thread copy it.
 * A ticket that has the bytes themselves is a copy like any other: nothing is given back, and nobody knows how often it was adopted.
 *
 * @throws {RuntimeError} `ERR_TICKET_SPENT` unless the ticket is good, which it is once: it was adopted or discarded, the thread that
 * made it has ended, or it is of another process. `ERR_EXECUTOR_CLOSED`.
 * @throws {TypeError | RangeError} for what is no ticket.
 */
export function adoptBuffer(ticket: BufferTicket): Lease {
  const action = 'adopt a buffer'
  validateTicket(action, ticket)
  const current = executor()
  current.assertOpen(action)
  if (ticket.bytes !== null) return leaseHeap(ticket.bytes)
  const lease = current.loans.borrow(ticket.name)
  if (lease !== null) return lease
  throw new RuntimeError(
    'ERR_TICKET_SPENT',
    `Cannot ${action} as its ticket must be good: it was adopted or discarded, or the thread that made it has ended`,
  )
}

/**
 * Gives the memory of a ticket back that nobody is to adopt any more, on any thread; false if it was adopted, or is back already.
 *
 * @throws {TypeError | RangeError} for what is no ticket.
 * @throws {RuntimeError} `ERR_EXECUTOR_CLOSED`
 */
export function discardBuffer(ticket: BufferTicket): boolean {
  const action = 'discard a buffer'
  validateTicket(action, ticket)
  const current = executor()
  current.assertOpen(action)
  return ticket.bytes === null && current.loans.drop(ticket.name)
}

/** @throws {TypeError | RangeError} */
function validateTicket(action: string, ticket: unknown): asserts ticket is BufferTicket {
  validateOptions(action, ticket, NAMES, 'ticket')
  const { kind, name, bytes } = ticket as Partial<BufferTicket>
  if (kind !== 'Buffer') throw wrongType(action, 'ticket.kind', "'Buffer'", kind)
  validateInteger(action, 'ticket.name', name, { min: NO_NAME, max: Number.MAX_SAFE_INTEGER })
  if (bytes !== null && !isBytes(bytes)) throw wrongBytes(action, 'ticket.bytes', bytes)
}
