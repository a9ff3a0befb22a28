import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allocateBuffer, executor } from '../../src/index.ts'
import {
  type Datagram,
  type DatagramLease,
  type SocketAddress,
  UdpSocket,
} from '../../src/net/index.ts'
import { testOnBoth } from './both-kernels.ts'
import { holdings, pattern } from './support.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const bytesOf = (value: string): Uint8Array => Buffer.from(value)

async function openPair(): Promise<{ server: UdpSocket; client: UdpSocket }> {
  const server = await UdpSocket.bind({ port: 0 })
  const client = await UdpSocket.connect(server.localAddress)
  return { server, client }
}

testOnBoth('send() and receive() carry datagrams both ways, with addresses', async () => {
  const { server, client } = await openPair()
  await client.send(bytesOf('question'))
  const question = await server.receive()
  await server.send(bytesOf('answer'), { to: question.from })
  const answer = await client.receive()

  assert.equal(text(question.data), 'question')
  assert.deepEqual(question.from, client.localAddress)
  assert.deepEqual([question.isTruncated, question.fullBytes], [false, 8])
  assert.equal(text(answer.data), 'answer')
  assert.deepEqual(answer.from, server.localAddress)
  assert.deepEqual(client.remoteAddress, server.localAddress)
  assert.equal(server.remoteAddress, null)
  await client.close()
  await server.close()
})

testOnBoth('datagrams come in order, each as a whole, empty ones too', async () => {
  const { server, client } = await openPair()
  const lengths = [1, 0, 1200, 8, 0, 0, 4096]

  for (const [index, length] of lengths.entries()) await client.send(pattern(index, length))

  for (const [index, length] of lengths.entries()) {
    const { data } = await server.receive()
    assert.deepEqual(data, pattern(index, length))
  }
  await client.close()
  await server.close()
})

testOnBoth('many sends at once keep their order', async () => {
  const { server, client } = await openPair()
  server.setReceiveBufferBytes(200_000)
  const sends: Promise<void>[] = []

  for (let index = 0; index < 150; index++) sends.push(client.send(Uint8Array.of(index)))
  for (let index = 0; index < 150; index++) assert.equal((await server.receive()).data[0], index)

  await Promise.all(sends)
  assert.equal(client.sentCount, 150)
  assert.equal(server.receivedCount, 150)
  await client.close()
  await server.close()
})

testOnBoth(
  'a datagram longer than datagramBytesMax is cut, and tells how long it was',
  async () => {
    const server = await UdpSocket.bind({ port: 0, datagramBytesMax: 100 })
    const client = await UdpSocket.connect(server.localAddress)

    for (const length of [100, 101, 9000]) await client.send(pattern(0, length))

    for (const length of [100, 101, 9000]) {
      const { data, isTruncated, fullBytes } = await server.receive()
      assert.deepEqual(data, pattern(0, 100))
      assert.deepEqual([isTruncated, fullBytes], [length > 100, length])
    }
    await client.close()
    await server.close()
  },
)

testOnBoth('datagramBytesMax of 65,535 takes the longest; a longer one is EMSGSIZE', async () => {
  const server = await UdpSocket.bind({ port: 0, datagramBytesMax: 65_535 })
  const client = await UdpSocket.connect(server.localAddress)

  await client.send(pattern(3, 65_507))

  assert.deepEqual((await server.receive()).data, pattern(3, 65_507))
  for (const length of [65_508, 65_536, 1_000_000]) {
    await assert.rejects(client.send(new Uint8Array(length)), { code: 'EMSGSIZE' })
  }
  await client.close()
  await server.close()
})

testOnBoth('peek() shows the next datagram, and leaves it', async () => {
  const { server, client } = await openPair()
  const peeking = server.peek()
  await client.send(bytesOf('one'))
  await client.send(bytesOf('two'))

  assert.equal(text((await peeking).data), 'one')
  assert.equal(text((await server.peek()).data), 'one')
  assert.equal(text((await server.receive()).data), 'one')
  assert.equal(text((await server.receive()).data), 'two')
  await client.close()
  await server.close()
})

testOnBoth('leases are sent back without a copy, and end with the step', async () => {
  const { server, client } = await openPair()
  for (const word of ['a', 'b', 'c']) await client.send(bytesOf(word))
  const seen: DatagramLease[] = []
  for await (const lease of server.leases()) {
    assert.ok(seen.every(({ isReleased }) => isReleased))
    seen.push(lease)
    assert.deepEqual(lease.from, client.localAddress)
    await server.send(lease, { to: lease.from })
    if (seen.length === 3) break
  }

  assert.ok(seen.every(({ isReleased }) => isReleased))
  for (const word of ['a', 'b', 'c']) assert.equal(text((await client.receive()).data), word)
  await client.close()
  await server.close()
})

testOnBoth('a lease of I/O memory is sent, and may be released at once', async () => {
  const { server, client } = await openPair()
  const lease = allocateBuffer(2000)
  lease.bytes.set(pattern(9, 2000))

  const sent = client.send(lease)
  lease.release()

  await sent
  assert.deepEqual((await server.receive()).data, pattern(9, 2000))
  await assert.rejects(client.send(lease), { code: 'ERR_BUFFER_RELEASED' })
  await client.close()
  await server.close()
})

testOnBoth('consume() hands over each datagram, and ends with the close', async () => {
  const { server, client } = await openPair()
  const found: string[] = []
  const { promise, resolve } = deferred<unknown>()
  server.consume({
    onDatagram: async ({ data, from }, socket) => {
      found.push(text(data))
      await socket.send(data, { to: from })
    },
    onEnd: (error) => resolve(error),
  })
  assert.throws(() => server.consume({ onDatagram() {}, onEnd() {} }), { code: 'ERR_STILL_HELD' })
  await assert.rejects(server.receive(), { code: 'ERR_STILL_HELD' })
  for (const word of ['a', 'b', 'c']) await client.send(bytesOf(word))
  for (const word of ['a', 'b', 'c']) assert.equal(text((await client.receive()).data), word)

  await server.close()

  assert.equal(await promise, null)
  assert.deepEqual(found, ['a', 'b', 'c'])
  await client.close()
})

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void
  const promise = new Promise<T>((resolveIt) => {
    resolve = resolveIt
  })
  return { promise, resolve }
}

testOnBoth('a consumer that fails ends the consumption, and what came stays', async () => {
  const { server, client } = await openPair()
  const failure = new Error('mine')
  const { promise, resolve } = deferred<unknown>()
  for (const word of ['a', 'b']) await client.send(bytesOf(word))
  server.consume({
    onLease() {
      throw failure
    },
    onEnd: resolve,
  })

  assert.equal(await promise, failure)

  assert.equal(text((await server.receive()).data), 'b')
  await client.close()
  await server.close()
})

testOnBoth('a connected socket is told that nobody is there, once, and goes on', async () => {
  const gone = await UdpSocket.bind({ port: 0 })
  const address = gone.localAddress
  await gone.close()
  const client = await UdpSocket.connect(address)
  const receiving = client.receive()
  await client.send(bytesOf('x'))

  await assert.rejects(receiving, { code: 'ECONNREFUSED' })

  await using back = await UdpSocket.bind(address)
  await client.send(bytesOf('again'))
  const { data, from } = await back.receive()
  assert.equal(text(data), 'again')
  await back.send(bytesOf('here'), { to: from })
  assert.equal(text((await client.receive()).data), 'here')
  await client.close()
})

testOnBoth('a receive that times out or is aborted loses nothing', async () => {
  const { server, client } = await openPair()
  const abort = new AbortController()
  const aborted = server.receive({ signal: abort.signal })
  abort.abort(new Error('enough'))
  await assert.rejects(aborted, { message: 'enough' })
  await assert.rejects(server.receive({ timeoutMs: 1 }), { code: 'ERR_TASK_TIMEOUT' })

  await client.send(bytesOf('kept'))

  assert.equal(text((await server.receive()).data), 'kept')
  await client.close()
  await server.close()
})

testOnBoth('close() ends reads, iterations and sends to come', async () => {
  const { server, client } = await openPair()
  const receiving = server.receive()
  const closing = server.close()
  await assert.rejects(receiving, { code: 'ERR_HANDLE_CLOSED' })
  await closing
  await assert.rejects(server.receive(), { code: 'ERR_HANDLE_CLOSED' })
  await assert.rejects(server.send(bytesOf('x'), { to: client.localAddress }), {
    code: 'ERR_HANDLE_CLOSED',
  })
  assert.throws(() => server.localAddress, { code: 'ERR_HANDLE_CLOSED' })
  assert.equal(server.isClosed, true)

  const seen: Datagram[] = []
  const iterating = (async () => {
    for await (const datagram of client) seen.push(datagram)
  })()
  await client.close()
  await iterating
  assert.deepEqual(seen, [])
})

testOnBoth('send() refuses what is no place, no data and too much of either', async () => {
  const { server, client } = await openPair()
  const data = bytesOf('x')
  await assert.rejects(server.send(data), { code: 'ERR_UNSUPPORTED' })
  await assert.rejects(server.send(data, { to: { host: 'no.such.name', port: 1 } }), RangeError)
  await assert.rejects(server.send(data, { to: { host: '127.0.0.1', port: 0 } }), RangeError)
  await assert.rejects(server.send(data, { to: 7 as never }), TypeError)
  await assert.rejects(client.send('text' as never), TypeError)
  await assert.rejects(client.send(data, { nonsense: 1 } as never), TypeError)
  await assert.rejects(client.send(data, { segmentBytes: 0 }), RangeError)
  await client.close()
  await server.close()
})

testOnBoth('droppedCount() tells what the kernel had no room for', async () => {
  const server = await UdpSocket.bind({ port: 0, receiveBufferBytes: 2304 })
  const client = await UdpSocket.connect(server.localAddress)
  assert.equal(server.droppedCount(), 0)

  for (let count = 0; count < 20; count++) await client.send(new Uint8Array(1000))
  await client.send(new Uint8Array(1))

  // In simulation they take a while to come.
  await server.receive()
  assert.ok(server.droppedCount() > 0)
  await client.close()
  await server.close()
})

test('a socket leaves nothing behind', async () => {
  const { server, client } = await openPair()
  await client.send(bytesOf('warm'))
  await server.receive()
  await client.close()
  await server.close()
  const before = holdings()

  const again = await openPair()
  for (let count = 0; count < 10; count++) await again.client.send(pattern(0, 100))
  await again.server.receive()
  const reading = again.client.receive().catch(() => {})
  await again.client.close()
  await again.server.close()
  await reading

  assert.deepEqual(holdings(), before)
})

test('an address that was heard of is the same frozen object, and is sent to by it', async () => {
  const { server, client } = await openPair()
  const froms: SocketAddress[] = []
  for (let count = 0; count < 3; count++) {
    await client.send(bytesOf('x'))
    froms.push((await server.receive()).from)
  }

  assert.equal(froms[0], froms[2])
  assert.ok(Object.isFrozen(froms[0]))
  assert.ok(executor().stats().inFlightCount > 0)
  await client.close()
  await server.close()
})
