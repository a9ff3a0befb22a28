import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import { configureNet, netRingFor } from '../../src/net/memory/net-ring.ts'
import { assertPattern, holdings, Pair, pattern, until } from './support.ts'

// So many at once that it is not their want which stops a stream.
configureNet(executor(), { initialCount: 1024 })

/** What a stream keeps, and what the kernel may still deliver until it has stopped. */
const HELD_MAX = 16 + 64

test('a stream that nobody reads holds a bounded number of buffers, and loses nothing', async () => {
  await using pair = await Pair.open()
  const { buffers } = netRingFor(executor(), executor().defaultQueue).pool
  const size = 48 * 1024 * 1024
  let heldMax = 0
  let isSent = false

  const sent = pair.client.write(pattern(0, size)).then(() => {
    isSent = true
  })
  const first = await pair.server.readInto(new Uint8Array(1))
  await until(() => {
    heldMax = Math.max(heldMax, buffers.userCount)
    return buffers.userCount >= 16
  })
  for (let round = 0; round < 200; round++) {
    await new Promise((resolve) => setImmediate(resolve))
    heldMax = Math.max(heldMax, buffers.userCount)
  }

  assert.equal(first, 1)
  assert.equal(isSent, false)
  assert.ok(heldMax <= HELD_MAX, `${heldMax} buffers were held`)
  let position = 1
  const whole = pattern(0, size)
  while (position < size) {
    const chunk = await pair.server.read()
    const isSame = Buffer.compare(chunk!, whole.subarray(position, position + chunk!.length)) === 0
    assert.ok(isSame, `the bytes after ${position} are others`)
    position += chunk!.length
  }
  await sent
})

test('a stream closed with unread data gives its buffers back', async () => {
  const pair = await Pair.open()
  const sent = pair.client.write(new Uint8Array(4 * 1024 * 1024)).catch(() => 'cut')
  await pair.server.read()
  await until(() => holdings().bufferCount > 4)

  await pair[Symbol.asyncDispose]()

  await sent
  assert.equal(holdings().bufferCount, 0)
  assert.equal(holdings().operationCount, 0)
})

test('messages of a byte that nobody reads hold about their bytes, not a buffer each', async () => {
  await using pair = await Pair.open()
  const { buffers } = netRingFor(executor(), executor().defaultQueue).pool
  const count = 2000
  await pair.client.write(pattern(0, 1))
  await pair.server.readInto(new Uint8Array(1))
  let heldMax = 0

  for (let position = 1; position < count; position++) {
    await pair.client.write(pattern(position, 1))
    await until(() => pair.server.bytesRead === position + 1)
    heldMax = Math.max(heldMax, buffers.userCount)
  }

  assert.ok(heldMax <= 16, `${heldMax} buffers were held`)
  for (let position = 1; position < count; ) {
    const chunk = await pair.server.read()
    assertPattern(chunk!, position)
    position += chunk!.length
  }
})
