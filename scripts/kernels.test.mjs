/** The program that runs the suite on other kernels, with a runner that starts no machine. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { readPlan, summarize } from './kernels.mjs'

test('readPlan() keeps what is ours, and gives the runner the rest', () => {
  const plan = readPlan(
    '--runner vm --cpus 2 --kernel 6.1 --kernel 7.3 -- contract --kernel'.split(' '),
  )

  assert.deepEqual(plan, {
    runner: 'vm',
    kernels: ['6.1', '7.3'],
    options: ['--cpus', '2'],
    words: ['contract', '--kernel'],
  })
})

for (const line of [
  '',
  '--runner vm',
  '--kernel 6.1',
  '--kernel 6.1 --runner',
  '--runner --kernel 6.1',
]) {
  test(`readPlan() refuses "${line}"`, () => {
    assert.throws(() => readPlan(line.split(' ').filter(Boolean)), /Usage: /)
  })
}

const REPORT = `✔ a (1ms)
﹣ b (1ms) # Linux 6.1 has no BIND
✖ c (2ms)
ℹ tests 3
ℹ pass 1
ℹ fail 1
ℹ cancelled 0
ℹ skipped 1

✖ failing tests:

✖ c (2ms)
`

test('summarize() counts, and lists what was passed over or failed once', () => {
  assert.deepEqual(summarize(REPORT), {
    counts: '1 pass, 1 skipped, 1 fail, 0 cancelled',
    skipped: ['﹣ b (1ms) # Linux 6.1 has no BIND'],
    failed: ['✖ c (2ms)'],
  })
})

test('summarize() has no counts when the machine ended before the tests', () => {
  assert.equal(summarize('✔ a (1ms)\n').counts, null)
})
