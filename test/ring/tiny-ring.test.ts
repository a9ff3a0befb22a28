/** A ring of eight entries and thirty-two completions, under load. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { attachExecutor, createTaskQueue, spawnInto } from '../../src/index.ts'
import { encodeNop } from '../../src/ring/index.ts'
import { CountingOperation, expire, MultishotPoll, nop, poll } from '../executor/operations.ts'
import { createPipe } from '../hazards/pipe.ts'
import { limited } from '../limits.ts'
import { reactorOf } from '../reactor-of.ts'

const LIMIT = limited(30_000)
const executor = attachExecutor({ ringDepth: 8 })
const { defaultQueue } = executor
const reactor = reactorOf(executor)
const { main } = reactor

test('a ring of depth 8 has room for eight', () => {
  assert.equal(main.memory.layout.sqEntryCount, 8)
  assert.equal(main.memory.layout.cqEntryCount, 32)
})

test('thousands of no-ops at once complete, each once', LIMIT, async () => {
  const results = await Promise.all(Array.from({ length: 5000 }, () => nop()))

  assert.equal(results.length, 5000)
  assert.equal(reactor.inFlightCount, 0)
})

test(
  'thousands of timeouts that expire at once overflow the queue, and none is lost',
  LIMIT,
  async () => {
    // All at about the same moment, while this thread is busy: 32 completions have room.
    const waiting = Array.from({ length: 3000 }, () =>
      expire(5e6).catch(({ code }: { code: string }) => code),
    )
    main.submit()
    const endNs = executor.nowNs() + 30e6
    while (executor.nowNs() < endNs);

    const codes = await Promise.all(waiting)

    assert.ok(codes.every((code) => code === 'ETIME'))
    assert.equal(reactor.inFlightCount, 0)
    assert.equal(executor.stats().ioMemory.leasedCount, 0)
  },
)

test('the latency ring overflows without loss, too', LIMIT, async () => {
  const urgent = createTaskQueue('urgent', { latency: { maxMs: 2 } })
  const codes = await spawnInto(urgent, () => {
    const waiting = Array.from({ length: 1000 }, () =>
      expire(3e6).catch(({ code }: { code: string }) => code),
    )
    reactor.latency.submit()
    const endNs = executor.nowNs() + 20e6
    while (executor.nowNs() < endNs);
    return Promise.all(waiting)
  })

  assert.ok(codes.every((code) => code === 'ETIME'))
  urgent.remove()
})

test('a submission queue that is full from within completions makes room', LIMIT, async () => {
  const operations = Array.from({ length: 200 }, () => new CountingOperation(defaultQueue))
  const submit = (operation: CountingOperation): void => {
    encodeNop(main.sqes, main.begin())
    main.commit(operation)
  }
  for (const operation of operations) {
    // Each completion submits itself again, and another twice as it ends: far more than eight.
    operation.onComplete = () => {
      if (operation.completionCount < 50) submit(operation)
    }
    submit(operation)
  }

  while (operations.some(({ runCount }) => runCount < 50)) await nop()

  assert.ok(operations.every(({ completionCount }) => completionCount === 50))
  assert.equal(reactor.inFlightCount, 0)
  assert.equal(main.staleCount, 0)
})

test('cancelling everything at once while the queues are full leaves nothing', LIMIT, async (t) => {
  const pipe = createPipe()
  t.after(() => pipe.close())
  const controller = new AbortController()
  const { signal } = controller
  const waiting = Array.from({ length: 500 }, (_, i) =>
    i % 2 === 0 ? poll(pipe.readFd, { signal }) : expire(3600e9, { signal }),
  )
  await nop()

  controller.abort(new Error('all'))
  const outcomes = await Promise.allSettled(waiting)
  await nop()

  assert.ok(outcomes.every((one) => one.status === 'rejected' && one.reason.message === 'all'))
  assert.equal(reactor.inFlightCount, 0)
  assert.equal(executor.stats().ioMemory.leasedCount, 0)
})

test('a hundred multishot polls report, and end', LIMIT, async (t) => {
  const pipe = createPipe()
  t.after(() => pipe.close())
  const polls = Array.from({ length: 100 }, () => new MultishotPoll(pipe.readFd))
  await nop()

  for (let i = 1; i <= 5; i++) {
    pipe.write()
    while (polls.some((one) => main.holds(one) && one.reportCount < 1)) await nop()
  }
  for (const one of polls) reactor.cancel(one)
  while (polls.some((one) => main.holds(one))) await nop()

  assert.ok(polls.every(({ reportCount }) => reportCount >= 1))
  assert.equal(reactor.inFlightCount, 0)
})
