import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor, spawn } from '../../src/index.ts'
import { sleep, sleepUntil } from '../../src/time/index.ts'
import { reactorOf } from '../reactor-of.ts'
import { settle } from '../sync/watch.ts'
import { runProgram } from './run-program.ts'

/** Longer than any run of the tests: a timer that only its cancellation ends. */
const LONG_MS = 3_600_000

test('sleep() is never early, also below a millisecond', async () => {
  for (const ms of [0, 0.001, 0.05, 0.3, 1, 2.5]) {
    const startNs = executor().nowNs()

    await sleep(ms)

    const elapsedNs = executor().nowNs() - startNs
    assert.ok(elapsedNs >= ms * 1e6, `${ms} ms took ${elapsedNs} ns`)
  }
})

test('sleep() ends in the order of the deadlines, and of the calls where they are equal', async () => {
  const order: string[] = []
  const deadlineNs = executor().nowNs() + 2e6

  await Promise.all([
    sleepUntil(deadlineNs + 1e6).then(() => order.push('later')),
    sleepUntil(deadlineNs).then(() => order.push('first')),
    sleepUntil(deadlineNs).then(() => order.push('second')),
    sleepUntil(deadlineNs - 1e6).then(() => order.push('earlier')),
  ])

  assert.deepEqual(order, ['earlier', 'first', 'second', 'later'])
})

test('sleepUntil() of the past ends in a later turn', async () => {
  let isLater = false
  const sleeping = sleepUntil(0).then(() => assert.ok(isLater))
  queueMicrotask(() => {
    isLater = true
  })

  await sleeping
})

test('an abort ends the sleep with its reason, and disarms its timer', async () => {
  const { timers } = reactorOf(executor())
  const sizeBefore = timers.size
  const controller = new AbortController()
  const sleeping = sleep(LONG_MS, { signal: controller.signal })

  controller.abort(new Error('awake'))

  assert.equal(timers.size, sizeBefore)
  await assert.rejects(sleeping, { message: 'awake' })
})

test('sleep() of an aborted signal rejects, and arms nothing', async () => {
  const { timers } = reactorOf(executor())
  const sizeBefore = timers.size

  const sleeping = sleep(LONG_MS, { signal: AbortSignal.abort(new Error('before')) })

  assert.equal(timers.size, sizeBefore)
  await assert.rejects(sleeping, { message: 'before' })
})

test('an abort after the end changes nothing', async () => {
  const controller = new AbortController()

  await sleep(0, { signal: controller.signal })
  controller.abort()
  await settle()
})

test('cancelling a task disarms its sleep', async () => {
  const { timers } = reactorOf(executor())
  const sizeBefore = timers.size
  const task = spawn(() => sleep(LONG_MS))
  await settle()
  assert.equal(timers.size, sizeBefore + 1)

  await task.cancel()

  assert.equal(task.state, 'cancelled')
  assert.equal(timers.size, sizeBefore)
})

test('thousands of sleeps that are aborted leave no timer behind', async () => {
  const { timers } = reactorOf(executor())
  const sizeBefore = timers.size
  const controllers = Array.from({ length: 5000 }, () => new AbortController())
  const sleeps = controllers.map(({ signal }, i) =>
    sleep(LONG_MS + ((i * 7919) % 5000), { signal }),
  )
  assert.equal(timers.size, sizeBefore + 5000)

  for (const controller of controllers) controller.abort()
  const outcomes = await Promise.allSettled(sleeps)

  assert.equal(timers.size, sizeBefore)
  assert.ok(outcomes.every(({ status }) => status === 'rejected'))
})

test('lengths of the wrong kind are refused', async () => {
  await assert.rejects(sleep(-1), RangeError)
  await assert.rejects(sleep(Number.NaN), RangeError)
  await assert.rejects(sleep('1' as never), TypeError)
  await assert.rejects(sleep(1, { signal: 'no' as never }), TypeError)
  await assert.rejects(sleepUntil(Number.POSITIVE_INFINITY), RangeError)
  await assert.rejects(sleepUntil('1' as never), TypeError)
})

test('a program stays alive for a sleep', () => {
  const { status, output, errors } = runProgram("time.sleep(20).then(() => console.log('awake'))")

  assert.deepEqual([status, output, errors], [0, 'awake\n', ''])
})

test('a program does not stay alive for a sleep with keepsAlive: false', () => {
  const program = `time.sleep(${LONG_MS}, { keepsAlive: false }); console.log('end')`

  const { status, output, errors } = runProgram(program)

  assert.deepEqual([status, output, errors], [0, 'end\n', ''])
})

test('a program ends when the sleep it stays alive for is aborted', () => {
  const program = `
    const controller = new AbortController()
    time.sleep(${LONG_MS}, { signal: controller.signal }).catch(() => console.log('aborted'))
    setTimeout(() => controller.abort(), 1)
  `

  const { status, output, errors } = runProgram(program)

  assert.deepEqual([status, output, errors], [0, 'aborted\n', ''])
})
