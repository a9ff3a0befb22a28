import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Guess } from '../../src/executor/guess.ts'

/** How many of the next `count` are tried, none of which pays. */
function triesOf(guess: Guess, count: number): number {
  let tries = 0
  for (let index = 0; index < count; index++) {
    if (!guess.isWorthTrying()) continue
    tries++
    guess.record(false)
  }
  return tries
}

test('Guess tries what pays every time', () => {
  const guess = new Guess(16)

  for (let index = 0; index < 100; index++) {
    assert.ok(guess.isWorthTrying())
    guess.record(true)
  }
})

test('Guess tries what does not pay now and then, after eight times', () => {
  const guess = new Guess(16)

  assert.equal(triesOf(guess, 8), 8)
  const later = triesOf(guess, 1600)
  assert.equal(later, 100)
})

test('Guess tries again at once what pays again', () => {
  const guess = new Guess(16)
  triesOf(guess, 1000)

  while (!guess.isWorthTrying());
  guess.record(true)

  assert.equal(triesOf(guess, 8), 8)
})
