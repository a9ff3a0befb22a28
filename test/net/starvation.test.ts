import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { configureNet, netRingFor } from '../../src/net/net-ring.ts'
import { hold, Recorder } from './recorder.ts'
import { echoAll, holdings, Pair, pattern, readPattern, until } from './support.ts'

// Four buffers of 1 KiB for everybody: the kernel has none most of the time.
configureNet(executor(), { bufferBytes: 1024, entryCount: 4, initialCount: 2 })

test('streams that run out of buffers wait for one, and lose nothing', async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  void echoAll(listener)
  const size = 40_000
  const visit = async (): Promise<void> => {
    await using stream = await TcpStream.connect({ port: listener.address.port })
    const sent = stream.write(pattern(0, size))
    await readPattern(stream, size)
    await sent
  }

  await Promise.all(Array.from({ length: 12 }, visit))

  const { buffers } = netRingFor(executor(), executor().defaultQueue)
  assert.equal(buffers.bufferCount, 4)
})

test('a reader without a buffer waits in the kernel until one comes back', async () => {
  const pairs = await Promise.all(Array.from({ length: 5 }, () => Pair.open()))
  for (const pair of pairs) await pair.client.write(pattern(0, 100))
  const chunks = await Promise.all(pairs.slice(0, 4).map((pair) => pair.server.read()))
  assert.equal(holdings().bufferCount, 4)

  let isRead = false
  const last = readPattern(pairs[4]!.server, 100).then(() => {
    isRead = true
  })
  const before = executor().stats().enterCount
  for (let round = 0; round < 100; round++) await new Promise((resolve) => setImmediate(resolve))
  const enters = executor().stats().enterCount - before
  assert.equal(isRead, false)
  assert.ok(enters < 50, `it entered the kernel ${enters} times`)
  assert.ok(chunks.every((chunk) => chunk!.length === 100))
  await pairs[0]!.server.close()
  await last

  for (const pair of pairs) await pair[Symbol.asyncDispose]()
  assert.deepEqual(holdings().bufferCount, 0)
})

test('a read given up while it waits for a buffer leaves the turn to the next', async () => {
  const pairs = await Promise.all(Array.from({ length: 6 }, () => Pair.open()))
  for (const pair of pairs) await pair.client.write(pattern(0, 100))
  await Promise.all(pairs.slice(0, 4).map((pair) => pair.server.read()))

  await assert.rejects(pairs[4]!.server.read({ timeoutMs: 20 }), { code: 'ERR_TASK_TIMEOUT' })
  const last = readPattern(pairs[5]!.server, 100)
  await until(() => netRingFor(executor(), executor().defaultQueue).starvedCount === 2)
  await pairs[0]!.server.close()

  await last
  await pairs[5]!.server.close()
  await readPattern(pairs[4]!.server, 100)
  for (const pair of pairs) await pair[Symbol.asyncDispose]()
})

test('a consumer without a buffer waits in the kernel until one comes back', async () => {
  const pairs = await Promise.all(Array.from({ length: 5 }, () => Pair.open()))
  const gate = hold()
  const recorders = pairs.map(() => new Recorder(() => gate.promise))

  for (const [index, { server }] of pairs.entries()) server.consume(recorders[index]!)
  for (const pair of pairs) await pair.client.write(pattern(0, 100))
  await until(() => netRingFor(executor(), executor().defaultQueue).starvedCount === 1)
  const countMeanwhile = recorders.filter(({ chunkCount }) => chunkCount === 1).length
  gate.release()
  await until(() => recorders.every(({ chunkCount }) => chunkCount === 1))

  for (const pair of pairs) await pair[Symbol.asyncDispose]()
  for (const recorder of recorders) assert.equal(await recorder.ended, null)
  assert.deepEqual([countMeanwhile, holdings().bufferCount], [4, 0])
})

test('consumers that run out of buffers lose nothing', async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  const serving = (async () => {
    for await (const stream of listener) {
      stream.consume({ onChunk: (chunk) => stream.write(chunk), onEnd: () => stream.close() })
    }
  })()
  const size = 40_000
  const visit = async (): Promise<void> => {
    await using stream = await TcpStream.connect({ port: listener.address.port })
    const sent = stream.write(pattern(0, size))
    await readPattern(stream, size)
    await sent
  }

  await Promise.all(Array.from({ length: 12 }, visit))

  await listener.close()
  await serving
})
