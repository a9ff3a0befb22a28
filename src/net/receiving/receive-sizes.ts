/**
 * Which buffers a stream receives into, by how those before were filled: counted in its number, beside the bits of
 * `receive-states.ts`. Decisions alone.
 *
 * A stream begins with small buffers and receives that go on by themselves, which serves many connections with
 * little each. One that fills {@link FULL_COUNT} of them in a row is busy: it is given large ones, one receive at a time, the next when
 * the last is taken, so that a turn brings no more of it than one buffer, and a reader that is slow holds no more. Two in a
 * row that would have fitted a small buffer, and it is as others are.
 */

/** What is in flight, or waits to be read, is of the large buffers. */
export const LARGE = 512
const FULL_ONE = 1024
/** So many in a row fill their buffers before a stream is given large ones. */
export const FULL_COUNT = 8
const FULL_MASK: number = 15 * FULL_ONE
const FULL_ENOUGH: number = FULL_COUNT * FULL_ONE
/** What one takes off that a small buffer would have done for. */
const SMALL_STEP: number = FULL_ENOUGH / 2

/** The number after so much has come into one buffer, of which small ones hold `smallBytes`. */
export function noteReceived(state: number, lengthBytes: number, smallBytes: number): number {
  const fulls = state & FULL_MASK
  if ((state & LARGE) === 0) {
    if (lengthBytes < smallBytes) return state - fulls
    return fulls < FULL_ENOUGH ? state + FULL_ONE : state
  }
  if (lengthBytes > smallBytes) return state - fulls + FULL_ENOUGH
  return state - Math.min(fulls, SMALL_STEP)
}

/** Whether its next receive is better off with a large buffer, once nothing waits to be read. */
export function wantsLarge(state: number): boolean {
  const fulls = state & FULL_MASK
  return (state & LARGE) === 0 ? fulls === FULL_ENOUGH : fulls > 0
}

/** The number of one that goes on in small buffers, as there is no large one for it. */
export function withoutLarge(state: number): number {
  return state & ~(FULL_MASK | LARGE)
}
