import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  allocateBuffer,
  createTaskQueue,
  executor,
  spawn,
  spawnInto,
  yieldNow,
} from '../../src/executor/index.ts'
import type { Lease } from '../../src/memory/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { netRingFor } from '../../src/net/memory/net-ring.ts'
import { COUNTER_COMPLETIONS } from '../../src/stats/index.ts'
import { assertPattern, echoAll, holdings, Pair, pattern, readPattern, until } from './support.ts'

test('write() and read() carry every size from 1 B to 1 MiB there and back', async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  void echoAll(listener)
  await using stream = await TcpStream.connect({ port: listener.address.port })
  const sizes = [1, 63, 64, 511, 4095, 4096, 16_383, 16_384, 16_385, 65_536, 262_145, 1_048_576]
  let total = 0

  for (const size of sizes) {
    const sent = stream.write(pattern(0, size))
    await readPattern(stream, size)
    await sent
    total += size
  }

  assert.equal(stream.bytesRead, total)
  assert.equal(stream.bytesWritten, total)
})

test('read() returns null at the end, and again', async () => {
  await using pair = await Pair.open()

  await pair.client.close()

  assert.equal(await pair.server.read(), null)
  assert.equal(await pair.server.read(), null)
  assert.equal(await pair.server.readInto(new Uint8Array(1)), 0)
})

test('shutdown() ends one direction after all that was written', async () => {
  await using pair = await Pair.open()
  const size = 300_000

  const written = pair.client.write(pattern(0, size))
  const shut = pair.client.shutdown()
  await readPattern(pair.server, size)
  assert.equal(await pair.server.read(), null)
  await Promise.all([written, shut])
  await pair.server.write(pattern(0, 10))

  await readPattern(pair.client, 10)
  await assert.rejects(pair.client.write(pattern(0, 1)), { code: 'ERR_HANDLE_CLOSED' })
})

test('close() still delivers what was written, then the end', async () => {
  await using pair = await Pair.open()
  await pair.server.write(pattern(0, 5000))

  await pair.server.close()

  await readPattern(pair.client, 5000)
  assert.equal(await pair.client.read(), null)
})

test('reset() makes the peer fail with ECONNRESET and its address', async () => {
  await using pair = await Pair.open()
  const port = pair.client.localAddress.port
  const reading = pair.server.read()

  await pair.client.reset()

  await assert.rejects(reading, { code: 'ECONNRESET', address: `127.0.0.1:${port}` })
  await assert.rejects(pair.server.read(), { code: 'ECONNRESET' })
})

test('write() fails with EPIPE or ECONNRESET when the peer has gone', async () => {
  await using pair = await Pair.open()
  await pair.client.reset()

  const writeTwice = async (): Promise<void> => {
    await pair.server.write(pattern(0, 10))
    await pair.server.write(pattern(0, 10))
  }

  await assert.rejects(writeTwice(), (error: { code: string; syscall: string }) => {
    return /^(EPIPE|ECONNRESET)$/.test(error.code) && error.syscall === 'send'
  })
})

test('connect() rejects with ECONNREFUSED and leaves nothing behind', async () => {
  const listener = await TcpListener.bind({ port: 0 })
  const { port } = listener.address
  await listener.close()
  const before = holdings()

  const failing = TcpStream.connect({ host: '127.0.0.1', port })

  await assert.rejects(failing, {
    code: 'ECONNREFUSED',
    syscall: 'connect',
    address: `127.0.0.1:${port}`,
  })
  assert.deepEqual(holdings(), before)
})

test('connect() looks names up', async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  const accepting = listener.accept()

  await using stream = await TcpStream.connect({ host: 'localhost', port: listener.address.port })
  await using accepted = await accepting

  assert.deepEqual(accepted.remoteAddress, stream.localAddress)
  assert.deepEqual(stream.remoteAddress, listener.address)
  await assert.rejects(TcpStream.connect({ host: 'no-such-host.invalid', port: 1 }), {
    syscall: 'getaddrinfo',
  })
})

test('connect() refuses arguments of the wrong kind', async () => {
  await assert.rejects(TcpStream.connect({ host: '127.0.0.1', port: 0 }), RangeError)
  await assert.rejects(TcpStream.connect({ host: '127.0.0.1', port: 65_536 }), RangeError)
  await assert.rejects(TcpStream.connect({ host: '', port: 1 }), RangeError)
  await assert.rejects(TcpStream.connect({ host: 1 as never, port: 1 }), TypeError)
  await assert.rejects(TcpStream.connect(null as never), TypeError)
  await assert.rejects(TcpStream.connect({ port: 1, timeoutMs: -1 }), RangeError)
})

test('read() refuses a second reader with ERR_STILL_HELD', async () => {
  await using pair = await Pair.open()
  const first = pair.server.read()

  await assert.rejects(pair.server.read(), { code: 'ERR_STILL_HELD' })
  await pair.client.write(pattern(0, 3))

  assert.deepEqual(await first, pattern(0, 3))
})

test('read() ended by a signal, a time limit or its task loses no data', async () => {
  await using pair = await Pair.open()
  const controller = new AbortController()
  const reason = new Error('enough')

  const aborted = pair.server.read({ signal: controller.signal })
  controller.abort(reason)
  await assert.rejects(aborted, reason)
  await assert.rejects(pair.server.read({ timeoutMs: 1 }), { code: 'ERR_TASK_TIMEOUT' })
  const task = spawn(() => pair.server.read())
  const watched = assert.rejects(Promise.resolve(task), { code: 'ERR_TASK_CANCELLED' })
  await task.cancel()
  await watched
  await pair.client.write(pattern(0, 1000))

  await readPattern(pair.server, 1000)
})

test('read() rejects for a signal aborted before, and keeps what is there', async () => {
  await using pair = await Pair.open()
  await pair.client.write(pattern(0, 7))

  await assert.rejects(pair.server.read({ signal: AbortSignal.abort(new Error('no')) }), /no/)

  await readPattern(pair.server, 7)
})

test('close() rejects pending and later reads and writes with ERR_HANDLE_CLOSED', async () => {
  await using pair = await Pair.open()
  const reading = pair.server.read()
  const writing = pair.server.write(new Uint8Array(64 * 1024 * 1024))
  const outcomes = Promise.allSettled([reading, writing])

  await Promise.all([pair.server.close(), pair.server.close()])

  for (const outcome of await outcomes) {
    assert.equal(outcome.status, 'rejected')
    assert.equal(outcome.reason.code, 'ERR_HANDLE_CLOSED')
  }
  assert.ok(pair.server.isClosed)
  await assert.rejects(pair.server.read(), { code: 'ERR_HANDLE_CLOSED' })
  await assert.rejects(pair.server.write(pattern(0, 1)), { code: 'ERR_HANDLE_CLOSED' })
  await assert.rejects(pair.server.shutdown(), { code: 'ERR_HANDLE_CLOSED' })
  assert.throws(() => pair.server.localAddress, { code: 'ERR_HANDLE_CLOSED' })
  assert.throws(() => pair.server.setNoDelay(true), { code: 'ERR_HANDLE_CLOSED' })
})

test('read() gives a chunk that stays, in memory of its own', async () => {
  await using pair = await Pair.open()
  await pair.client.write(pattern(0, 100))
  const kept = await pair.server.read()

  await pair.client.write(new Uint8Array(100))
  await pair.server.read()

  assert.deepEqual(kept, pattern(0, 100))
  assert.equal(kept!.buffer.byteLength, 100)
  assert.equal(holdings().bufferCount, 0)
})

test('read() gives all that has come, up to 64 KiB', async () => {
  await using pair = await Pair.open()
  const sent = pair.client.write(pattern(0, 200_000))
  const first = await pair.server.readInto(new Uint8Array(1))
  await until(() => pair.server.bytesRead === 200_000)

  const lengths: number[] = []
  for (let position = first; position < 200_000; ) {
    const chunk = await pair.server.read()
    assertPattern(chunk!, position)
    position += chunk!.length
    lengths.push(chunk!.length)
  }

  await sent
  assert.ok(lengths.length <= 5, `it took reads of ${lengths}`)
  assert.ok(lengths.every((length) => length <= 65_536))
})

test('readInto() fills its target from all that has come', async () => {
  await using pair = await Pair.open()
  const sent = pair.client.write(pattern(0, 200_000))
  await pair.server.readInto(new Uint8Array(1))
  await until(() => pair.server.bytesRead === 200_000)
  const target = new Uint8Array(150_000)

  assert.equal(await pair.server.readInto(target), 150_000)

  assertPattern(target, 1)
  await sent
})

test('readLease() lends a chunk until its release, and shows nothing after it', async () => {
  await using pair = await Pair.open()
  await pair.client.write(pattern(0, 100))
  const lease = await pair.server.readLease()

  for (let round = 0; round < 200; round++) {
    await pair.client.write(new Uint8Array(100))
    await pair.server.read()
  }

  assertPattern(lease!.bytes, 0)
  assert.equal(lease!.lengthBytes, 100)
  assert.equal(holdings().bufferCount, 1)
  lease!.release()
  assert.throws(() => lease!.bytes, { code: 'ERR_BUFFER_RELEASED' })
  assert.equal(holdings().bufferCount, 0)
  await pair.client.close()
  assert.equal(await pair.server.readLease(), null)
})

test('readLease() outlives the close of its stream', async () => {
  const pair = await Pair.open()
  await pair.client.write(pattern(0, 100))
  using lease = await pair.server.readLease()

  await pair[Symbol.asyncDispose]()

  assertPattern(lease!.bytes, 0)
})

test('leases() ends each lease with the next step, and the last with the loop', async () => {
  await using pair = await Pair.open()
  await pair.client.write(pattern(0, 10))
  const leases: Lease[] = []

  for await (const lease of pair.server.leases()) {
    leases.push(lease)
    assert.equal(holdings().bufferCount, 1)
    if (leases.length === 3) break
    await pair.client.write(pattern(0, 10))
  }

  assert.ok(leases.every((lease) => lease.isReleased))
  assert.equal(holdings().bufferCount, 0)
})

test('leases() ends with the stream, and tells what broke it', async () => {
  await using pair = await Pair.open()
  await pair.client.write(pattern(0, 10))
  let lengthBytes = 0

  await pair.client.shutdown()
  for await (const lease of pair.server.leases()) lengthBytes += lease.lengthBytes
  await pair.client.close()

  assert.equal(lengthBytes, 10)
  await using broken = await Pair.open()
  await broken.client.reset()
  await assert.rejects(broken.server.leases().next(), { code: 'ECONNRESET' })
})

test('readInto() takes what fits, and leaves the rest to the next read', async () => {
  await using pair = await Pair.open()
  await pair.client.write(pattern(0, 10))
  const target = new Uint8Array(4)

  assert.equal(await pair.server.readInto(target), 4)
  assertPattern(target, 0)
  const chunk = await pair.server.read()

  assert.equal(chunk!.length, 6)
  assertPattern(chunk!, 4)
  await assert.rejects(pair.server.readInto(new Uint8Array(0)), RangeError)
  await assert.rejects(pair.server.readInto('x' as never), TypeError)
})

test('write() sends concurrent writes in the order of the calls', async () => {
  await using pair = await Pair.open()
  const writes: Promise<void>[] = []
  let total = 0
  for (let round = 0; round < 300; round++) {
    const size = round % 7 === 0 ? 20_000 : (round * 37) % 900
    writes.push(pair.client.write(pattern(total, size)))
    total += size
  }

  await readPattern(pair.server, total)

  await Promise.all(writes)
  assert.equal(pair.client.bytesWritten, total)
})

test('write() sends leases, allocated or received, from where they are', async () => {
  await using pair = await Pair.open()
  const allocated = allocateBuffer(2000)
  allocated.bytes.set(pattern(0, 2000))

  const sent = pair.client.write(allocated)
  allocated.release()
  const received = await pair.server.readLease()
  const returned = pair.server.write(received!)
  received!.release()
  await Promise.all([sent, returned])

  await readPattern(pair.client, 2000)
  assert.equal(holdings().bufferCount, 0)
})

test('write() refuses what is no bytes, and takes nothing at all', async () => {
  await using pair = await Pair.open()

  await assert.rejects(pair.client.write('text' as never), TypeError)
  await pair.client.write(new Uint8Array(0))

  assert.equal(pair.client.bytesWritten, 0)
})

test('write() withdrawn before it began leaves the stream whole', async () => {
  await using pair = await Pair.open()
  const controller = new AbortController()
  const size = 32 * 1024 * 1024
  const first = pair.client.write(pattern(0, size))
  const second = pair.client.write(new Uint8Array(10), { signal: controller.signal })
  const third = pair.client.write(pattern(size, 10))

  controller.abort(new Error('not that one'))

  await assert.rejects(second, /not that one/)
  await readPattern(pair.server, size + 10)
  await Promise.all([first, third])
})

test('write() cut in the middle refuses what follows', async () => {
  await using pair = await Pair.open()
  const controller = new AbortController()
  const first = pair.client.write(new Uint8Array(64 * 1024 * 1024), { signal: controller.signal })
  const second = pair.client.write(new Uint8Array(10))
  const outcomes = Promise.allSettled([first, second])
  await until(() => pair.client.bytesWritten > 0)

  controller.abort(new Error('cut'))

  const [cut, behind] = await outcomes
  assert.equal(cut.status === 'rejected' && cut.reason.message, 'cut')
  assert.equal(behind.status === 'rejected' && behind.reason.code, 'ERR_HANDLE_CLOSED')
  await assert.rejects(pair.client.write(new Uint8Array(1)), { code: 'ERR_HANDLE_CLOSED' })
})

test('a loop over data that is always ready lets timers and other queues run', async () => {
  await using pair = await Pair.open()
  const size = 20_000
  await pair.client.write(pattern(0, size))
  const byte = new Uint8Array(1)
  await pair.server.readInto(byte)
  await until(() => pair.server.bytesRead === size)
  const other = createTaskQueue('other')
  let othersAtEnd = -1
  let hasTimerFired = false
  let others = 0

  setTimeout(() => {
    hasTimerFired = true
  }, 1)
  const counting = spawnInto(other, async () => {
    for (; others < 10; others++) await yieldNow()
  })
  for (let position = 1; position < size; position++) await pair.server.readInto(byte)
  const wasTimerFired = hasTimerFired
  othersAtEnd = others

  await counting
  other.remove()
  assert.equal(othersAtEnd, 10)
  assert.ok(wasTimerFired)
})

test('an iteration over a stream that never pauses lets another connection go on', async () => {
  await using busy = await Pair.open()
  await using calm = await Pair.open()
  let isDone = false
  const source = (async () => {
    const block = new Uint8Array(256 * 1024)
    while (!isDone) await busy.client.write(block)
    await busy.client.shutdown()
  })()
  const talk = (async () => {
    for (let round = 0; round < 20; round++) {
      await calm.client.write(pattern(0, 10))
      await readPattern(calm.server, 10)
    }
    isDone = true
  })()

  let total = 0
  for await (const chunk of busy.server) total += chunk.length

  await Promise.all([source, talk])
  assert.equal(total, busy.client.bytesWritten)
})

test('a stream of a latency-sensitive queue uses the latency ring', async () => {
  const queue = createTaskQueue('urgent', { latency: { maxMs: 5 } })
  const ring = netRingFor(executor(), queue)
  await using listener = await TcpListener.bind({ port: 0 })
  const completedCount = () => ring.home.counters[COUNTER_COMPLETIONS + ring.ring.index]!
  const before = completedCount()

  await spawnInto(queue, async () => {
    const accepting = listener.accept()
    await using client = await TcpStream.connect({ port: listener.address.port })
    await using server = await accepting
    await client.write(pattern(0, 50_000))
    await readPattern(server, 50_000)
  })

  assert.ok(completedCount() - before > 4)
  assert.equal(ring.userCount, 0)
  queue.remove()
})

test('options reach the socket', async () => {
  await using pair = await Pair.open()

  pair.client.setReceiveBufferBytes(50_000)
  pair.client.setSendBufferBytes(60_000)
  pair.client.setKeepAlive(true, 1500)
  pair.client.setLinger(1)
  pair.client.setLinger(null)
  pair.client.setNoDelay(false)

  assert.ok(pair.client.receiveBufferBytes() >= 50_000)
  assert.ok(pair.client.sendBufferBytes() >= 60_000)
  assert.throws(() => pair.client.setLinger(-1), RangeError)
  assert.throws(() => pair.client.setReceiveBufferBytes(0), RangeError)
})
