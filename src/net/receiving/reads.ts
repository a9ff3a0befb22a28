import { KernelError, RuntimeError } from '../../base/index.ts'
import type { CancellationBinding } from '../../executor/index.ts'
import { EAGAIN, ECANCELED, EINTR } from '../../kernel/index.ts'
import type { Lease } from '../../memory/index.ts'
import type { Inbox } from '../memory/inbox.ts'

/** What a reader wants. */
export const NOTHING = 0
/** A chunk that is its own for good; */
export const READ_CHUNK = 1
/** the same as a step of an iteration; */
export const READ_STEP = 2
/** a lease on a chunk; */
export const READ_LEASE = 3
/** the same as a step of an iteration, which is told of it; */
export const READ_LEASE_STEP = 4
/** bytes in memory of its own; */
export const READ_INTO = 5
/** every chunk, or a lease on each, one after another. */
export const CONSUME = 6
export const CONSUME_LEASES = 7

/** Told of the lease that a step of an iteration gives, which ends with the next one. */
export interface LeaseKeeper {
  keep(lease: Lease): void
}

/** Where the answer to a reader goes but to its promise. */
export type ReadTarget = Uint8Array | LeaseKeeper | null

/** What a receiving side has not given to readers yet. */
export interface ReceivedRest {
  readonly bytes: Uint8Array
  /** Whether the end of the stream has come behind that; */
  readonly hasEnded: boolean
  /** or an error, as a negative number; else 0. */
  readonly errno: number
}

/** What few readers need. */
export interface ReaderExtra {
  binding: CancellationBinding | null
  readonly target: ReadTarget
  /** Whether it ends with a reason: a cancellation, or the failure of a consumer. */
  isCancelled: boolean
  cancelReason: unknown
}

/** @throws {RuntimeError} `ERR_BUFFER_RELEASED`, and takes nothing. */
export function takeFrom(inbox: Inbox, want: number, target: ReadTarget): unknown {
  if (want === READ_CHUNK) return inbox.take()
  if (want === READ_STEP) return { value: inbox.take(), done: false }
  if (want === READ_LEASE) return inbox.takeLease()
  if (want === READ_INTO) {
    const into = target as Uint8Array
    // It was not empty when the read began: its memory was transferred, or made smaller.
    if (into.length === 0) throw targetGone()
    return inbox.copyInto(into)
  }
  const lease = inbox.takeLease()
  ;(target as LeaseKeeper).keep(lease)
  return { value: lease, done: false }
}

/** What a reader gets at the end of the stream. */
export function answerAtEnd(want: number): unknown {
  if (want === READ_INTO) return 0
  return want === READ_STEP || want === READ_LEASE_STEP ? { value: undefined, done: true } : null
}

/** Takes out all that waits, in memory of its own, and no more of that than it needs: it is about to be cloned. */
export function takeAll(inbox: Inbox | null): Uint8Array<ArrayBuffer> {
  const chunks: Uint8Array[] = []
  while (inbox?.isEmpty === false) chunks.push(inbox.take())
  const whole = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0))
  let position = 0
  for (const chunk of chunks) {
    whole.set(chunk, position)
    position += chunk.length
  }
  return whole
}

export function restOf(
  bytes: Uint8Array<ArrayBuffer>,
  hasEnded: boolean,
  failure: Error | null,
): ReceivedRest {
  return { bytes, hasEnded, errno: failure instanceof KernelError ? failure.errno : 0 }
}

export function detached(action: string): RuntimeError {
  return new RuntimeError(
    'ERR_HANDLE_CLOSED',
    `Cannot ${action} as the stream must stay here: it was detached`,
  )
}

/** Why there is no reader more: the stream is leaving, or has one. */
export function takenError(action: string, isLeaving: boolean): RuntimeError {
  return isLeaving ? detached(action) : alreadyRead(action)
}

/** Whether a receive that has ended so may begin again. */
export function isHarmless(result: number, wasStopping: boolean): boolean {
  return result === -EAGAIN || result === -EINTR || (result === -ECANCELED && wasStopping)
}

function alreadyRead(action: string): RuntimeError {
  return new RuntimeError(
    'ERR_STILL_HELD',
    `Cannot ${action} as a stream must have one reader at a time: it has one`,
  )
}

function targetGone(): RuntimeError {
  return new RuntimeError(
    'ERR_BUFFER_RELEASED',
    'Cannot read as target must keep its memory until then: it has 0 bytes now',
  )
}
