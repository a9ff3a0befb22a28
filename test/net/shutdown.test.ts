import assert from 'node:assert/strict'
import { test } from 'node:test'
import { testOnBoth } from './both-kernels.ts'
import { ignore, Pair, pattern, readPattern } from './support.ts'

/** More than the kernel takes from a writer whose peer does not read. */
const SIZE = 32 * 1024 * 1024

test('shutdown() keeps its time limit while earlier writes are being sent', async () => {
  await using pair = await Pair.open()
  const writing = assert.rejects(pair.client.write(new Uint8Array(SIZE)), {
    code: 'ERR_HANDLE_CLOSED',
  })

  await assert.rejects(pair.client.shutdown({ timeoutMs: 5 }), { code: 'ERR_TASK_TIMEOUT' })

  await assert.rejects(pair.client.write(pattern(0, 1)), { code: 'ERR_HANDLE_CLOSED' })
  await pair.client.close()
  await writing
})

test('shutdown() ends with its signal while earlier writes are being sent, and can be called again', async () => {
  await using pair = await Pair.open()
  const writing = pair.client.write(pattern(0, SIZE))
  const controller = new AbortController()
  const failing = assert.rejects(pair.client.shutdown({ signal: controller.signal }), {
    name: 'AbortError',
  })
  controller.abort()
  await failing

  const shut = pair.client.shutdown()
  await readPattern(pair.server, SIZE)
  assert.equal(await pair.server.read(), null)

  await Promise.all([writing, shut])
})

test('shutdown() tells the end though the last write was withdrawn', async () => {
  await using pair = await Pair.open()
  const writing = pair.client.write(pattern(0, SIZE))
  const controller = new AbortController()
  const withdrawn = assert.rejects(
    pair.client.write(pattern(0, 10), { signal: controller.signal }),
    { name: 'AbortError' },
  )
  const shut = pair.client.shutdown()
  controller.abort()

  await withdrawn
  await readPattern(pair.server, SIZE)

  assert.equal(await pair.server.read(), null)
  await Promise.all([writing, shut])
})

test('shutdown() rejects when the stream is closed under it', async () => {
  await using pair = await Pair.open()
  pair.client.write(new Uint8Array(SIZE)).catch(ignore)
  const failing = assert.rejects(pair.client.shutdown(), { code: 'ERR_HANDLE_CLOSED' })

  await pair.client.close()

  await failing
})

test('shutdown() leaves writing as it was when its options are refused', async () => {
  await using pair = await Pair.open()

  await assert.rejects(pair.client.shutdown(100 as never), TypeError)
  await assert.rejects(pair.client.shutdown({ signal: AbortSignal.abort() }), {
    name: 'AbortError',
  })

  await pair.client.write(pattern(0, 10))
  await readPattern(pair.server, 10)
})

test('write() of nothing resolves after the writes before it', async () => {
  await using pair = await Pair.open()
  const order: string[] = []
  const writes = [
    pair.client.write(pattern(0, SIZE)).then(() => order.push('large')),
    pair.client.write(new Uint8Array(0)).then(() => order.push('empty')),
    pair.client.write(pattern(SIZE, 10)).then(() => order.push('small')),
    pair.client.write(new Uint8Array(0)).then(() => order.push('last')),
  ]

  await readPattern(pair.server, SIZE + 10)
  await Promise.all(writes)

  assert.deepEqual(order, ['large', 'empty', 'small', 'last'])
})

test('write() of nothing resolves when the write before it was withdrawn', async () => {
  await using pair = await Pair.open()
  const controller = new AbortController()
  const writing = pair.client.write(pattern(0, SIZE))
  const withdrawn = assert.rejects(
    pair.client.write(pattern(0, 10), { signal: controller.signal }),
    { name: 'AbortError' },
  )
  const empty = pair.client.write(new Uint8Array(0))

  controller.abort()
  await readPattern(pair.server, SIZE)

  await Promise.all([writing, withdrawn, empty])
})

testOnBoth('shutdown() resolves when the peer has reset the connection', async () => {
  await using pair = await Pair.open()
  await pair.server.reset()
  await assert.rejects(pair.client.read(), { code: 'ECONNRESET' })

  await pair.client.shutdown()

  await assert.rejects(pair.client.write(pattern(0, 1)), { code: 'ERR_HANDLE_CLOSED' })
})

testOnBoth('shutdown() resolves again after both ends have ended', async () => {
  await using pair = await Pair.open()
  await pair.client.shutdown()
  await pair.server.shutdown()
  assert.equal(await pair.client.read(), null)
  assert.equal(await pair.server.read(), null)

  await pair.client.shutdown()
  await pair.server.shutdown()
})
