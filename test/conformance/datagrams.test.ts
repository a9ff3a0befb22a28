import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { UdpSocket, UnixDatagramSocket } from '../../src/net/index.ts'
import { resolver } from '../../src/net/values/resolve.ts'
import { testOnBoth } from '../net/both-kernels.ts'
import { pattern } from '../net/support.ts'

testOnBoth('[93] several sockets of UDP bind the same port, if all ask for it', async () => {
  const first = await UdpSocket.bind({ port: 0, reusePort: true })
  const { port } = first.localAddress

  const second = await UdpSocket.bind({ port, reusePort: true })

  assert.deepEqual(second.localAddress, first.localAddress)
  await assert.rejects(UdpSocket.bind({ port }), { code: 'EADDRINUSE' })
  for (const socket of [first, second]) await socket.close()
})

testOnBoth('[103] a connected socket hears its peer alone, both ways', async () => {
  const receiver = await UdpSocket.bind({ port: 0 })
  const other = await UdpSocket.bind({ port: 0 })
  const client = await UdpSocket.connect(receiver.localAddress)
  const to = client.localAddress

  await other.send(Uint8Array.of(1), { to })
  await client.send(Uint8Array.of(2))
  await receiver.send(Uint8Array.of(3), { to: (await receiver.receive()).from })

  assert.deepEqual([...(await client.receive()).data], [3])
  for (const socket of [receiver, other, client]) await socket.close()
})

testOnBoth('[103] datagrams of no bytes are sent and received', async () => {
  const receiver = await UdpSocket.bind({ port: 0 })
  const sender = await UdpSocket.bind({ port: 0 })

  await sender.send(new Uint8Array(0), { to: receiver.localAddress })

  const { data, from } = await receiver.receive()
  assert.equal(data.length, 0)
  assert.deepEqual(from, sender.localAddress)
  for (const socket of [receiver, sender]) await socket.close()
})

testOnBoth(
  '[103] what is there is peeked at and received at once, what is not is waited for',
  async () => {
    const receiver = await UdpSocket.bind({ port: 0 })
    const sender = await UdpSocket.bind({ port: 0 })
    const to = receiver.localAddress
    const waiting = receiver.peek()
    await sender.send(pattern(0, 9), { to })

    const peeked = await waiting
    const again = await receiver.peek()
    const received = await receiver.receive()

    for (const { data, from } of [peeked, again, received]) {
      assert.deepEqual(data, pattern(0, 9))
      assert.deepEqual(from, sender.localAddress)
    }
    for (const socket of [receiver, sender]) await socket.close()
  },
)

testOnBoth('[103] without a peer a send needs an address', async () => {
  const socket = await UdpSocket.bind({ port: 0 })
  await assert.rejects(socket.send(Uint8Array.of(1)), { code: 'ERR_UNSUPPORTED' })
  await socket.close()
})

testOnBoth('[103] broadcast, multicast and time to live are set', async () => {
  const socket = await UdpSocket.bind({ host: '0.0.0.0', port: 0 })
  socket.setBroadcast(true)
  socket.setTtl(7)
  socket.setMulticastTtl(3)
  socket.setMulticastLoop(false)
  socket.joinGroup('239.255.4.5', { interface: '127.0.0.1' })
  socket.leaveGroup('239.255.4.5', { interface: '127.0.0.1' })
  await socket.close()
})

testOnBoth('[D12] a send that has to wait for room is whole when it goes', async () => {
  const [one, other] = UnixDatagramSocket.pair()
  const sends: Promise<void>[] = []
  for (let index = 0; index < 300; index++) sends.push(one.send(pattern(index, 900)))

  for (let index = 0; index < 300; index++) {
    assert.deepEqual((await other.receive()).data, pattern(index, 900))
  }

  await Promise.all(sends)
  for (const socket of [one, other]) await socket.close()
})

test('[D13] a name that has no address is an error of bind(), connect() and send()', async (t) => {
  const host = 'nobody.invalid'
  const notFound = Object.assign(new Error('not found'), { code: 'ENOTFOUND' })
  t.mock.method(resolver, 'lookup', () => Promise.reject(notFound))

  await assert.rejects(UdpSocket.bind({ host, port: 0 }), { code: 'ENOTFOUND' })
  await assert.rejects(UdpSocket.connect({ host, port: 1 }), { code: 'ENOTFOUND' })
  await using socket = await UdpSocket.bind({ port: 0 })
  await assert.rejects(socket.send(Uint8Array.of(1), { to: { host, port: 1 } }), RangeError)
})

testOnBoth('[104] a pair of Unix datagram sockets exchanges datagrams', async () => {
  const [one, other] = UnixDatagramSocket.pair()
  await one.send(Uint8Array.of(1))
  await other.send(Uint8Array.of(2))

  assert.deepEqual([...(await other.receive()).data], [1])
  assert.deepEqual([...(await one.receive()).data], [2])
  for (const socket of [one, other]) await socket.close()
})

test('[104] sockets that are bound to paths tell them; a sender without a name has none', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'percore-'))
  const [path, clientPath] = [join(folder, 'server'), join(folder, 'client')]
  {
    await using server = await UnixDatagramSocket.bind({ path })
    await using client = await UnixDatagramSocket.bind({ path: clientPath })
    await using nameless = UnixDatagramSocket.open()
    await using connected = await UnixDatagramSocket.connect({ path })

    await client.send(Uint8Array.of(1), { to: { path } })
    await nameless.send(Uint8Array.of(2), { to: { path } })
    await connected.send(Uint8Array.of(3))

    const froms = [await server.receive(), await server.receive(), await server.receive()]
    assert.deepEqual(
      froms.map(({ data, from }) => [data[0], from.path]),
      [
        [1, clientPath],
        [2, null],
        [3, null],
      ],
    )
    assert.equal(server.localAddress.path, path)
    assert.equal(connected.remoteAddress?.path, path)
  }
  rmSync(folder, { recursive: true })
})
