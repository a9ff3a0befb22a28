/** One watchdog watches all executors of a process, whichever thread ends first. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { limited } from '../limits.ts'
import { runProgram } from './stall-support.ts'

const LIMIT = limited(60_000)

test(
  'executors of all threads have one watchdog, which ends with the last of them',
  LIMIT,
  async () => {
    const { lines, stderr } = await runProgram('stall-threads-program.js', ['one']).end

    assert.equal(stderr, '')
    assert.deepEqual(lines, [{ more: 1, again: 1 }])
  },
)

for (const [scenario, what, name] of [
  ['handOver', 'once the thread has ended that had started the watchdog', 'b'],
  [
    'takeOver',
    'of the main thread once the worker has ended that had started the watchdog',
    'main',
  ],
  ['mainCloses', 'once the executor has closed that had started the watchdog', 'a'],
  ['restarts', 'after watching has begun and ended many times', 'a'],
] as const) {
  test(`a stall is reported with its stack ${what}`, LIMIT, async () => {
    const running = runProgram('stall-threads-program.js', [scenario])

    const stderr = await running.errorMatches(/at stuckForEver/)

    assert.match(
      stderr,
      new RegExp(`task queue 'serving' of executor '${name}' has not ended after`),
    )
    running.child.kill('SIGKILL')
    await running.end
  })
}

test('stalls of two threads at a time are reported, each with its stack', LIMIT, async () => {
  const running = runProgram('stall-threads-program.js', ['both'])

  for (const name of ['a', 'b']) {
    await running.errorMatches(
      // It may be in what it calls just then.
      new RegExp(
        `of executor '${name}' has not ended after .*(\\n +at .*){0,2}\\n +at stuckForEver`,
      ),
    )
  }

  running.child.kill('SIGKILL')
  await running.end
})
