import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  formatNumberList,
  maskOfNumbers,
  numbersOfMask,
  parseNumberList,
} from '../../src/base/index.ts'

const LISTS: Readonly<Record<string, readonly number[]>> = {
  '': [],
  '\n': [],
  '0': [0],
  '0-3\n': [0, 1, 2, 3],
  '0-2,8': [0, 1, 2, 8],
  '8,0-2': [0, 1, 2, 8],
  '0-3,2-5': [0, 1, 2, 3, 4, 5],
  ' 1 , 3 ': [1, 3],
  '0-7:1/4': [0, 4],
  '1-8:2/4': [1, 2, 5, 6],
  '1023': [1023],
}
const NONSENSE = [
  '-',
  '0-',
  '-1',
  '3-1',
  'a',
  '0x1',
  '1.5',
  '0,,1',
  '0-7:0/4',
  '0-7:5/4',
  '0-99999999',
]

for (const [text, numbers] of Object.entries(LISTS)) {
  test(`parseNumberList() reads ${JSON.stringify(text)}`, () => {
    assert.deepEqual(parseNumberList(text), numbers)
  })
}

for (const text of NONSENSE) {
  test(`parseNumberList() gives null for ${JSON.stringify(text)}`, () => {
    assert.equal(parseNumberList(text), null)
  })
}

test('formatNumberList() joins neighbours', () => {
  assert.equal(formatNumberList([0, 1, 2, 8, 10, 11]), '0-2,8,10-11')
})

test('lists and masks give back the numbers that they were made of', () => {
  const sets = fc.uniqueArray(fc.nat(2000)).map((numbers) => numbers.sort((a, b) => a - b))
  fc.assert(
    fc.property(sets, (numbers) => {
      assert.deepEqual(parseNumberList(formatNumberList(numbers)), numbers)
      assert.deepEqual(numbersOfMask(maskOfNumbers(numbers)), numbers)
    }),
  )
})

test('maskOfNumbers() makes whole words, one at least', () => {
  const lengths = [[], [0], [63], [64], [1023]].map((numbers) => maskOfNumbers(numbers).length)

  assert.deepEqual(lengths, [8, 8, 8, 16, 128])
})
