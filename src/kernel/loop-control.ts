/**
 * The control block: what the loop hook and the executor tell each other between rounds, and what other
 * threads tell the two of them.
 *
 * In the executor's slot of the process directory (directory.ts). A line of 64 bytes is written by one side: what another thread writes, or reads while it
 * spins, has a line of its own, so that the executor's thread is not slowed down by it.
 */
import { assert } from '../base/index.ts'

/** How many rings a thread may have, one for each role; some fields are the first of one per ring. */
export const RING_COUNT_MAX = 3

// ABI: word indexes. native/control.h has the same, and each side refuses to go on where they differ.

// Lines 0 and 1: written and read by the executor's thread alone, by TypeScript unless said otherwise.
/** How many task queues have something to settle. */
export const WORD_RUNNABLE = 0
/** How many timers, listeners and the like keep the program alive; operations do unless they are in the background. */
export const WORD_LIVE = 1
/** 1 while a poll of the host loop's descriptor is in the main ring. */
export const WORD_ARMED = 2
/** 1 while the host loop has something to do. Written by both; the hook clears it as it leaves. */
export const WORD_HOST_READY = 3
/** Set by a turn to have the hook leave to the host loop: {@link LEAVE_ALONE}, {@link LEAVE_CONTESTED}. */
export const WORD_LEAVE = 4
/** 1 while the hook keeps the host loop alive. Written by the hook. */
export const WORD_REFERENCED = 5
/** The error number of an io_uring_enter that failed for good. Written by the hook. */
export const WORD_ENTER_ERROR = 6
/**
 * Completions reaped that were not their operation's last: one word for each of up to {@link RING_COUNT_MAX} rings.
 *
 * With it the hook counts operations in flight from the queues' own heads and tails, which spares
 * every submission and completion a counter.
 */
export const WORD_MORE = 8
/** Completions reaped that were of no entry of this ring, since another ring has posted them: one word for each ring. */
export const WORD_FOREIGN = 11
/** Operations in flight that do not keep the program alive: one word for each ring. */
export const WORD_BACKGROUND = 16
/**
 * Closes in flight: one word for each ring. At the end of a ring they are awaited rather than cancelled,
 * which would leave their descriptors open.
 */
export const WORD_CLOSING = 19

// Line 2: written by the executor's thread, read by the watchdog of stalls.
/** Odd while a turn runs, so that a watchdog sees whether it ends. Written by the hook. */
export const WORD_TURN_SEQUENCE = 32
/** Number of the task queue whose turn runs, or -1. */
export const WORD_QUEUE = 33

/** Node's number of the thread, 0 for the main one. Only once stalls were watched for. */
export const WORD_THREAD = 34

// Line 3: written by the watchdog of stalls.
/** Sequence of the last stall that was reported, by this thread or by its watchdog. */
export const WORD_STALL_REPORTED = 48

// Line 4: written by other threads.
/**
 * Not 0 once another thread has left something for this one. A thread that sees it does not park;
 * the executor clears it before it looks for what was left.
 */
export const WORD_DOORBELL = 64

// Line 5: written by the hook, read by other threads.
/** {@link SLEEP_PARKED} while the thread is parked, or about to be: who leaves something for it has to wake it. */
export const WORD_SLEEPING = 80

// Line 9: written as an executor comes and goes, read by whoever looks for it.
/** The id of the executor that lives here; 0 for nobody, below 0 while one comes, or goes. Written by the hook. */
export const WORD_HOLDER = 144
/** How many executors have had the slot. Written by the hook. */
export const WORD_GENERATION = 145
/** The ring that the thread parks in, or -1; */
export const WORD_RING_FD = 146
/** and what tells it from a ring that gets its descriptor later. Both are those of one holder if it was the same before and after. */
export const WORD_RING_TOKEN = 147
/** {@link KIND_EXECUTOR}, or {@link KIND_OUTSIDER}: a thread without an executor, which only wants its end to be known. */
export const WORD_KIND = 148

// ABI: indexes of the same block seen as doubles.

// Line 2.
/** When the current turn began. Written by the hook. */
export const DOUBLE_NOW_NS = 20
/** How long a turn may take before it is a stall; 0 while stalls are not watched for. */
export const DOUBLE_STALL_BUDGET_NS = 21

// Lines 6 to 8: written and read by the executor's thread.
/** When the last turn ended, its microtasks included. Written by the hook. */
export const DOUBLE_TURN_END_NS = 48
/** When the executor wants to be called at the latest; Infinity for never. */
export const DOUBLE_DEADLINE_NS = 49
/** How long to spin before parking. */
export const DOUBLE_SPIN_NS = 50
/** When the executor was attached. Written by the hook. */
export const DOUBLE_START_NS = 51
/** When the hook was left to the host loop; 0 while it is not. Written by the hook. */
export const DOUBLE_LEFT_NS = 52
/** When the hook looked at the clock last, but for the ends of turns: what is slept next begins no earlier. -1 while it looks. */
export const DOUBLE_AWAKE_NS = 53
/** How long to spin after what came last from the kernel or another thread; 0 for {@link DOUBLE_SPIN_NS} to say it. */
export const DOUBLE_QUIET_NS = 54
/**
 * Time spent parked, and spinning. While that goes on, the moment when it began is subtracted: so others add the time of
 * now to what is below 0, which they see at once with the total. Written by the hook.
 */
export const DOUBLE_PARKED_NS = 56
export const DOUBLE_SPUN_NS = 57
/** Calls of io_uring_enter, turns, parks. Written by the hook. */
export const DOUBLE_ENTERS = 58
export const DOUBLE_TURNS = 59
export const DOUBLE_PARKS = 60
/** Time from leaving the hook to entering it again, while task queues were waiting, and while none was. */
export const DOUBLE_HOST_CONTESTED_NS = 61
export const DOUBLE_HOST_ALONE_NS = 62
/** How often the hook was left. Written by the hook, as the two above. */
export const DOUBLE_HOST_VISITS = 63
/** How often it has not spun, or no longer, since more executors than there are CPUs for do not sleep. Written by the hook. */
export const DOUBLE_CROWDED = 64

/** The length of the block. */
export const CONTROL_BYTES: number = 10 * 64

/** Every field, for {@link assertSameLayout}. */
const LAYOUT: Readonly<Record<string, number>> = {
  WORD_RUNNABLE,
  WORD_LIVE,
  WORD_ARMED,
  WORD_HOST_READY,
  WORD_LEAVE,
  WORD_REFERENCED,
  WORD_ENTER_ERROR,
  WORD_MORE,
  WORD_FOREIGN,
  WORD_BACKGROUND,
  WORD_CLOSING,
  WORD_TURN_SEQUENCE,
  WORD_DOORBELL,
  WORD_SLEEPING,
  WORD_HOLDER,
  WORD_GENERATION,
  WORD_RING_FD,
  WORD_RING_TOKEN,
  WORD_KIND,
  DOUBLE_NOW_NS,
  DOUBLE_TURN_END_NS,
  DOUBLE_DEADLINE_NS,
  DOUBLE_SPIN_NS,
  DOUBLE_START_NS,
  DOUBLE_LEFT_NS,
  DOUBLE_AWAKE_NS,
  DOUBLE_QUIET_NS,
  DOUBLE_PARKED_NS,
  DOUBLE_SPUN_NS,
  DOUBLE_ENTERS,
  DOUBLE_TURNS,
  DOUBLE_PARKS,
  DOUBLE_HOST_CONTESTED_NS,
  DOUBLE_HOST_ALONE_NS,
  DOUBLE_HOST_VISITS,
  DOUBLE_CROWDED,
  CONTROL_BYTES,
}

// ABI: values of WORD_SLEEPING.
export const SLEEP_NO = 0
export const SLEEP_PARKED = 1

// ABI: values of WORD_KIND.
export const KIND_EXECUTOR = 0
export const KIND_OUTSIDER = 1

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
// ABI: the lower half, likewise.
/** What another ring posts (MSG_RING) names itself so: it is the completion of no entry of this ring. */
export const SLOT_FOREIGN = -2

/**
 * The control block of one executor, and the inboxes beside it, as the executor itself has them.
 *
 * Once it has left its loop the slot is another's, and these are copies, which what is left of the executor may go on to
 * change: so they are read anew for each use, but for what ends with the loop.
 */
export interface LoopControl {
  readonly words: Int32Array
  readonly doubles: Float64Array
  /** A bit per inbox that something has been left in. */
  readonly inboxes: Int32Array
  /** What the executor counts, by the indexes of the layer `stats`. */
  readonly counters: Float64Array
}

/** Compares what the native layer was compiled with: every field that the hook uses, and the length of the block. */
export function assertSameLayout(
  native: Readonly<Record<string, number>>,
  own: Readonly<Record<string, number>> = LAYOUT,
): void {
  const names = new Set([...Object.keys(own), ...Object.keys(native)])
  for (const name of names) assert(own[name] === native[name], `${name} is the same in C`)
}
