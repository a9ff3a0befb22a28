import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { test } from 'node:test'
import { setImmediate as nextRound } from 'node:timers/promises'
import {
  createTaskQueue,
  currentTaskQueue,
  executor,
  spawnInto,
  type Task,
  yieldNow,
} from '../../src/executor/index.ts'
import type { Lease } from '../../src/memory/index.ts'
import { type StreamConsumer, TcpListener, TcpStream } from '../../src/net/index.ts'
import { hold, Recorder, rounds } from './recorder.ts'
import { assertPattern, holdings, Pair, pattern, readPattern, until } from './support.ts'

const FAILURE = new Error('it failed')

test('consume() hands over every byte in order, then the end', async () => {
  await using pair = await Pair.open()
  const size = 1_000_000
  const recorder = new Recorder((chunk) => {
    assertPattern(chunk, recorder.lengthBytes - chunk.length)
  })

  pair.server.consume(recorder)
  await pair.client.write(pattern(0, size))
  await pair.client.shutdown()

  assert.equal(await recorder.ended, null)
  assert.deepEqual([recorder.lengthBytes, recorder.endCount], [size, 1])
  assert.equal(pair.server.isClosed, false)
})

test('consume() serves many streams with one consumer', async () => {
  let endCount = 0
  const echo: StreamConsumer = {
    onChunk: (chunk, stream) => stream.write(chunk),
    onEnd: (_error, stream) => {
      endCount++
      return stream.close()
    },
  }
  const before = holdings()
  const listener = await TcpListener.bind({ port: 0 })
  const serving = (async () => {
    for await (const stream of listener) stream.consume(echo)
  })()
  const visit = async (): Promise<void> => {
    await using stream = await TcpStream.connect({ port: listener.address.port })
    for (const size of [1, 5000, 100_000]) {
      const sent = stream.write(pattern(0, size))
      await readPattern(stream, size)
      await sent
    }
  }

  await Promise.all(Array.from({ length: 20 }, visit))

  await until(() => endCount === 20)
  await listener.close()
  await serving
  await until(() => holdings().operationCount === before.operationCount)
  assert.deepEqual(holdings(), before)
})

test('consume() calls nobody before it returns, though there is data', async () => {
  await using pair = await Pair.open()
  await pair.client.write(pattern(0, 10))
  await pair.server.readInto(new Uint8Array(1))
  const recorder = new Recorder()

  pair.server.consume(recorder)
  const countAtOnce = recorder.chunkCount
  await until(() => recorder.chunkCount > 0)

  assert.deepEqual([countAtOnce, recorder.lengthBytes], [0, 9])
})

test('onChunk is called as a method of the consumer, with the stream', async () => {
  await using pair = await Pair.open()
  const seen: unknown[] = []
  const consumer: StreamConsumer = {
    onChunk(_chunk, stream) {
      seen.push(this, stream)
    },
    onEnd(_error, stream) {
      seen.push(this, stream)
    },
  }

  pair.server.consume(consumer)
  await pair.client.write(pattern(0, 1))
  await until(() => seen.length > 0)
  await pair.client.close()
  await until(() => seen.length > 2)

  assert.ok(seen.every((value, index) => value === (index % 2 === 0 ? consumer : pair.server)))
})

test('onChunk waits for the promise of the one before', async () => {
  await using pair = await Pair.open()
  const first = hold()
  const recorder = new Recorder(() => (recorder.chunkCount === 1 ? first.promise : undefined))

  pair.server.consume(recorder)
  await pair.client.write(pattern(0, 10))
  await until(() => recorder.chunkCount === 1)
  await pair.client.write(pattern(0, 20))
  await pair.client.shutdown()
  await rounds()
  const countMeanwhile = recorder.chunkCount
  const endCountMeanwhile = recorder.endCount
  first.release()

  assert.equal(await recorder.ended, null)
  assert.deepEqual([countMeanwhile, endCountMeanwhile, recorder.lengthBytes], [1, 0, 30])
})

test('onChunk waits for a thenable that is no promise, which may call back twice', async () => {
  await using pair = await Pair.open()
  await using other = await Pair.open()
  const slow = hold()
  const recorder = new Recorder(() => ({
    // biome-ignore lint/suspicious/noThenProperty: this is about such objects
    then(onDone: () => void, onFailure: (error: unknown) => void): void {
      onDone()
      onDone()
      onFailure(FAILURE)
    },
  }))
  const otherRecorder = new Recorder(() => slow.promise)

  other.server.consume(otherRecorder)
  await other.client.write(pattern(0, 1))
  await until(() => otherRecorder.chunkCount === 1)
  pair.server.consume(recorder)
  await pair.client.write(pattern(0, 10))
  await until(() => recorder.chunkCount === 1)
  await other.client.write(pattern(0, 1))
  await rounds()
  await pair.client.close()

  assert.equal(await recorder.ended, null)
  assert.equal(otherRecorder.chunkCount, 1)
  slow.release()
  await until(() => otherRecorder.chunkCount === 2)
})

test('a consumer that is slow makes its peer wait, and loses nothing', async () => {
  await using pair = await Pair.open()
  const size = 32 * 1024 * 1024
  const gate = hold()
  const recorder = new Recorder((chunk) => {
    if (recorder.chunkCount === 1) return gate.promise
    assert.equal(chunk[0], (recorder.lengthBytes - chunk.length) & 255)
    return undefined
  })
  const block = Uint8Array.from({ length: size }, (_, index) => index & 255)
  let isSent = false

  pair.server.consume(recorder)
  const sent = pair.client.write(block).then(() => {
    isSent = true
  })
  await until(() => pair.server.bytesRead >= 16 * 16_384)
  for (let round = 0; round < 100; round++) await nextRound()
  const wasSent = isSent
  const heldCount = holdings().bufferCount
  gate.release()
  await sent
  await pair.client.shutdown()

  assert.equal(await recorder.ended, null)
  assert.equal(wasSent, false)
  assert.ok(heldCount <= 17 + 2 * 32, `${heldCount} buffers were held`)
  assert.equal(recorder.lengthBytes, size)
})

test('a promise that settles twice goes on with its own stream, and once', async () => {
  await using first = await Pair.open()
  await using second = await Pair.open()
  let settle = (): void => {}
  const twice = Object.assign(Promise.resolve(), {
    // biome-ignore lint/suspicious/noThenProperty: what other libraries return
    then: (resolve: () => void) => {
      settle = resolve
    },
  })
  const gate = hold()
  const firstRecorder = new Recorder(() => twice)
  const secondRecorder = new Recorder(() => gate.promise)
  first.server.consume(firstRecorder)
  second.server.consume(secondRecorder)
  await first.client.write(new Uint8Array(1))
  await until(() => firstRecorder.chunkCount === 1)
  await nextRound()
  settle()
  await second.client.write(new Uint8Array(1))
  await until(() => secondRecorder.chunkCount === 1)
  await second.client.write(new Uint8Array(1))

  settle()
  await until(() => second.server.bytesRead === 2)
  await nextRound()

  assert.equal(secondRecorder.chunkCount, 1)
  gate.release()
  await until(() => secondRecorder.chunkCount === 2)
})

test("a chunk is its consumer's for good", async () => {
  await using pair = await Pair.open()
  const chunks: Uint8Array[] = []
  const recorder = new Recorder((chunk) => chunks.push(chunk))

  pair.server.consume(recorder)
  for (let count = 0; count < 200; count++) {
    await pair.client.write(pattern(count * 100, 100))
    await until(() => recorder.lengthBytes === (count + 1) * 100)
  }

  let position = 0
  for (const chunk of chunks) {
    assertPattern(chunk, position)
    position += chunk.length
  }
  assert.equal(position, 20_000)
  assert.equal(holdings().bufferCount, 0)
})

test("a lease is its consumer's until the promise has settled, then its buffer goes back", async () => {
  await using pair = await Pair.open()
  await using other = await Pair.open()
  const gate = hold()
  let kept: Lease | null = null

  pair.server.consume({
    onLease: (lease) => {
      kept = lease
      return gate.promise
    },
    onEnd: () => {},
  })
  await pair.client.write(pattern(0, 1000))
  await until(() => kept !== null)
  // More messages than there are buffers: each is used again.
  for (let count = 0; count < 200; count++) {
    await other.client.write(new Uint8Array(1000))
    await other.server.read()
  }
  const heldCount = holdings().bufferCount
  const lease = kept as unknown as Lease

  assertPattern(lease.bytes, 0)
  gate.release()
  await until(() => holdings().bufferCount === 0)
  assert.equal(heldCount, 1)
  assert.throws(() => lease.bytes, { code: 'ERR_BUFFER_RELEASED' })
})

test('a lease goes back as onLease returns or throws, and can still be written', async () => {
  await using pair = await Pair.open()
  let written: Promise<void> | undefined
  let ended: unknown
  const failure = new Error('enough')

  pair.server.consume({
    onLease: (lease, stream) => {
      if (written !== undefined) throw failure
      written = stream.write(lease)
    },
    onEnd: (error) => {
      ended = error
    },
  })
  await pair.client.write(pattern(0, 10_000))
  await readPattern(pair.client, 10_000)
  await written
  const heldCount = holdings().bufferCount
  await pair.client.write(pattern(0, 10))
  await until(() => ended !== undefined)

  assert.equal(ended, failure)
  assert.deepEqual([heldCount, holdings().bufferCount], [0, 0])
})

test('consume() refuses a consumer of both kinds, or of none', async () => {
  await using pair = await Pair.open()
  const nothing = (): void => {}

  assert.throws(
    () => pair.server.consume({ onChunk: nothing, onLease: nothing, onEnd: nothing }),
    TypeError,
  )
  assert.throws(() => pair.server.consume({ onEnd: nothing } as never), TypeError)
  assert.throws(() => pair.server.consume({ onLease: nothing } as never), TypeError)
  assert.throws(() => pair.server.consume({ onLease: 1, onEnd: nothing } as never), TypeError)
})

test('consumers run in the queue, the task and the contexts of who called consume()', async () => {
  await using pair = await Pair.open()
  const queue = createTaskQueue('consumers')
  const storage = new AsyncLocalStorage<string>()
  const seen: unknown[] = []
  const note = (): void => {
    seen.push([currentTaskQueue(), executor().currentTask(), storage.getStore()])
  }
  const recorder = new Recorder(async () => {
    note()
    await yieldNow()
    note()
  })
  const consumer: StreamConsumer<TcpStream> = {
    onChunk: (chunk, stream) => recorder.onChunk(chunk, stream),
    onEnd: (error) => {
      note()
      recorder.onEnd(error)
    },
  }

  const task: Task<void> = spawnInto(queue, () =>
    storage.run('mine', () => pair.server.consume(consumer)),
  )
  await task
  await pair.client.write(pattern(0, 10))
  await until(() => seen.length === 2)
  await pair.client.close()
  await recorder.ended

  assert.deepEqual(seen, [
    [queue, task, 'mine'],
    [queue, task, 'mine'],
    [queue, task, 'mine'],
  ])
  assert.ok(queue.stats().settledCount >= 3)
})

test('consumers keep the contexts of who called consume() outside of any task', async () => {
  await using pair = await Pair.open()
  const storage = new AsyncLocalStorage<string>()
  const recorder = new Recorder(() => assert.equal(storage.getStore(), 'mine'))

  storage.run('mine', () => pair.server.consume(recorder))
  await pair.client.write(pattern(0, 10))
  await pair.client.close()

  assert.equal(await recorder.ended, null)
  assert.equal(recorder.chunkCount, 1)
})

test('a stream has one reader: others are refused with ERR_STILL_HELD, and harm nothing', async () => {
  await using pair = await Pair.open()
  const { client, server } = pair
  const isHeld = { code: 'ERR_STILL_HELD' }
  const reading = server.read()

  assert.throws(() => server.consume(new Recorder(), { timeoutMs: 1 }), isHeld)
  await client.write(pattern(0, 10))
  assert.equal((await reading)?.length, 10)
  const recorder = new Recorder(async (_chunk, stream) => {
    await assert.rejects(stream.read(), isHeld)
    assert.throws(() => stream.consume(recorder), isHeld)
  })
  server.consume(recorder)
  assert.throws(() => server.consume(new Recorder()), isHeld)
  await assert.rejects(server.read(), isHeld)
  await assert.rejects(server.readInto(new Uint8Array(1)), isHeld)
  await assert.rejects(server[Symbol.asyncIterator]().next(), isHeld)
  await client.write(pattern(0, 20))
  await client.close()

  assert.equal(await recorder.ended, null)
  assert.equal(recorder.lengthBytes, 20)
})

test('consume() refuses a closed stream, an aborted signal and what is no consumer', async () => {
  await using pair = await Pair.open()
  const { server } = pair
  const before = holdings()
  const controller = new AbortController()
  controller.abort(FAILURE)
  const refuse = (consumer: unknown, options?: unknown): void =>
    server.consume(consumer as StreamConsumer, options as never)

  assert.throws(() => refuse(undefined), TypeError)
  assert.throws(() => refuse(() => {}), TypeError)
  assert.throws(() => refuse({ onChunk() {} }), TypeError)
  assert.throws(() => refuse({ onChunk: 1, onEnd() {} }), TypeError)
  assert.throws(() => refuse(new Recorder(), 5), TypeError)
  assert.throws(() => refuse(new Recorder(), { timeoutMs: -1 }), RangeError)
  assert.throws(
    () => refuse(new Recorder(), { signal: controller.signal }),
    (error) => error === FAILURE,
  )
  assert.deepEqual(holdings(), before)
  await server.close()
  assert.throws(() => refuse(new Recorder()), { code: 'ERR_HANDLE_CLOSED' })
})

test('a consumer that always has data lets other streams, timers and queues go on', async () => {
  await using busy = await Pair.open()
  await using calm = await Pair.open()
  let isDone = false
  let hasTimerFired = false
  const recorder = new Recorder()
  const echo = new Recorder((chunk, stream) => stream.write(chunk))

  busy.server.consume(recorder)
  calm.server.consume(echo)
  setTimeout(() => {
    hasTimerFired = true
  }, 1)
  const source = (async () => {
    const block = new Uint8Array(256 * 1024)
    while (!isDone) await busy.client.write(block)
    await busy.client.shutdown()
  })()
  for (let round = 0; round < 20; round++) {
    await calm.client.write(pattern(0, 10))
    await readPattern(calm.client, 10)
    await nextRound()
  }
  await until(() => hasTimerFired)
  isDone = true
  await source

  assert.equal(await recorder.ended, null)
  assert.equal(recorder.lengthBytes, busy.client.bytesWritten)
})

test('a consumer that makes an urgent queue runnable lets it go before the next', async () => {
  const pairs = await Promise.all(Array.from({ length: 8 }, () => Pair.open()))
  // One that has learnt nothing yet settles hundreds in a turn.
  const queue = createTaskQueue('consumers')
  const urgent = createTaskQueue('urgent', { latency: { maxMs: 1 } })
  const order: string[] = []
  const consumer = new Recorder(() => {
    order.push('chunk')
    spawnInto(urgent, () => order.push('urgent'))
  })
  for (const { client, server } of pairs) {
    await client.write(pattern(0, 2))
    await server.readInto(new Uint8Array(1))
  }

  await spawnInto(queue, () => {
    for (const { server } of pairs) server.consume(consumer)
  })
  await until(() => order.length === 2 * pairs.length)
  for (const pair of pairs) await pair[Symbol.asyncDispose]()

  assert.deepEqual(order.slice(0, 2), ['chunk', 'urgent'])
})

test('consume() works on a stream of a latency-sensitive queue', async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  const queue = createTaskQueue('urgent', { latency: { maxMs: 5 } })
  const recorder = new Recorder()

  await spawnInto(queue, async () => {
    const accepting = listener.accept()
    await using client = await TcpStream.connect({ port: listener.address.port })
    await using server = await accepting
    server.consume(recorder)
    await client.write(pattern(0, 50_000))
    await client.shutdown()
    await recorder.ended
  })

  assert.equal(recorder.lengthBytes, 50_000)
})
