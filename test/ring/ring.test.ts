/** The ring as the executor uses it, on the real kernel. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/index.ts'
import { WORD_BACKGROUND } from '../../src/kernel/index.ts'
import { encodeNop } from '../../src/ring/index.ts'
import { CountingOperation, expire, MultishotPoll, nop, poll } from '../executor/operations.ts'
import { createPipe } from '../hazards/pipe.ts'
import { limited } from '../limits.ts'
import { reactorOf } from '../reactor-of.ts'

const LIMIT = limited(20_000)
const { defaultQueue } = executor()
const reactor = reactorOf(executor())
const { main } = reactor

function submitNop(operation: CountingOperation): void {
  encodeNop(main.sqes, main.begin())
  main.commit(operation)
}

test("a completion with another name than its slot's is counted and dropped", LIMIT, async () => {
  const victim = new CountingOperation(defaultQueue)
  const { staleCount } = main
  const base = main.begin()
  encodeNop(main.sqes, base)
  main.commit(victim)
  const name = main.sqes[base + 9]!

  main.sqes[base + 9] = name + 16 // the name that the slot's next request would have
  await nop()

  assert.equal(main.staleCount, staleCount + 1)
  assert.equal(victim.completionCount, 0)
  assert.ok(main.holds(victim))
  // The real one is still awaited: end it, as the kernel would.
  const again = main.begin()
  encodeNop(main.sqes, again)
  main.commitUnwatched()
  main.sqes[again + 8] = victim.slot
  main.sqes[again + 9] = name
  await nop()
  assert.equal(victim.completionCount, 1)
  assert.ok(!main.holds(victim))
  reactor.control.words[WORD_BACKGROUND]!-- // The no-op for nobody was not counted off.
})

test('a completion of a slot that never was is counted and dropped', LIMIT, async () => {
  const { staleCount } = main
  const base = main.begin()
  encodeNop(main.sqes, base)
  main.commitUnwatched()
  main.sqes[base + 8] = 1_000_000

  await nop()

  assert.equal(main.staleCount, staleCount + 1)
  reactor.control.words[WORD_BACKGROUND]!--
})

test('a withdrawn operation completes with 0, and the kernel does nothing', LIMIT, async (t) => {
  const pipe = createPipe()
  t.after(() => pipe.close())
  const controller = new AbortController()

  const waiting = poll(pipe.readFd, { signal: controller.signal })
  controller.abort(new Error('before it was submitted'))

  await assert.rejects(waiting, { message: 'before it was submitted' })
  assert.equal([...main.inFlight()].filter((one) => one.flags !== 0).length, 0)
})

test('withdraw() is too late once the kernel has the operation', LIMIT, async (t) => {
  const pipe = createPipe()
  t.after(() => pipe.close())
  const operation = new MultishotPoll(pipe.readFd)

  main.submit()

  assert.equal(main.withdraw(operation), false)
  reactor.cancel(operation)
  while (main.holds(operation)) await nop()
  assert.equal(operation.result, -125) // ECANCELED
})

test('withdraw() of an operation that is not in flight is refused', () => {
  assert.throws(() => main.withdraw(new CountingOperation(defaultQueue)), { code: 'ERR_ASSERTION' })
})

test('a multishot operation keeps its slot until its last completion', LIMIT, async (t) => {
  const pipe = createPipe()
  t.after(() => pipe.close())
  const operation = new MultishotPoll(pipe.readFd)
  await nop()

  pipe.write()
  while (operation.reportCount === 0) await nop()
  assert.ok(main.holds(operation))
  reactor.cancel(operation)
  while (main.holds(operation)) await nop()

  assert.equal(reactor.inFlightCount, 0)
})

test('an operation may be submitted again from its own completion', LIMIT, async () => {
  const operation = new CountingOperation(defaultQueue)
  operation.onComplete = () => {
    if (operation.completionCount < 1000) submitNop(operation)
  }

  submitNop(operation)
  while (operation.completionCount < 1000) await nop()
  await nop()

  assert.equal(operation.runCount, 1000)
  assert.equal(reactor.inFlightCount, 0)
})

test('submissions and completions are counted once each, however they nest', LIMIT, async () => {
  await nop()
  const before = executor().stats()

  const operations = Array.from({ length: 3000 }, () => new CountingOperation(defaultQueue))
  for (const operation of operations) {
    operation.onComplete = () => {
      if (operation.completionCount === 1) submitNop(operation)
    }
    submitNop(operation)
  }
  while (operations.some(({ runCount }) => runCount < 2)) await nop()

  const { submissionCount, completionCount, inFlightCount } = executor().stats()
  const submitted = submissionCount - before.submissionCount
  const completed = completionCount - before.completionCount
  assert.ok(submitted >= 6000)
  assert.equal(inFlightCount, 0)
  // Polls of the host may be between the two.
  assert.ok(Math.abs(submitted - completed) <= 2, `${submitted} and ${completed}`)
})

test('thousands in flight at once all complete, each once', LIMIT, async () => {
  const results = await Promise.allSettled([
    ...Array.from({ length: 5000 }, () => nop()),
    ...Array.from({ length: 5000 }, (_, i) => expire(i * 1000)),
  ])

  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 5000)
  assert.equal(reactor.inFlightCount, 0)
})
