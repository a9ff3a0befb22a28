import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { createTaskQueue, spawnInto } from '../../src/executor/index.ts'
import type { Lease } from '../../src/memory/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { hold, Recorder, rounds } from './recorder.ts'
import { holdings, Pair, pattern, readPattern, until } from './support.ts'

const FAILURE = new Error('it failed')

test('onEnd is told of a reset by the peer', async () => {
  await using pair = await Pair.open()
  const recorder = new Recorder()

  pair.server.consume(recorder)
  await pair.client.reset()

  assert.equal(((await recorder.ended) as { code: string }).code, 'ECONNRESET')
})

for (const how of ['close', 'reset'] as const) {
  test(`onEnd is told null after ${how}()`, async () => {
    await using pair = await Pair.open()
    const recorder = new Recorder()

    pair.server.consume(recorder)
    const closing = pair.server[how]()
    const endCountAtOnce = recorder.endCount
    await closing

    assert.equal(await recorder.ended, null)
    assert.equal(endCountAtOnce, 0)
  })
}

test('onChunk may close its stream, and wait for that', async () => {
  await using pair = await Pair.open()
  const recorder = new Recorder((_chunk, stream) => stream.close())

  pair.server.consume(recorder)
  await pair.client.write(pattern(0, 100))

  assert.equal(await recorder.ended, null)
  await rounds()
  assert.deepEqual([recorder.chunkCount, recorder.endCount], [1, 1])
  assert.equal(holdings().bufferCount, 0)
})

test('a write cut by the close is a failure of onChunk', async () => {
  await using pair = await Pair.open()
  const block = new Uint8Array(64 * 1024 * 1024)
  const recorder = new Recorder((_chunk, stream) => stream.write(block))

  pair.server.consume(recorder)
  await pair.client.write(pattern(0, 1))
  await until(() => pair.server.bytesWritten > 0 || recorder.chunkCount === 1)
  await pair.server.close()

  assert.equal(((await recorder.ended) as { code: string }).code, 'ERR_HANDLE_CLOSED')
})

for (const how of ['throws', 'rejects'] as const) {
  test(`onEnd is told what onChunk ${how}, and the rest waits for the next reader`, async () => {
    await using pair = await Pair.open()
    const recorder = new Recorder(() => {
      if (how === 'throws') throw FAILURE
      return Promise.reject(FAILURE)
    })

    pair.server.consume(recorder)
    await pair.client.write(new Uint8Array(1))
    const error = await recorder.ended
    await pair.client.write(pattern(0, 10))

    assert.equal(error, FAILURE)
    await readPattern(pair.server, 10)
    assert.deepEqual([recorder.chunkCount, recorder.endCount], [1, 1])
  })
}

test('consume() ends with its signal, at once while it waits', async () => {
  await using pair = await Pair.open()
  const controller = new AbortController()
  const recorder = new Recorder()

  pair.server.consume(recorder, { signal: controller.signal })
  await rounds()
  controller.abort(FAILURE)
  const endCountAtOnce = recorder.endCount

  assert.equal(await recorder.ended, FAILURE)
  assert.equal(endCountAtOnce, 0)
  await pair.client.write(pattern(0, 10))
  await readPattern(pair.server, 10)
})

test('consume() lets go of its signal as it ends', async () => {
  await using pair = await Pair.open()
  const { signal } = new AbortController()
  const recorder = new Recorder()

  pair.server.consume(recorder, { signal })
  const countMeanwhile = getEventListeners(signal, 'abort').length
  await pair.client.close()
  await recorder.ended

  assert.deepEqual([countMeanwhile, getEventListeners(signal, 'abort').length], [1, 0])
})

test('consume() ends with its signal when the chunk is done with, and loses none', async () => {
  await using pair = await Pair.open()
  const controller = new AbortController()
  const gate = hold()
  const recorder = new Recorder(() => gate.promise)

  pair.server.consume(recorder, { signal: controller.signal })
  await pair.client.write(pattern(0, 10))
  await until(() => recorder.chunkCount === 1)
  await pair.client.write(pattern(0, 20))
  controller.abort(FAILURE)
  await rounds()
  const endCountMeanwhile = recorder.endCount
  gate.release()

  assert.equal(await recorder.ended, FAILURE)
  assert.deepEqual([endCountMeanwhile, recorder.chunkCount], [0, 1])
  await readPattern(pair.server, 20)
})

test('a result whose then() cannot be asked for fails onLease, and ends its lease', async () => {
  await using pair = await Pair.open()
  const failure = new Error('no then')
  const leases: Lease[] = []
  const ended = new Promise((onEnd) => {
    pair.server.consume({
      onLease(lease) {
        leases.push(lease)
        return Object.defineProperty({}, 'then', {
          get() {
            throw failure
          },
        })
      },
      onEnd,
    })
  })

  await pair.client.write(pattern(0, 1))

  assert.equal(await ended, failure)
  assert.deepEqual(
    leases.map((lease) => lease.isReleased),
    [true],
  )
})

test('a failure of onChunk is told rather than the abort that came before it', async () => {
  await using pair = await Pair.open()
  const controller = new AbortController()
  const gate = hold()
  const recorder = new Recorder(() => gate.promise)

  pair.server.consume(recorder, { signal: controller.signal })
  await pair.client.write(pattern(0, 10))
  await until(() => recorder.chunkCount === 1)
  controller.abort(new Error('aborted'))
  gate.fail(FAILURE)

  assert.equal(await recorder.ended, FAILURE)
})

test('onChunk may abort its own consumption', async () => {
  await using pair = await Pair.open()
  const controller = new AbortController()
  const recorder = new Recorder(() => controller.abort(FAILURE))

  pair.server.consume(recorder, { signal: controller.signal })
  await pair.client.write(pattern(0, 10))

  assert.equal(await recorder.ended, FAILURE)
  assert.deepEqual([recorder.chunkCount, holdings().bufferCount], [1, 0])
})

test('consume() ends with ERR_TASK_TIMEOUT, however much has come', async () => {
  // In virtual time, in which the data comes before the limit on any machine.
  await simulate(1, async () => {
    await using pair = await Pair.open()
    const recorder = new Recorder()

    pair.server.consume(recorder, { timeoutMs: 20 })
    await pair.client.write(pattern(0, 10))

    assert.equal(((await recorder.ended) as { code: string }).code, 'ERR_TASK_TIMEOUT')
    assert.equal(recorder.chunkCount, 1)
  })
})

test('consume() ends with its task, which it need not keep running', async () => {
  await using pair = await Pair.open()
  await using other = await Pair.open()
  const recorder = new Recorder()
  const lasting = new Recorder()
  const queue = createTaskQueue('consumers')

  const task = spawnInto(queue, async () => {
    pair.server.consume(recorder)
    await hold().promise
  })
  task.catch(() => {})
  await spawnInto(queue, () => other.server.consume(lasting))
  await rounds()
  task.cancel().catch(() => {})

  assert.equal(((await recorder.ended) as { code: string }).code, 'ERR_TASK_CANCELLED')
  await other.client.write(pattern(0, 10))
  await until(() => lasting.chunkCount === 1)
})

test('onEnd leaves the stream to the next reader, which it may begin itself', async () => {
  await using pair = await Pair.open()
  const controller = new AbortController()
  const next = new Recorder()
  let reading: Promise<Uint8Array | null> | undefined

  pair.server.consume(
    {
      onChunk() {},
      onEnd: (_error, stream) => {
        reading = stream.read()
      },
    },
    { signal: controller.signal },
  )
  controller.abort()
  await until(() => reading !== undefined)
  await pair.client.write(pattern(0, 10))
  assert.equal((await reading)?.length, 10)
  pair.server.consume(next)
  await pair.client.write(pattern(0, 20))
  await pair.client.close()

  assert.equal(await next.ended, null)
  assert.equal(next.lengthBytes, 20)
})

test('remove() of a task queue throws ERR_QUEUE_ACTIVE while streams are consumed in it', async () => {
  await using pair = await Pair.open()
  const queue = createTaskQueue('consuming')
  const recorder = new Recorder()
  await spawnInto(queue, () => pair.server.consume(recorder))
  await rounds()

  assert.throws(() => queue.remove(), { code: 'ERR_QUEUE_ACTIVE' })
  await pair.client.write(pattern(0, 100))
  await pair.client.shutdown()
  await recorder.ended
  queue.remove()

  assert.ok(queue.isRemoved)
})
