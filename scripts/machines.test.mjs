/** The program that checks other machines, with a runner that starts none. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { readPlan } from './machines.mjs'

test('readPlan() keeps what is ours, and gives the runner the rest', () => {
  assert.deepEqual(readPlan('--runner vm --kernel 6.1 --only two'.split(' ')), {
    runner: 'vm',
    only: 'two',
    options: ['--kernel', '6.1'],
  })
  assert.deepEqual(readPlan([]), { runner: undefined, only: '', options: [] })
})

for (const line of ['--runner', '--runner --only two', '--only two', '--kernel 6.1']) {
  test(`readPlan() refuses "${line}"`, () => {
    assert.throws(() => readPlan(line.split(' ')), /Usage: /)
  })
}
