import { assert } from '../base/index.ts'
import type { RingLayout } from '../kernel/index.ts'

/** Where a ring stands: indexes that only grow, and wrap at 32 bits. */
export interface QueueState {
  readonly layout: RingLayout
  /** What the kernel shares. */
  readonly words: Int32Array
  /** Behind the last entry that was written, behind the last there is room for, and up to where they were counted. */
  readonly sqTail: number
  readonly roomTail: number
  readonly countedTail: number
  /** The first completion that was not reaped, and up to where they were counted. */
  readonly cqHead: number
  readonly countedHead: number
}

/** Checks that both queues of a ring are as its owner and the kernel know them. Between turns. */
export function auditQueues(state: QueueState): void {
  const { layout, words, sqTail, roomTail, countedTail, cqHead, countedHead } = state
  const unsubmittedCount = (sqTail - words[layout.sqHead]!) | 0
  const readyCount = (words[layout.cqTail]! - cqHead) | 0
  const roomCount = (roomTail - sqTail) | 0
  const uncountedCount = (sqTail - countedTail) | 0
  assert(unsubmittedCount >= 0, 'the kernel takes no more entries than there are')
  assert(unsubmittedCount <= layout.sqEntryCount, 'entries fit their queue')
  assert(roomCount >= 0, 'no entry is written where there is no room')
  assert(roomCount + unsubmittedCount <= layout.sqEntryCount, 'room is free entries')
  assert(readyCount >= 0, 'completions are not taken back')
  assert(readyCount <= layout.cqEntryCount, 'completions fit their queue')
  assert(words[layout.sqTail] === sqTail, 'the kernel is told of every entry')
  assert(words[layout.cqHead] === cqHead, 'what was reaped is given back')
  assert(countedHead === cqHead, 'what was reaped is counted')
  assert(uncountedCount >= 0, 'what was submitted is counted once')
}
