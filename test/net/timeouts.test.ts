import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import { TcpStream, UnixStream } from '../../src/net/index.ts'
import { COUNTER_TIMERS } from '../../src/stats/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { sleep } from '../../src/time/index.ts'
import { testOnBoth } from './both-kernels.ts'
import { Recorder } from './recorder.ts'
import { assertPattern, holdings, Pair, pattern } from './support.ts'

const TIMEOUT = { code: 'ERR_TASK_TIMEOUT' }

/** Declares a test in virtual time. */
function testSimulated(name: string, body: () => Promise<void>): void {
  test(`${name} [sim]`, () => simulate(1, body))
}

/** How many milliseconds of the executor's clock it takes. */
async function timeMs(body: () => Promise<unknown>): Promise<number> {
  const { timers } = executor()
  const fromNs = timers.nowNs()
  await body()
  return (timers.nowNs() - fromNs) / 1e6
}

testOnBoth('a read that waits too long rejects, loses nothing, and the next goes on', async () => {
  await using pair = await Pair.open()
  pair.server.setTimeouts({ readMs: 30 })

  const named = { ...TIMEOUT, message: /readMs, 30 ms/ }
  const tookMs = await timeMs(() => assert.rejects(pair.server.read(), named))
  await assert.rejects(pair.server.readLease(), TIMEOUT)
  await pair.client.write(pattern(0, 1000))
  const chunk = await pair.server.read()

  assert.ok(tookMs >= 30, `it took ${tookMs} ms`)
  assertPattern(chunk!, 0)
  await assert.rejects(pair.server[Symbol.asyncIterator]().next(), TIMEOUT)
})

testSimulated('a read times out in its own time, whatever was before', async () => {
  await using pair = await Pair.open()
  pair.server.setTimeouts({ readMs: 1000 })

  const first = pair.server.read({ timeoutMs: 900 })
  await assert.rejects(first, TIMEOUT)
  const tookMs = await timeMs(() => assert.rejects(pair.server.read(), TIMEOUT))
  await sleep(5000)
  const reading = pair.server.read()
  await sleep(999)
  await pair.client.write(pattern(0, 1))

  assertPattern((await reading)!, 0)
  assert.ok(tookMs >= 1000 && tookMs <= 1251, `it took ${tookMs} ms`)
})

testSimulated('a consumption ends when no chunk comes for so long, and no sooner', async () => {
  await using pair = await Pair.open()
  pair.server.setTimeouts({ readMs: 1000 })
  const recorder = new Recorder((chunk) =>
    assertPattern(chunk, recorder.lengthBytes - chunk.length),
  )
  pair.server.consume(recorder)

  for (let position = 0; position < 10; position++) {
    await sleep(900)
    await pair.client.write(pattern(position, 1))
  }
  const tookMs = await timeMs(async () => {
    assert.equal(((await recorder.ended) as { code: string }).code, 'ERR_TASK_TIMEOUT')
  })

  assert.equal(recorder.lengthBytes, 10)
  assert.ok(tookMs >= 999 && tookMs <= 1260, `it took ${tookMs} ms`)
  await pair.client.write(pattern(10, 1))
  assertPattern((await pair.server.read())!, 10)
})

testSimulated(
  'writes time out once the peer takes nothing, not while it takes little',
  async () => {
    await using pair = await Pair.open()
    const size = 30_000_000
    pair.client.setTimeouts({ writeMs: 1000 })
    const named = { ...TIMEOUT, message: /writeMs, 1000 ms/ }
    const failed = assert.rejects(pair.client.write(pattern(0, size)), named)
    const behind = assert.rejects(pair.client.write(pattern(size, 10)))
    let readBytes = 0
    const read = async (wantedBytes: number): Promise<void> => {
      for (const end = readBytes + wantedBytes; readBytes < end; ) {
        const chunk = await pair.server.read()
        assertPattern(chunk!, readBytes)
        readBytes += chunk!.length
      }
    }

    for (let step = 0; step < 10; step++) {
      await sleep(800)
      await read(2_000_000)
    }
    const tookMs = await timeMs(() => failed)

    await behind
    assert.ok(tookMs >= 900 && tookMs <= 1300, `it took ${tookMs} ms`)
    assert.ok(pair.client.bytesWritten < size)
    await assert.rejects(pair.client.write(pattern(0, 1)), { code: 'ERR_HANDLE_CLOSED' })
  },
)

testOnBoth('a stream without a byte for too long is reset and closed', async () => {
  const pair = await Pair.open()
  pair.server.setTimeouts({ idleMs: 40 })
  const peer = pair.client.read()
  const failed = assert.rejects(pair.server.read(), TIMEOUT)

  await failed
  await assert.rejects(peer, { code: 'ECONNRESET' })

  assert.equal(pair.server.isClosed, true)
  // Each call after that says why.
  const closed = { code: 'ERR_HANDLE_CLOSED', message: /idleMs/ }
  for (const call of [
    pair.server.read(),
    pair.server.write(pattern(0, 1)),
    pair.server.shutdown(),
  ]) {
    const error = (await call.catch((error: unknown) => error)) as Error
    assert.throws(() => {
      throw error
    }, closed)
    assert.equal((error.cause as { code: string }).code, 'ERR_TASK_TIMEOUT')
  }
  await pair[Symbol.asyncDispose]()
  assert.deepEqual([holdings().bufferCount, holdings().operationCount], [0, 0])
})

testSimulated('bytes in either direction keep a stream open', async () => {
  await using pair = await Pair.open()
  pair.server.setTimeouts({ idleMs: 1000 })
  const recorder = new Recorder(() => undefined)
  pair.server.consume(recorder)

  for (let step = 0; step < 10; step++) {
    await sleep(900)
    await (step % 2 === 0 ? pair.client : pair.server).write(pattern(0, 1))
  }
  assert.equal(pair.server.isClosed, false)
  const tookMs = await timeMs(async () => {
    assert.equal(((await recorder.ended) as { code: string }).code, 'ERR_TASK_TIMEOUT')
  })

  assert.ok(tookMs >= 999 && tookMs <= 1260, `it took ${tookMs} ms`)
  assert.equal(pair.server.isClosed, true)
})

testSimulated('a write in flight is told of the idle limit, too', async () => {
  await using pair = await Pair.open()
  pair.client.setTimeouts({ idleMs: 1000 })

  await assert.rejects(pair.client.write(pattern(0, 30_000_000)), TIMEOUT)

  assert.equal(pair.client.isClosed, true)
})

testSimulated('limits end with null, with close(), and leave no timer', async () => {
  const pair = await Pair.open()
  const { counters } = executor().io.control
  const before = counters[COUNTER_TIMERS]
  pair.server.setTimeouts({ readMs: 100, writeMs: 100, idleMs: 100 })
  pair.server.setTimeouts({ idleMs: null })
  pair.server.setTimeouts({ readMs: null, writeMs: null })
  const reading = pair.server.read()
  await sleep(1000)
  await pair.client.write(pattern(0, 3))
  assertPattern((await reading)!, 0)
  pair.server.setTimeouts({ idleMs: 100 })

  await pair[Symbol.asyncDispose]()

  assert.equal(counters[COUNTER_TIMERS], before)
  assert.throws(() => pair.server.setTimeouts({ idleMs: 1 }), { code: 'ERR_HANDLE_CLOSED' })
})

testOnBoth('limits that are none are refused, and change nothing', async () => {
  await using pair = await Pair.open()
  for (const name of ['readMs', 'writeMs', 'idleMs']) {
    for (const value of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => pair.server.setTimeouts({ readMs: 5, [name]: value }), RangeError)
    }
    assert.throws(() => pair.server.setTimeouts({ [name]: '5' }), TypeError)
  }
  const reading = pair.server.read()
  await sleep(20)
  await pair.client.write(pattern(0, 1))

  assertPattern((await reading)!, 0)
  assert.ok('setTimeouts' in UnixStream.prototype && 'setTimeouts' in TcpStream.prototype)
})
