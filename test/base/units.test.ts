import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  alignDown,
  alignUp,
  formatBytes,
  formatNs,
  isPowerOfTwo,
  nextPowerOfTwo,
  validateDurationMs,
  validateFunction,
  validateInteger,
  validateString,
} from '../../src/base/index.ts'

test('alignUp() and alignDown() enclose a value by less than the alignment, up to 2^53', () => {
  const alignment = fc.nat({ max: 20 }).map((power) => 2 ** power)
  fc.assert(
    fc.property(
      fc.nat({ max: 2 ** 31 - 1 }),
      fc.nat({ max: 2 ** 20 }),
      alignment,
      (low, high, by) => {
        const value = high * 2 ** 31 + low
        const [up, down] = [alignUp(value, by), alignDown(value, by)]

        assert.ok(up % by === 0 && down % by === 0)
        assert.ok(up >= value && up - value < by && down <= value && value - down < by)
      },
    ),
  )
})

test('nextPowerOfTwo() is the smallest that is not below', () => {
  for (let power = 1; power <= 30; power++) {
    const value = 2 ** power
    assert.equal(nextPowerOfTwo(value), value)
    assert.equal(nextPowerOfTwo(value - 1), power === 1 ? 1 : value)
    if (power < 30) assert.equal(nextPowerOfTwo(value + 1), value * 2)
    assert.ok(isPowerOfTwo(value))
  }
  for (const value of [0, -1, 3, 6, 1.5, 2 ** 31, Number.NaN]) assert.ok(!isPowerOfTwo(value))
})

test('formatBytes() and formatNs() choose the unit', () => {
  assert.deepEqual([0, 1023, 1024, 1536, 2 ** 20, 1.5 * 2 ** 30].map(formatBytes), [
    '0 B',
    '1023 B',
    '1 KiB',
    '1.5 KiB',
    '1 MiB',
    '1.5 GiB',
  ])
  assert.deepEqual([180, 2.5e3, 2.5e6, 1e9].map(formatNs), ['180 ns', '2.5 us', '2.5 ms', '1 s'])
})

test('validators tell a wrong type from a wrong range', () => {
  const bounds = { min: 1, max: 3 }
  for (const value of ['1', null, undefined, 1n]) {
    assert.throws(() => validateInteger('act', 'count', value, bounds), TypeError)
    assert.throws(() => validateDurationMs('act', 'time', value), TypeError)
  }
  for (const value of [0, 4, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => validateInteger('act', 'count', value, bounds), RangeError)
  }
  for (const value of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => validateDurationMs('act', 'time', value), RangeError)
  }
  assert.throws(() => validateString('act', 'name', 1), TypeError)
  assert.throws(() => validateString('act', 'name', 'a\0b'), TypeError)
  assert.throws(() => validateFunction('act', 'body', {}), TypeError)
  validateInteger('act', 'count', 3, bounds)
  validateDurationMs('act', 'time', 0)
  validateString('act', 'name', '')
  validateFunction('act', 'body', () => {})
})

test('the message of a refusal names the action, the requirement and the value', () => {
  assert.throws(() => validateInteger('open a door', 'width', 9, { min: 1, max: 3 }), {
    message: 'Cannot open a door as width must be a whole number from 1 to 3: current value is 9',
  })
  assert.throws(() => validateFunction('open a door', 'body', new Map()), {
    message: 'Cannot open a door as body must be a function: current value is an instance of Map',
  })
})
