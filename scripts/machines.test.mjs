/** The program that checks other machines, with a runner that starts none. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { readPlan, runMachines } from './machines.mjs'
import { planPolling } from './polling.mjs'

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

test('runMachines() calls the runner for each machine, and returns the first code that is not 0', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'percore-machines-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const said = t.mock.method(console, 'log', () => {})
  const path = join(folder, 'calls')
  const words = (text, code) => ['-c', `echo ${text} >> "$0"; exit ${code}`, path]

  const exitCode = runMachines('sh', [
    { name: 'good', words: words('one', 0) },
    { name: 'bad', words: words('two', 3) },
    { name: 'worse', words: words('three', 4) },
  ])

  assert.equal(exitCode, 3)
  assert.equal(readFileSync(path, 'utf8'), 'one\ntwo\nthree\n')
  const summary = said.mock.calls.slice(3).map(({ arguments: [line] }) => line)
  assert.deepEqual(summary, [
    '── good: exit code 0',
    '── bad: exit code 3',
    '── worse: exit code 4',
  ])
  assert.equal(runMachines('sh', [{ name: 'good', words: words('four', 0) }]), 0)
})

test('planPolling() has each kernel with queues to poll, and without', () => {
  const plan = planPolling(['6.1', '6.12'], ['--cpus', '2'])

  assert.deepEqual(
    plan.map(({ name }) => name),
    [
      'Linux 6.1, 2 queues to poll',
      'Linux 6.1, 0 queues to poll',
      'Linux 6.12, 2 queues to poll',
      'Linux 6.12, 0 queues to poll',
    ],
  )
  const [first, second] = plan.map(({ words }) => words.join(' '))
  assert.match(first, /^--kernel 6\.1 --no-nvme .* --poll-queues 2 --cpus 2 -- .* polled \/mnt/)
  assert.match(second, / --poll-queues 0 --cpus 2 -- .*polling-check\.mjs not-polled \/mnt/)
})
