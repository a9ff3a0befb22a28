/**
 * The control block: what the loop hook and the executor tell each other between rounds.
 *
 * In shared memory, since a watchdog on another thread reads it too.
 */

// ABI: word indexes, shared with native/loop.c. Written by TypeScript unless said otherwise.
/** How many task queues have something to settle. */
export const WORD_RUNNABLE = 0
/** How many timers and listeners keep the program alive; operations do unless they are in the background. */
export const WORD_LIVE_TIMERS = 1
/** 1 while a poll of the host loop's descriptor is in the main ring. */
export const WORD_ARMED = 2
/** 1 while the host loop has something to do. Written by both; the hook clears it as it leaves. */
export const WORD_HOST_READY = 3
/** 1 while the thread is parked. Written by the hook. */
export const WORD_SLEEPING = 4
/** 1 while the hook keeps the host loop alive. Written by the hook. */
export const WORD_REFERENCED = 5
/** The error number of an io_uring_enter that failed for good. Written by the hook. */
export const WORD_ENTER_ERROR = 6
/** Odd while a turn runs, so that a watchdog sees whether it ends. Written by the hook. */
export const WORD_TURN_SEQUENCE = 7
/**
 * Completions reaped that were not their operation's last: one word for each of up to three rings.
 *
 * With it the hook counts operations in flight from the queues' own heads and tails, which spares
 * every submission and completion a counter.
 */
export const WORD_MORE = 8
/** Operations in flight that do not keep the program alive: one word for each ring. */
export const WORD_BACKGROUND = 11
/** Number of the task queue whose turn runs, or -1. Only while stalls are watched for. */
export const WORD_QUEUE = 14
/** Sequence of the last stall that was reported, by this thread or by its watchdog. */
export const WORD_STALL_REPORTED = 15
/**
 * Closes in flight: one word for each ring. At the end of a ring they are awaited rather than cancelled,
 * which would leave their descriptors open.
 */
export const WORD_CLOSING = 34
/** Set by a turn to have the hook leave to the host loop: {@link LEAVE_ALONE}, {@link LEAVE_CONTESTED}. */
export const WORD_LEAVE = 37
/** 1 while a watchdog is connected to this process's inspector. Written by the watchdog. */
export const WORD_STALL_CAPTURING = 63

// ABI: indexes of the same block seen as doubles.
/** When the current turn began. Written by the hook. */
export const DOUBLE_NOW_NS = 8
/** When the last turn ended, its microtasks included. Written by the hook. */
export const DOUBLE_TURN_END_NS = 9
/** When the executor wants to be called at the latest; Infinity for never. */
export const DOUBLE_DEADLINE_NS = 10
/** How long to spin before parking. */
export const DOUBLE_SPIN_NS = 11
/** Time spent parked, spinning; calls of io_uring_enter, turns, parks. Written by the hook. */
export const DOUBLE_PARKED_NS = 12
export const DOUBLE_SPUN_NS = 13
export const DOUBLE_ENTERS = 14
export const DOUBLE_TURNS = 15
export const DOUBLE_PARKS = 16
/** Time from leaving the hook to entering it again, while task queues were waiting, and while none was. */
export const DOUBLE_HOST_CONTESTED_NS = 19
export const DOUBLE_HOST_ALONE_NS = 20
/** How often the hook was left. Written by the hook, as the two above. */
export const DOUBLE_HOST_VISITS = 21

// ABI: values of WORD_LEAVE.
/** Nobody but the host loop is runnable. */
export const LEAVE_ALONE = 1
/** Task queues are runnable as well: the host loop pays for its time. */
export const LEAVE_CONTESTED = 2

// ABI: bits of the upper half of `user_data`, shared with native/quiesce.c.
/** Results that are no errors are descriptors, which the loop closes where nobody has reaped them. */
export const NAME_DESCRIPTOR = 4
/** The entry closes a descriptor, which the loop does where it was not submitted. */
export const NAME_CLOSE = 8

const CONTROL_BYTES = 256

/** The control block of one executor. */
export interface LoopControl {
  readonly words: Int32Array
  readonly doubles: Float64Array
}

export function createLoopControl(): LoopControl {
  const memory = new SharedArrayBuffer(CONTROL_BYTES)
  const control = { words: new Int32Array(memory), doubles: new Float64Array(memory) }
  control.doubles[DOUBLE_DEADLINE_NS] = Number.POSITIVE_INFINITY
  return control
}
