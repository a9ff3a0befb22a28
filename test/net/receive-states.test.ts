import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  ARM,
  actionOf,
  CONSUME_BEGINS,
  CONSUME_READY,
  CONSUMING,
  DUE,
  END,
  FREE,
  GO_ON,
  GO_ON_READY,
  HALT,
  HALTED,
  NO_ACTION,
  nextReader,
  QUEUE,
  READ,
  READ_READY,
  READY,
  REFUSE,
  RESUME,
  type ReaderAction,
  type ReaderEvent,
  type ReaderState,
  SETTLING,
  STARVED,
  stateOf,
  TAKING,
  TURN,
  WAITING,
} from '../../src/net/receiving/receive-states.ts'

const STATES: readonly ReaderState[] = [FREE, WAITING, SETTLING, CONSUMING, DUE, TAKING, HALTED]
const EVENTS: readonly ReaderEvent[] = [
  READ,
  READ_READY,
  CONSUME_BEGINS,
  CONSUME_READY,
  READY,
  STARVED,
  TURN,
  GO_ON,
  GO_ON_READY,
  END,
  HALT,
  RESUME,
]
const BEGINNINGS: readonly ReaderEvent[] = [READ, READ_READY, CONSUME_BEGINS, CONSUME_READY, HALT]

/** What leads somewhere, or asks for something. */
const STEPS: readonly (readonly [ReaderState, ReaderEvent, ReaderState, ReaderAction])[] = [
  [FREE, READ, WAITING, ARM],
  [FREE, READ_READY, SETTLING, QUEUE],
  [FREE, CONSUME_BEGINS, CONSUMING, ARM],
  [FREE, CONSUME_READY, DUE, QUEUE],
  [FREE, HALT, HALTED, NO_ACTION],
  [WAITING, READY, SETTLING, QUEUE],
  [WAITING, STARVED, WAITING, ARM],
  [SETTLING, TURN, FREE, NO_ACTION],
  [CONSUMING, READY, DUE, QUEUE],
  [CONSUMING, STARVED, CONSUMING, ARM],
  [DUE, TURN, TAKING, NO_ACTION],
  [TAKING, GO_ON, CONSUMING, ARM],
  [TAKING, GO_ON_READY, DUE, QUEUE],
  [TAKING, END, FREE, NO_ACTION],
  [HALTED, RESUME, FREE, NO_ACTION],
]

test('nextReader() goes where each step leads', () => {
  for (const [state, event, next, action] of STEPS) {
    const found = nextReader(state, event)
    assert.deepEqual([stateOf(found), actionOf(found)], [next, action], `${state} ${event}`)
  }
})

test('nextReader() refuses a second reader, leaves who has an answer alone, and knows nothing else', () => {
  for (const state of STATES) {
    for (const event of EVENTS) {
      if (STEPS.some(([from, by]) => from === state && by === event)) continue
      if (BEGINNINGS.includes(event)) {
        const found = nextReader(state, event)
        assert.deepEqual([stateOf(found), actionOf(found)], [state, REFUSE])
      } else if (event === READY || event === STARVED) {
        assert.equal(nextReader(state, event), state)
      } else {
        assert.throws(() => nextReader(state, event), { code: 'ERR_ASSERTION' })
      }
    }
  }
})

test('a reader is queued only on its way to a state that a turn ends', () => {
  for (const [, , next, action] of STEPS) {
    assert.equal(action === QUEUE, next === SETTLING || next === DUE)
  }
})

test('from every state there is a way back to where nobody reads', () => {
  for (const start of STATES) {
    const reached = new Set<ReaderState>([start])
    for (const from of reached) {
      for (const [state, , next] of STEPS) if (state === from) reached.add(next)
    }
    assert.ok(reached.has(FREE), `${start}`)
  }
})
