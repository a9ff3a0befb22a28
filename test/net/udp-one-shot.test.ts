import assert from 'node:assert/strict'
import { executor } from '../../src/executor/index.ts'
import { UdpSocket, UnixDatagramSocket } from '../../src/net/index.ts'
import { configureNet } from '../../src/net/memory/net-ring.ts'
import { testOnBoth } from './both-kernels.ts'
import { pattern } from './support.ts'

/** Before its first socket alone. */
const configured = new WeakSet<object>()

/** As kernels before 6.0 are: a receive brings one message, into memory of its own. */
function receiveOneByOne(): void {
  const current = executor()
  if (configured.has(current)) return
  configured.add(current)
  configureNet(current, { multishot: false })
}

testOnBoth('one by one, datagrams come with names and whole lengths', async () => {
  receiveOneByOne()
  const server = await UdpSocket.bind({ port: 0, datagramBytesMax: 100 })
  const client = await UdpSocket.connect(server.localAddress)
  const lengths = [1, 0, 100, 5000, 7]

  for (const [index, length] of lengths.entries()) await client.send(pattern(index, length))

  for (const [index, length] of lengths.entries()) {
    using lease = await server.receiveLease()
    assert.deepEqual(new Uint8Array(lease.bytes), pattern(index, Math.min(length, 100)))
    assert.deepEqual([lease.isTruncated, lease.fullBytes], [length > 100, length])
    assert.deepEqual(lease.from, client.localAddress)
  }
  await client.close()
  await server.close()
})

testOnBoth('one by one, a consumer answers each', async () => {
  receiveOneByOne()
  const server = await UdpSocket.bind({ port: 0 })
  const client = await UdpSocket.connect(server.localAddress)
  server.consume({
    onDatagram: ({ data, from }, socket) => socket.send(data, { to: from }),
    onEnd: () => {},
  })

  for (let index = 0; index < 50; index++) {
    await client.send(pattern(index, 20))
    assert.deepEqual((await client.receive()).data, pattern(index, 20))
  }

  await client.close()
  await server.close()
})

testOnBoth('one by one, a pair of Unix sockets has no names', async () => {
  receiveOneByOne()
  const [one, other] = UnixDatagramSocket.pair()
  await one.send(pattern(0, 10))
  const { data, from } = await other.receive()
  assert.deepEqual(data, pattern(0, 10))
  assert.deepEqual([from.path, from.abstractName], [null, null])
  await one.close()
  await other.close()
})
