/**
 * What an executor counts, by index into the counters of its slot in the process directory.
 *
 * Written by the executor's thread alone, with plain stores; any thread may read them at any time, and sees values that
 * may be a moment old, each of them whole.
 */

/** Where the counters are. Once the executor has left it is a copy, hence read anew for each use. */
export interface Counters {
  readonly counters: Float64Array
}

/** A `counter` only grows; a `gauge` goes up and down. */
export type CounterKind = 'counter' | 'gauge'

/** A counter as others are told of it. */
export interface CounterPlace {
  /** As Prometheus has it: `percore_…`, with its unit, and `_total` if it only grows. */
  readonly name: string
  readonly kind: CounterKind
  readonly help: string
  /** Indexes whose sum it is. */
  readonly indexes: readonly number[]
  /** What to divide by for the unit of the name: nanoseconds are told as seconds. */
  readonly scale: number
}

// Line 0: written once per task, turn or reap.
export const COUNTER_TASKS = 0
export const COUNTER_FOLLOW_UPS = 1
export const COUNTER_TIMERS = 2
export const COUNTER_STALE = 3
// Line 1: one for each of up to three rings.
export const COUNTER_SUBMISSIONS = 8
export const COUNTER_COMPLETIONS = 11
// Line 2.
export const COUNTER_CONNECTIONS = 16
export const COUNTER_BYTES_RECEIVED = 17
export const COUNTER_BYTES_SENT = 18

const RINGS = [0, 1, 2]
const NS_PER_S = 1e9

/** The counter with this name. */
export function describeCounter(
  kind: CounterKind,
  name: string,
  help: string,
  ...indexes: readonly number[]
): CounterPlace {
  return { kind, name, help, indexes, scale: name.includes('_seconds') ? NS_PER_S : 1 }
}

/** Every counter of an executor but those of its queues, and those that the loop hook has in the control block. */
export const COUNTERS: readonly CounterPlace[] = [
  describeCounter('counter', 'percore_tasks_total', 'Tasks spawned.', COUNTER_TASKS),
  describeCounter('gauge', 'percore_timers', 'Timers that are armed.', COUNTER_TIMERS),
  describeCounter(
    'counter',
    'percore_ring_submissions_total',
    'Entries submitted to the rings, as of the last look at completions.',
    ...RINGS.map((ring) => COUNTER_SUBMISSIONS + ring),
  ),
  describeCounter(
    'counter',
    'percore_ring_completions_total',
    'Completions reaped from the rings.',
    ...RINGS.map((ring) => COUNTER_COMPLETIONS + ring),
  ),
  describeCounter(
    'counter',
    'percore_ring_stale_completions_total',
    'Completions that came for nobody any more.',
    COUNTER_STALE,
  ),
  describeCounter(
    'counter',
    'percore_connections_total',
    'Connections accepted, or made.',
    COUNTER_CONNECTIONS,
  ),
  describeCounter(
    'counter',
    'percore_received_bytes_total',
    'Bytes received from connections.',
    COUNTER_BYTES_RECEIVED,
  ),
  describeCounter(
    'counter',
    'percore_sent_bytes_total',
    'Bytes sent to connections.',
    COUNTER_BYTES_SENT,
  ),
]
