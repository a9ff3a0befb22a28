import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  BATCH_MAX,
  batchLimitFor,
  createTurnView,
  decideTurn,
  isBudgetTimed,
  isTurnOver,
  READY_BUDGET,
  TURN_TARGET_NS,
  type TurnDecision,
  type TurnView,
  untimedCountFor,
} from '../../src/executor/turn-policy.ts'

const EITHER = [false, true]
const COUNTS = [0, 1, 1000]

/** Lines of the table in the source: what is left out may be anything. The first that holds decides. */
const TABLE: readonly (readonly [(view: TurnView) => boolean, TurnDecision])[] = [
  [(view) => view.isWanted || view.isOver, 'leave'],
  [(view) => view.leftCount === 0, 'leave'],
  [(view) => view.readyCount > 0 && view.isUserCodeNext, 'leave'],
  [(view) => view.readyCount > 0, 'settle'],
  [(view) => view.canCollect, 'submit'],
  [(view) => view.hopsLeft > 0, 'wait'],
  [() => true, 'leave'],
]

function* allViews(): Generator<TurnView> {
  for (const isWanted of EITHER)
    for (const isOver of EITHER)
      for (const leftCount of COUNTS)
        for (const readyCount of COUNTS)
          for (const isUserCodeNext of EITHER)
            for (const canCollect of EITHER)
              for (const hopsLeft of [0, 3])
                yield {
                  isWanted,
                  isOver,
                  leftCount,
                  readyCount,
                  isUserCodeNext,
                  canCollect,
                  hopsLeft,
                }
}

test('decideTurn() decides as its table says, whatever a turn sees', () => {
  const seen = new Set<TurnDecision>()
  for (const view of allViews()) {
    const [, expected] = TABLE.find(([holds]) => holds(view))!

    assert.equal(decideTurn(view), expected, JSON.stringify(view))
    seen.add(expected)
  }
  assert.equal(seen.size, 4)
})

test('decideTurn() leaves where nothing is left to do, as a new view says', () => {
  assert.equal(decideTurn(createTurnView()), 'leave')
})

test('batchLimitFor() aims at the length of a turn, within one and the most', () => {
  assert.equal(batchLimitFor(1_000), 500)
  assert.equal(batchLimitFor(100), BATCH_MAX)
  assert.equal(batchLimitFor(TURN_TARGET_NS * 10), 1)
})

test('untimedCountFor() looks at the clock after 32 us of work, or eight pieces', () => {
  assert.equal(untimedCountFor(32_000), 1)
  assert.equal(untimedCountFor(8_000), 4)
  assert.equal(untimedCountFor(100), 8)
  assert.ok(untimedCountFor(1e9) < 1)
})

test('isBudgetTimed() is true for one of eight answers, not for the first', () => {
  let lookCount = 0
  for (let left = READY_BUDGET - 1; left >= 0; left--) if (isBudgetTimed(left)) lookCount++

  assert.equal(lookCount, READY_BUDGET / 8)
  assert.equal(isBudgetTimed(READY_BUDGET - 1), false)
})

test('isTurnOver() is true after half a millisecond, or at a deadline', () => {
  assert.equal(isTurnOver(1_499_999, 1_000_000, Number.POSITIVE_INFINITY), false)
  assert.equal(isTurnOver(1_500_000, 1_000_000, Number.POSITIVE_INFINITY), true)
  assert.equal(isTurnOver(1_200_000, 1_000_000, 1_200_001), false)
  assert.equal(isTurnOver(1_200_000, 1_000_000, 1_200_000), true)
})
