/** Limits of streams beside one another, and what stands between a wait and its limit. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import { UnixStream } from '../../src/net/index.ts'
import { netRingFor } from '../../src/net/memory/net-ring.ts'
import type { SendBuffer } from '../../src/net/memory/send-memory.ts'
import { COUNTER_TIMERS } from '../../src/stats/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { Recorder } from './recorder.ts'
import { ignore, Pair, pattern } from './support.ts'

const TIMEOUT = { code: 'ERR_TASK_TIMEOUT' }
const NS_PER_MS = 1e6

/** Declares a test in virtual time. */
function testSimulated(name: string, body: () => Promise<void>): void {
  test(`${name} [sim]`, () => simulate(1, body))
}

/** How many milliseconds of the executor's clock have gone since this was made. */
function stopwatch(): () => number {
  const { timers } = executor()
  const fromNs = timers.nowNs()
  return () => (timers.nowNs() - fromNs) / NS_PER_MS
}

testSimulated('a short limit is kept beside a long one, whichever was first', async () => {
  await using pair = await Pair.open()
  pair.server.setTimeouts({ readMs: 20, idleMs: 60_000 })
  pair.client.setTimeouts({ idleMs: 60_000 })
  pair.client.setTimeouts({ readMs: 20 })

  for (const stream of [pair.server, pair.client]) {
    const elapsedMs = stopwatch()
    await assert.rejects(stream.read(), TIMEOUT)
    assert.ok(elapsedMs() >= 20 && elapsedMs() <= 25, `it took ${elapsedMs()} ms`)
  }
})

testSimulated('a write has its limit beside those of reads', async () => {
  await using pair = await Pair.open()
  pair.client.setTimeouts({ readMs: 60_000, writeMs: 100 })
  const reading = pair.client.read()
  reading.catch(ignore)
  const elapsedMs = stopwatch()

  await assert.rejects(pair.client.write(pattern(0, 30_000_000)), TIMEOUT)

  assert.ok(elapsedMs() <= 300, `it took ${elapsedMs()} ms`)
})

for (const busyMs of [900, 2000, 5000]) {
  testSimulated(`a consumer that takes ${busyMs} ms has its whole limit after that`, async () => {
    await using pair = await Pair.open()
    pair.server.setTimeouts({ readMs: 1000 })
    const recorder = new Recorder(() => sleep(busyMs))
    pair.server.consume(recorder)
    await pair.client.write(pattern(0, 1))
    const elapsedMs = stopwatch()

    assert.equal(((await recorder.ended) as { code: string }).code, 'ERR_TASK_TIMEOUT')

    const waitedMs = elapsedMs() - busyMs
    assert.ok(waitedMs >= 995 && waitedMs <= 1255, `it waited ${waitedMs} ms`)
  })
}

testSimulated('who sets one limit again and again puts off no other', async () => {
  await using pair = await Pair.open()
  pair.server.setTimeouts({ idleMs: 1000 })
  const failed = assert.rejects(pair.server.read(), TIMEOUT)

  for (let count = 0; count < 20 && !pair.server.isClosed; count++) {
    pair.server.setTimeouts({ writeMs: 500 + count })
    await sleep(100)
  }

  assert.equal(pair.server.isClosed, true)
  await failed
})

testSimulated('a write that stood in line for memory has its limit when it is sent', async () => {
  await using pair = await Pair.open()
  pair.client.setTimeouts({ writeMs: 1000 })
  const { sendMemory } = netRingFor(executor(), executor().defaultQueue)
  const user = { waits: executor().waits, useBuffer: ignore, urge: ignore, executorCloses: ignore }
  const buffers: SendBuffer[] = []
  for (;;) {
    const buffer = sendMemory.take(user, 4096)
    if (buffer === null) break
    buffers.push(buffer)
  }
  let isOver = false
  const writing = pair.client.write(pattern(0, 30_000_000))
  writing.catch(() => {
    isOver = true
  })

  await sleep(5000)
  const wasOver = isOver
  for (const buffer of buffers) sendMemory.give(buffer)
  const elapsedMs = stopwatch()
  await assert.rejects(writing, TIMEOUT)

  assert.equal(wasOver, false)
  assert.ok(elapsedMs() >= 1000 && elapsedMs() <= 1600, `it took ${elapsedMs()} ms`)
})

testSimulated('a write with descriptors is watched as others are', async () => {
  const [one, other] = UnixStream.pair()
  const { counters } = executor().io.control
  one.setTimeouts({ writeMs: 1000 })
  const before = counters[COUNTER_TIMERS]!

  const sent = one.sendDescriptors(pattern(0, 1), [other])
  const after = counters[COUNTER_TIMERS]

  await sent
  assert.equal(after, before + 1)
  await Promise.all([one.close(), other.close()])
})

testSimulated('a reader that steps on after the close arms nothing', async () => {
  const pair = await Pair.open()
  const { counters } = executor().io.control
  pair.server.setTimeouts({ readMs: 100, idleMs: 200 })
  const steps = pair.server[Symbol.asyncIterator]()
  await pair.server.close()
  const before = counters[COUNTER_TIMERS]

  // More than are answered in one turn.
  const answers = Array.from({ length: 1000 }, () => steps.next())
  for (const answer of answers) answer.catch(ignore)

  assert.equal(counters[COUNTER_TIMERS], before)
  await Promise.allSettled(answers)
  await pair[Symbol.asyncDispose]()
})

testSimulated('a write has its whole limit after others that were given up', async () => {
  await using pair = await Pair.open()
  const { client } = pair
  client.setTimeouts({ writeMs: 1000 })
  for (let isFull = false; !isFull; ) {
    await client.write(pattern(0, 4096)).catch((error) => {
      assert.equal(error.code, TIMEOUT.code)
      isFull = true
    })
  }

  await sleep(5000)
  const sinceFirst = stopwatch()
  const first = client.write(pattern(0, 10))
  first.catch(ignore)
  await assert.rejects(client.write(pattern(0, 10)), TIMEOUT)
  const firstMs = sinceFirst()
  const sinceNext = stopwatch()
  await assert.rejects(client.write(pattern(0, 10)), TIMEOUT)

  assert.ok(firstMs >= 1000, `it took ${firstMs} ms`)
  assert.ok(sinceNext() >= 1000, `the next took ${sinceNext()} ms`)
})
