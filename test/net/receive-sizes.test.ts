import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  FULL_COUNT,
  LARGE,
  noteReceived,
  wantsLarge,
  withoutLarge,
} from '../../src/net/receiving/receive-sizes.ts'
import { AT_END, LENT } from '../../src/net/receiving/receive-states.ts'

const SMALL_BYTES = 1024
/** What is beside the counts has to stay. */
const OTHERS = AT_END | LENT | 5

function receive(state: number, ...lengths: readonly number[]): number {
  return lengths.reduce((next, lengthBytes) => noteReceived(next, lengthBytes, SMALL_BYTES), state)
}

const FULL = new Array<number>(FULL_COUNT).fill(SMALL_BYTES)

test('wantsLarge() is true after so many full buffers in a row, and no sooner', () => {
  assert.equal(wantsLarge(receive(OTHERS, ...FULL.slice(1))), false)
  assert.equal(wantsLarge(receive(OTHERS, ...FULL)), true)
  assert.equal(wantsLarge(receive(OTHERS, ...FULL, ...FULL, ...FULL)), true)
  assert.equal(wantsLarge(receive(OTHERS, ...FULL.slice(1), 5, SMALL_BYTES)), false)
})

test('wantsLarge() is false after two in a row that a small buffer would have done for', () => {
  const busy = receive(OTHERS, ...FULL) | LARGE

  assert.equal(wantsLarge(receive(busy, 9 * SMALL_BYTES)), true)
  assert.equal(wantsLarge(receive(busy, 10)), true)
  assert.equal(wantsLarge(receive(busy, 10, 9 * SMALL_BYTES, SMALL_BYTES)), true)
  assert.equal(wantsLarge(receive(busy, 10, SMALL_BYTES)), false)
  assert.equal(wantsLarge(receive(busy, 10, 10, 10)), false)
})

test('what else a number holds stays as it is', () => {
  const busy = receive(OTHERS, ...FULL) | LARGE

  assert.equal(withoutLarge(receive(busy, 10, 3000)), OTHERS)
  assert.equal(receive(OTHERS, ...FULL, 1), OTHERS)
  assert.equal(receive(busy, 1, 1), OTHERS | LARGE)
})
