import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import { configureNet } from '../../src/net/memory/net-ring.ts'
import { Recorder } from './recorder.ts'
import { assertPattern, holdings, Pair, pattern, readPattern } from './support.ts'

// As on kernels before 6.0, which know no receive that goes on by itself.
configureNet(executor(), { multishot: false })

test('read() works with one receive at a time', async () => {
  const pair = await Pair.open()
  const size = 3_000_000

  const sent = pair.client.write(pattern(0, size))
  await readPattern(pair.server, size)
  await sent
  await pair.client.shutdown()

  assert.equal(await pair.server.read(), null)
  await pair[Symbol.asyncDispose]()
  assert.deepEqual([holdings().bufferCount, holdings().operationCount], [0, 0])
})

test('consume() works with one receive at a time', async () => {
  const pair = await Pair.open()
  const size = 3_000_000
  const recorder = new Recorder((chunk) => {
    assertPattern(chunk, recorder.lengthBytes - chunk.length)
    return recorder.chunkCount % 2 === 0 ? Promise.resolve() : undefined
  })

  pair.server.consume(recorder)
  await pair.client.write(pattern(0, size))
  await pair.client.shutdown()

  assert.equal(await recorder.ended, null)
  assert.equal(recorder.lengthBytes, size)
  await pair[Symbol.asyncDispose]()
  assert.deepEqual([holdings().bufferCount, holdings().operationCount], [0, 0])
})
