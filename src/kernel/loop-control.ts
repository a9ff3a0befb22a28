/**
 * The control block: what the loop hook and the executor tell each other between rounds, and what other
 * threads tell the two of them.
 *
 * In shared memory. A line of 64 bytes is written by one side: what another thread writes, or reads while it
 * spins, has a line of its own, so that the executor's thread is not slowed down by it.
 */
import { assert } from '../base/index.ts'
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
 * Completions reaped that were not their operation's last: one word for each of up to three rings.
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
/** Number of the task queue whose turn runs, or -1. Only while stalls are watched for. */
export const WORD_QUEUE = 33

// Line 3: written by the watchdog of stalls.
/** Sequence of the last stall that was reported, by this thread or by its watchdog. */
export const WORD_STALL_REPORTED = 48
/** 1 while a watchdog is connected to this process's inspector. */
export const WORD_STALL_CAPTURING = 49

// Line 4: written by other threads.
/**
 * Not 0 once another thread has left something for this one. A thread that sees it does not park;
 * the executor clears it before it looks for what was left.
 */
export const WORD_DOORBELL = 64

// Line 5: written by the hook, read by other threads.
/** {@link SLEEP_PARKED} while the thread is parked, or about to be: who leaves something for it has to wake it. */
export const WORD_SLEEPING = 80
/** 1 once the rings are being closed: nobody is to be woken, and the descriptors may be others' soon. */
export const WORD_ENDED = 81

// ABI: indexes of the same block seen as doubles.

// Line 2.
/** When the current turn began. Written by the hook. */
export const DOUBLE_NOW_NS = 20

// Lines 6 to 8: written and read by the executor's thread.
/** When the last turn ended, its microtasks included. Written by the hook. */
export const DOUBLE_TURN_END_NS = 48
/** When the executor wants to be called at the latest; Infinity for never. */
export const DOUBLE_DEADLINE_NS = 49
/** How long to spin before parking. */
export const DOUBLE_SPIN_NS = 50
/** Time spent parked, spinning; calls of io_uring_enter, turns, parks. Written by the hook. */
export const DOUBLE_PARKED_NS = 56
export const DOUBLE_SPUN_NS = 57
export const DOUBLE_ENTERS = 58
export const DOUBLE_TURNS = 59
export const DOUBLE_PARKS = 60
/** Time from leaving the hook to entering it again, while task queues were waiting, and while none was. */
export const DOUBLE_HOST_CONTESTED_NS = 61
export const DOUBLE_HOST_ALONE_NS = 62
/** How often the hook was left. Written by the hook, as the two above. */
export const DOUBLE_HOST_VISITS = 63

const LINE_BYTES = 64
const CONTROL_BYTES = 9 * LINE_BYTES

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
  WORD_ENDED,
  DOUBLE_NOW_NS,
  DOUBLE_TURN_END_NS,
  DOUBLE_DEADLINE_NS,
  DOUBLE_SPIN_NS,
  DOUBLE_PARKED_NS,
  DOUBLE_SPUN_NS,
  DOUBLE_ENTERS,
  DOUBLE_TURNS,
  DOUBLE_PARKS,
  DOUBLE_HOST_CONTESTED_NS,
  DOUBLE_HOST_ALONE_NS,
  DOUBLE_HOST_VISITS,
  CONTROL_BYTES,
}

// ABI: values of WORD_SLEEPING.
export const SLEEP_NO = 0
export const SLEEP_PARKED = 1

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

/** The control block of one executor. */
export interface LoopControl {
  readonly words: Int32Array
  readonly doubles: Float64Array
}

/** The part of a kernel that knows where memory is. */
interface AddressPort {
  addressOf(view: Int32Array): number
}

/** A block for a loop of `kernel`, which begins with a line. */
export function createLoopControl(kernel: AddressPort): LoopControl {
  const memory = new SharedArrayBuffer(CONTROL_BYTES + LINE_BYTES)
  const offsetBytes = LINE_BYTES - (kernel.addressOf(new Int32Array(memory)) % LINE_BYTES)
  const control = {
    words: new Int32Array(memory, offsetBytes, CONTROL_BYTES / 4),
    doubles: new Float64Array(memory, offsetBytes, CONTROL_BYTES / 8),
  }
  control.doubles[DOUBLE_DEADLINE_NS] = Number.POSITIVE_INFINITY
  return control
}

/** Compares what the native layer was compiled with: every field that the hook uses, and the length of the block. */
export function assertSameLayout(native: Readonly<Record<string, number>>): void {
  const names = new Set([...Object.keys(LAYOUT), ...Object.keys(native)])
  for (const name of names)
    assert(LAYOUT[name] === native[name], `${name} of the control block is the same in C`)
}
