/**
 * What a receiving side goes through: its reader, and the receive in flight. Tables alone; {@link Receiver} does what
 * they say.
 *
 * | state       | `READ`    | `CONSUME_BEGINS` | `READY`  | `STARVED`   | `TURN`   | `GO_ON`     | `END`  | `HALT`   | `RESUME` |
 * |-------------|-----------|------------------|----------|-------------|----------|-------------|--------|----------|----------|
 * | `FREE`      | `WAITING` | `CONSUMING`      |          |             |          |             |        | `HALTED` |          |
 * | `WAITING`   | refused   | refused          | `SETTLING` | receive   |          |             |        | refused  |          |
 * | `SETTLING`  | refused   | refused          |          |             | `FREE`   |             |        | refused  |          |
 * | `CONSUMING` | refused   | refused          | `DUE`    | receive     |          |             |        | refused  |          |
 * | `DUE`       | refused   | refused          |          |             | `TAKING` |             |        | refused  |          |
 * | `TAKING`    | refused   | refused          |          |             |          | `CONSUMING` | `FREE` | refused  |          |
 * | `HALTED`    | refused   | refused          |          |             |          |             |        | refused  | `FREE`   |
 *
 * Where something is there to be told, `READ_READY`, `CONSUME_READY` and `GO_ON_READY` lead at once to where `READY` would. An empty
 * field of `READY` and `STARVED` leaves all as it is; any other is a mistake of ours.
 */
import { unreachable } from '../../base/index.ts'

/** How far a reader has come. */
export type ReaderState = 0 | 1 | 2 | 3 | 4 | 5 | 6
/** Nobody reads. */
export const FREE = 0
/** A read waits for something to come. */
export const WAITING = 1
/** Its answer is certain, and a turn of its queue will give it. */
export const SETTLING = 2
/** A consumer waits for something to come. */
export const CONSUMING = 3
/** A turn of its queue will call it. */
export const DUE = 4
/** It has a chunk, or is being told of the end. */
export const TAKING = 5
/** Nobody may read: the stream is being given to another thread. */
export const HALTED = 6
const STATE_COUNT = 7

/** A stream that nobody reads stops receiving once so many buffers' worth of memory is held for it. */
export const HELD_BUFFERS_MAX = 16
/** It receives again when this little is left. */
export const HELD_BUFFERS_LOW = 4
// Beside the state of its reader, in one number, which V8 stores in place: idle connections are many.
export const READER_MASK = 7
export const AT_END = 8
/** A receive is in flight. */
export const ARMED = 16
/** It was asked to end, as too much waits to be read. */
export const STOPPING = 32
/** Its receive does not keep the program alive. */
export const UNREFERENCED = 64
/** A receive was begun, which closes descriptors that come with data. */
export const BEGUN = 128
/** Its reader receives by itself. */
export const LENT = 256

export type ReaderEvent = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11
/** Somebody begins to read, */
export const READ = 0
/** and something is there. */
export const READ_READY = 1
/** Somebody begins to consume, */
export const CONSUME_BEGINS = 2
/** and something is there. */
export const CONSUME_READY = 3
/** Something is there to be told: data, the end, a failure, a cancellation. */
export const READY = 4
/** A receive has ended, or could not begin, and nothing is there. */
export const STARVED = 5
/** The turn of the reader has come. */
export const TURN = 6
/** A consumer is done with its chunk, */
export const GO_ON = 7
/** and something is there. */
export const GO_ON_READY = 8
/** A consumption has ended. */
export const END = 9
export const HALT = 10
export const RESUME = 11
const EVENT_COUNT = 12

/** What is to be done, beside the new state. */
export type ReaderAction = 0 | 8 | 16 | 24
export const NO_ACTION = 0
/** Receive, unless that is under way. */
export const ARM = 8
/** Put it on its queue. */
export const QUEUE = 16
/** Refuse, and leave all as it is. */
export const REFUSE = 24
const STATE_MASK = 7
const IMPOSSIBLE = 255

/**
 * What comes after `state` with `event`: {@link stateOf} and {@link actionOf} tell the two apart.
 *
 * @throws AssertionError for an event that cannot be.
 */
export function nextReader(state: ReaderState, event: ReaderEvent): number {
  const next = TABLE[state * EVENT_COUNT + event]!
  if (next === IMPOSSIBLE) unreachable('a reader is told of nothing that cannot be')
  return next
}

export function stateOf(next: number): ReaderState {
  return (next & STATE_MASK) as ReaderState
}

export function actionOf(next: number): ReaderAction {
  return (next & ~STATE_MASK) as ReaderAction
}

/** Whether a reader of that state waits for something to come. */
export function isWaiting(state: ReaderState): boolean {
  return state === WAITING || state === CONSUMING
}

/** Whether it can still end with a reason: an answer that is certain stays so. */
export function isCancellable(state: ReaderState): boolean {
  return state !== FREE && state !== SETTLING && state !== HALTED
}

const BEGINNINGS: readonly ReaderEvent[] = [READ, READ_READY, CONSUME_BEGINS, CONSUME_READY, HALT]

const TABLE: Uint8Array = makeTable()

function makeTable(): Uint8Array {
  const table = new Uint8Array(STATE_COUNT * EVENT_COUNT).fill(IMPOSSIBLE)
  const set = (state: ReaderState, event: ReaderEvent, next: number): void => {
    table[state * EVENT_COUNT + event] = next
  }
  for (let index = 0; index < STATE_COUNT; index++) {
    const state = index as ReaderState
    for (const event of BEGINNINGS) set(state, event, state | REFUSE)
    set(state, READY, state)
    set(state, STARVED, state)
  }
  set(FREE, READ, WAITING | ARM)
  set(FREE, READ_READY, SETTLING | QUEUE)
  set(FREE, CONSUME_BEGINS, CONSUMING | ARM)
  set(FREE, CONSUME_READY, DUE | QUEUE)
  set(FREE, HALT, HALTED)
  set(HALTED, RESUME, FREE)
  set(WAITING, READY, SETTLING | QUEUE)
  set(WAITING, STARVED, WAITING | ARM)
  set(SETTLING, TURN, FREE)
  set(CONSUMING, READY, DUE | QUEUE)
  set(CONSUMING, STARVED, CONSUMING | ARM)
  set(DUE, TURN, TAKING)
  set(TAKING, GO_ON, CONSUMING | ARM)
  set(TAKING, GO_ON_READY, DUE | QUEUE)
  set(TAKING, END, FREE)
  return table
}
