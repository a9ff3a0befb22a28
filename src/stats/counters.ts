/**
 * What an executor counts, by index into the counters of its slot in the process directory.
 *
 * Written by the executor's thread alone, with plain stores; any thread may read them at any time, and sees values that
 * may be a moment old, each of them whole. Whoever changes an index, or adds one, raises `DIRECTORY_VERSION`.
 */

/** Where the counters are. Once the executor has left it is a copy, hence read anew for each use. */
export interface Counters {
  readonly counters: Float64Array
}

/** A `counter` only grows; a `gauge` goes up and down. */
export type CounterKind = 'counter' | 'gauge'

/** What a value is measured in; null is a number of things. */
export type CounterUnit = 'seconds' | 'bytes' | null

/** How a value is told to others. */
export interface CounterText {
  /** As Prometheus has it: `percore_…`, with its unit, and `_total` if it only grows. */
  readonly name: string
  readonly kind: CounterKind
  readonly unit: CounterUnit
  readonly help: string
}

/** A counter as others are told of it. */
export interface CounterPlace extends CounterText {
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
export const COUNTER_TIMERS_EXPIRED = 4
export const COUNTER_FOREIGN = 5
// Line 1: one for each of up to three rings.
export const COUNTER_SUBMISSIONS = 8
export const COUNTER_COMPLETIONS = 11
// Line 2: sockets.
export const COUNTER_CONNECTIONS = 16
export const COUNTER_BYTES_RECEIVED = 17
export const COUNTER_BYTES_SENT = 18
export const COUNTER_ACCEPTS = 19
export const COUNTER_SOCKETS = 20
// Line 3: I/O memory.
export const COUNTER_MEMORY_USED = 24
export const COUNTER_LEASES = 25
export const COUNTER_MEMORY_SIZE = 26
export const COUNTER_MEMORY_LIMIT = 27
export const COUNTER_MEMORY_REGISTERED = 28
// Line 4: files.
export const COUNTER_FILE_OPERATIONS = 32
export const COUNTER_BYTES_READ = 33
export const COUNTER_BYTES_WRITTEN = 34
export const COUNTER_POLLED = 35
export const COUNTER_HELD = 36
export const COUNTER_HELD_NS = 37
export const COUNTER_LIMITED = 38
// Line 5: shared channels.
export const COUNTER_SENT = 40
export const COUNTER_RECEIVED = 41
export const COUNTER_CHANNEL_WAITS = 42
export const COUNTER_WAKES = 43
// Line 6: pauses of the garbage collector, where they are measured.
export const COUNTER_GC_PAUSES = 48
export const COUNTER_GC_PAUSE_NS = 49
export const COUNTER_GC_PAUSE_NS_MAX = 50
// The same line: operations of each ring between submission and completion; and how many are the loop's own.
export const COUNTER_IN_FLIGHT = 52
export const COUNTER_OWN_POLLS = 55

const RINGS = [0, 1, 2]
const NS_PER_S = 1e9

/** How a value with this name is told: its unit is in the name. */
export function describeText(kind: CounterKind, name: string, help: string): CounterText {
  const unit = /_(seconds|bytes)(?:_|$)/.exec(name)?.[1] ?? null
  return { kind, name, unit: unit as CounterUnit, help }
}

/** The counter with this name. */
export function describeCounter(
  kind: CounterKind,
  name: string,
  help: string,
  ...indexes: readonly number[]
): CounterPlace {
  const text = describeText(kind, name, help)
  return { ...text, indexes, scale: text.unit === 'seconds' ? NS_PER_S : 1 }
}

/** The value of a counter, in its unit. */
export function readCounter(values: Float64Array, { indexes, scale }: CounterPlace): number {
  return indexes.reduce((sum, index) => sum + values[index]!, 0) / scale
}

/** Every counter of an executor but those of its queues, and those that the loop hook has in the control block. */
export const COUNTERS: readonly CounterPlace[] = [
  describeCounter('counter', 'percore_tasks_total', 'Tasks spawned.', COUNTER_TASKS),
  describeCounter('gauge', 'percore_timers', 'Timers that are armed.', COUNTER_TIMERS),
  describeCounter(
    'counter',
    'percore_timers_expired_total',
    'Timers whose time has come.',
    COUNTER_TIMERS_EXPIRED,
  ),
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
    'percore_ring_foreign_completions_total',
    'Completions that other threads have posted, to wake this one.',
    COUNTER_FOREIGN,
  ),
  describeCounter(
    'counter',
    'percore_ring_stale_completions_total',
    'Completions that came for nobody any more.',
    COUNTER_STALE,
  ),
  describeCounter(
    'gauge',
    'percore_sockets',
    'Connections that are open, or being made.',
    COUNTER_SOCKETS,
  ),
  describeCounter(
    'counter',
    'percore_connections_total',
    'Connections accepted, or made.',
    COUNTER_CONNECTIONS,
  ),
  describeCounter('counter', 'percore_accepts_total', 'Connections accepted.', COUNTER_ACCEPTS),
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
  describeCounter(
    'counter',
    'percore_file_operations_total',
    'Operations on files and their names that were begun.',
    COUNTER_FILE_OPERATIONS,
  ),
  describeCounter(
    'counter',
    'percore_file_polled_requests_total',
    'Reads and writes that a device was polled for, rather than told of by an interrupt.',
    COUNTER_POLLED,
  ),
  describeCounter(
    'counter',
    'percore_file_read_bytes_total',
    'Bytes read from files.',
    COUNTER_BYTES_READ,
  ),
  describeCounter(
    'counter',
    'percore_file_written_bytes_total',
    'Bytes written to files.',
    COUNTER_BYTES_WRITTEN,
  ),
  describeCounter(
    'gauge',
    'percore_file_held_requests',
    'Reads and writes of files that are held back, for their devices or by limits of their queues.',
    COUNTER_HELD,
  ),
  describeCounter(
    'counter',
    'percore_file_held_seconds_total',
    'How long reads and writes of files were held back, all together, as far as they have gone on.',
    COUNTER_HELD_NS,
  ),
  describeCounter(
    'counter',
    'percore_file_limited_total',
    'How often limits of a task queue have held back whatever was next in it.',
    COUNTER_LIMITED,
  ),
  describeCounter(
    'gauge',
    'percore_io_memory_used_bytes',
    'I/O memory in use, rounded up to blocks, the reserve included.',
    COUNTER_MEMORY_USED,
  ),
  describeCounter(
    'gauge',
    'percore_io_memory_leases',
    'Pieces of I/O memory that are lent, or with the kernel.',
    COUNTER_LEASES,
  ),
  describeCounter(
    'gauge',
    'percore_io_memory_size_bytes',
    'I/O memory that there is, without the reserve.',
    COUNTER_MEMORY_SIZE,
  ),
  describeCounter(
    'gauge',
    'percore_io_memory_limit_bytes',
    'What I/O memory may grow to.',
    COUNTER_MEMORY_LIMIT,
  ),
  describeCounter(
    'gauge',
    'percore_io_memory_registered_bytes',
    'I/O memory that the rings have registered.',
    COUNTER_MEMORY_REGISTERED,
  ),
  describeCounter(
    'counter',
    'percore_channel_sent_total',
    'Values sent through shared channels.',
    COUNTER_SENT,
  ),
  describeCounter(
    'counter',
    'percore_channel_received_total',
    'Values received through shared channels.',
    COUNTER_RECEIVED,
  ),
  describeCounter(
    'counter',
    'percore_channel_waits_total',
    'How often a task waited for another thread, for a value or for room.',
    COUNTER_CHANNEL_WAITS,
  ),
  describeCounter(
    'counter',
    'percore_wakes_total',
    'How often the executor woke the thread of another one.',
    COUNTER_WAKES,
  ),
  describeCounter(
    'counter',
    'percore_gc_pauses_total',
    'Pauses of the garbage collector; 0 unless they are measured.',
    COUNTER_GC_PAUSES,
  ),
  describeCounter(
    'counter',
    'percore_gc_pause_seconds_total',
    'Time that the garbage collector stopped the thread for.',
    COUNTER_GC_PAUSE_NS,
  ),
  describeCounter(
    'gauge',
    'percore_gc_longest_pause_seconds',
    'The longest pause of the garbage collector.',
    COUNTER_GC_PAUSE_NS_MAX,
  ),
]
