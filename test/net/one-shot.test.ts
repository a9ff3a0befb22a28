import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import { configureNet } from '../../src/net/net-ring.ts'
import { holdings, Pair, pattern, readPattern } from './support.ts'

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
